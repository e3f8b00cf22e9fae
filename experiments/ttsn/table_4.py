"""TTSN on Something-Something V1 beside other methods (TTSN, Table IV).

At mini scale rows read clips of 48 frames, so that 16 segments have some each. TDN reads five frames of a segment, for
which 16 segments leave no room: it has 8 alone there. At full scale TDN has the recipe of TTSN, as in Table II [I].
"""

from collections.abc import Mapping

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table, Training, cited
from experiments.thesis.full import network
from experiments.thesis.mini import LONG

COLUMNS = "SSv1 top-1", "SSv1 top-5"
TDN = "configs/mix.py:rgb,backbone=tdn", (LONG, "--config.sampler.num_segments=8")


def row(name: str, options: str, *printed: float, small: Mapping[str, Training] | None = None, note: str = "") -> Row:
  """TTSN, or TDN alone.

  Args:
    name: of the row.
    options: of `configs/ttsn.py`.
    *printed: top-1 and top-5.
    small: what is trained at mini scale.
    note: what the reader must know.
  """
  kind = "rerun" if "TDN" in name else "own"
  return network(name, {"SSv1": f"ttsn.py:ssv1,{options}"}, COLUMNS, printed, kind, mini=small, note=note)


TABLE = Table(
  "TTSN Table IV",
  (
    *cited(
      COLUMNS,
      {
        "TSN": (19.5,),
        "TRN": (34.4,),
        "ECO": (46.4,),
        "S3D-G": (48.2, 78.7),
        "I3D": (41.6, 72.2),
        "NL I3D + GCN": (46.1, 76.8),
        "TAM": (48.4, 78.8),
        "GST": (48.6, 77.9),
        "CorrNet": (49.3,),
        "TSM": (49.7, 78.5),
        "SmallBig": (50.4, 80.5),
        "TANet": (50.6, 79.3),
        "STM": (50.7, 80.4),
        "TEA": (51.9, 80.3),
        "TEINet": (52.5,),
      },
    ),
    row("TDN 8f", "backbone=tdn,ett=off,tss=off", 49.7, 78.7, small={"": Training(*TDN)}),
    row("TDN 16f", "backbone=tdn,ett=off,tss=off,frames=16", 52.0, 80.6),
    row("TTSN 8f", "frames=8", 52.4, 80.6, small={"": Training("configs/ttsn.py:mini", (LONG,))}),
    row(
      "TTSN 16f",
      "frames=16",
      53.5,
      81.8,
      small={"": Training("configs/ttsn.py:mini,frames=16", (LONG,))},
      note="the text says 53.3 and 81.5",
    ),
  ),
  pairs=(("SSv1 top-1", "top-1 %"), ("SSv1 top-5", "top-5 %")),
  epochs=4.0,
)

if __name__ == "__main__":
  run_table(TABLE)
