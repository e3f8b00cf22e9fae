"""BQN beside other methods on Something-Something V1 (thesis Table 5.9).

"3x2" is the thesis' order, crops x clips; --views has clips first. At mini scale a clip has half as many segments, 4
for 24f and 8 for 48f, and sizes as in Table 5.8; its frames are square, so that three crops of a view are
one, and two clips are all that views add. ResNet-101 is a network one block deeper, as in Table 4.8. The row from
Kinetics has no mini training, since no synthetic set stands for that, nor have the scores averaged with it.
"""

import dataclasses

from experiments.tables.command import run_table
from experiments.tables.row import Cost, Row, Table, Training, cited, numbers
from experiments.thesis import table_5_3
from experiments.thesis.full import TEST, network
from experiments.thesis.table_4_8 import DEEPER
from experiments.thesis.table_5_3 import PIXELS

COLUMNS = "SSv1 top-1", "SSv1 top-5", "GFLOPs", "params M"
VIEWS = ("--views=2x3",)
LONG = ("--config.sampler.num_segments=16",)
SMALL = tuple(f"--config.{side}={PIXELS[256]}" for side in ("transforms[0].size", "test.size", "test.short_side"))
SHORT_MINI = ("--config.sampler.num_segments=4",)
X3D = "inputs.py:rgb,data=ssv1,backbone=x3d_m"
"""As in Table 5.2."""
BACKBONES = {"params M": "the print counts the two backbones alone (6.66 M)"}


def mini(views: tuple[str, ...], *flags: str, name: str = "mini") -> dict[str, Training]:
  """A mini BQN with Quiet at 160 and Busy at 256 pixels.

  Args:
    views: flags of vidjax.evaluate.
    *flags: of vidjax.train.
    name: of the network in `configs/bqn.py`.
  """
  (training,) = table_5_3.bqn(*flags, quiet=160, busy=256, name=name).values()
  return {"": dataclasses.replace(training, evaluation=views)}


def bqn(
  name: str,
  given: str,
  printed: tuple[float | None, ...],
  flags: tuple[str, ...] = (),
  views: tuple[str, ...] = VIEWS,
  reasons: dict[str, str] | None = None,
  mini: dict[str, Training] | None = None,
) -> Row:
  """A BQN, as `configs/bqn.py` names them; the costs are those of one view."""
  config = f"bqn.py:ssv1{given}"
  cost = Cost(f"configs/{config}", flags, 174)
  return network(
    name, {"SSv1": config}, COLUMNS, printed, flags=flags, evaluation=views, cost=cost, reasons=reasons, mini=mini
  )


TABLE = Table(
  "thesis Table 5.9",
  (
    *cited(
      COLUMNS,
      {
        "NL-I3D + GCN": (46.1, 76.8, 303, 62.2),
        "ECO": (49.5, None, None, 300),
        "TSN": (19.7, 46.6, 33),
        "TRN RGB + flow": (42.0, None, None, 36.6),
        "TSM 8f + 16f": (49.7, 78.5, 98, 48.6),
        "TSM RGB + flow": (52.6, 81.9, None, 48.6),
        "TEA": (52.3, 81.9, 70, 24.4),
        "TDN-R101": (55.3, 83.3, 132),
        "SmallBig": (50.0, 79.8, 105),
        "bLVNet": (46.4, 76.6, 12, 25),
        "GTA ensemble": (56.5, 83.1),
        "PAN": (50.5, 79.2, 67.7),
        "PAN ensemble": (53.4, 81.1, 134),
        "PAN R101 ensemble": (55.3, 82.8, 251),
        "ir-CSN-101": (48.4, None, 73.8, 22.1),
        "ir-CSN-152": (49.3, None, 96.7),
        "TSM-16f": (47.2, 77.1, 65, 24.3),
      },
    ),
    network(
      "X3D-M RGB 16f",
      {"SSv1": X3D},
      COLUMNS,
      (46.7, 75.5, 6.4, 3.3),
      "rerun",
      evaluation=(*VIEWS, *TEST),
      cost=Cost(f"configs/{X3D}", (), 174, (16, 256, 256)),
      mini={"": Training("configs/mix.py:rgb,backbone=x3d", SMALL, VIEWS)},
    ),
    bqn("BQN R50 24f", "", (51.7, 80.5, 60, 47.4), views=(), mini=mini((), *SHORT_MINI)),
    bqn("BQN R50 24f 3x2", "", (53.3, 82.0, 60, 47.4), mini=mini(VIEWS, *SHORT_MINI)),
    bqn("BQN R50 48f 3x2", "", (54.3, 82.0, 121, 47.4), LONG, mini=mini(VIEWS)),
    bqn("BQN R101 48f 3x2", ",backbone=resnet101", (54.9, 81.7, 231, 85.4), LONG, mini=mini(VIEWS, *DEEPER)),
    bqn(
      "BQN X3D-M 48f, from scratch",
      ",backbone=x3d_m,start=scratch",
      (50.6, 79.2, 9.7, 6.6),
      reasons=BACKBONES,
      mini=mini(VIEWS, name="mini_x3d"),
    ),
    bqn("BQN X3D-M 48f, from Kinetics", ",backbone=x3d_m", (53.7, 81.8, 9.7, 6.6), reasons=BACKBONES),
    Row(
      "BQN ensemble",
      numbers(COLUMNS, (57.1, 84.2, 241, 92)),
      partners=("BQN R101 48f 3x2", "BQN X3D-M 48f, from Kinetics"),
      reasons={"params M": "the print adds up its own 85.4 and 6.6"},
    ),
  ),
  pairs=table_5_3.PAIRS,
  epochs=6.0,
)

if __name__ == "__main__":
  run_table(TABLE)
