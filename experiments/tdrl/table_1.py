"""TDRL on Something-Something beside other methods (TDRL, Table 1): validation of V1 and of V2, and their cost.

Labels of the test splits are not public: `python -m vidjax.evaluate --split=test --submission=OUT.csv` writes what
their server takes.

At mini scale rows read clips of 48 frames, so that 16 segments have some each. "x2" tests the same networks on two
clips of a video, with three crops of each; at mini scale frames are square, so that three crops are one.
"""

import dataclasses

from experiments.tables.command import run_table
from experiments.tables.row import Cost, Row, Table, Training, cited, numbers
from experiments.thesis.full import network
from experiments.thesis.mini import LONG

COLUMNS = "GFLOPs", "SSv1 top-1", "SSv1 test", "SSv2 top-1", "SSv2 test"
MINI = {frames: Training(f"configs/tdrl.py:mini,frames={frames}", (LONG,)) for frames in (8, 16)}
"""Mini trainings by frames."""


def row(frames: int, clips: int, *printed: float | None) -> Row:
  """PEM and the TD loss on TIM.

  Args:
    frames: of a clip.
    clips: of a test.
    *printed: see COLUMNS.
  """
  given = f"frames={frames}"
  configs = {name: f"tdrl.py:{name.lower()},{given}" for name in ("SSv1", "SSv2")}
  views = ("--views=2x3",) if clips > 1 else ()
  name = f"TDRL {frames}f" + " x2" * (clips > 1)
  cost = Cost(f"configs/tdrl.py:ssv1,{given}", (), 174, times=6 if clips > 1 else 1)
  mini = {"": dataclasses.replace(MINI[frames], evaluation=("--views=2x1",) if clips > 1 else ())}
  return network(name, configs, COLUMNS, printed, evaluation=views, cost=cost, mini=mini)


TABLE = Table(
  "TDRL Table 1",
  (
    *cited(
      COLUMNS,
      {
        "I3D": (306, 41.6),
        "NL I3D": (334, 44.4),
        "NL I3D + GCN": (606, 46.1, 45.0),
        "TSM 8f": (33, 45.6),
        "TSM 8f x2": (65, 47.3, None, 61.7),
        "TSM 16f": (65, 47.2, 46.0),
        "TSM 8f + 16f": (98, 49.7),
        "TSM RGB + flow": (None, 52.6, 50.7, 64.0, 64.3),
        "TEINet 8f x10": (990, 48.8, None, 64.0, 62.7),
        "TEINet 16f": (66, 49.9, None, 62.1, 60.8),
        "TEINet 16f x10": (1980, 51.0, 44.7, 64.7, 63.0),
        "TEINet 8f + 16f": (99, 52.5, 46.1, 66.5, 64.6),
        "GST 8f": (29.5, 47.0, None, 61.6, 60.0),
        "GST 16f": (59, 48.6, None, 62.6, 61.2),
      },
    ),
    network(
      "TEINet 8f",
      {name: f"tdrl.py:{name.lower()},enhance=mem,td=none" for name in ("SSv1", "SSv2")},
      COLUMNS,
      (33, 47.4, None, 61.3, 60.6),
      "rerun",
      cost=Cost("configs/tdrl.py:ssv1,enhance=mem,td=none", (), 174),
      mini={"": Training("configs/tdrl.py:mini,enhance=mem,td=none", (LONG,))},
    ),
    row(8, 1, 33, 49.8, 42.7, 62.6, 61.4),
    row(8, 2, 198, 50.4, None, 63.5),
    row(16, 1, 66, 50.9, 44.7, 63.8, 62.5),
    row(16, 2, 396, 52.0, None, 65.0),
    Row("TDRL 8f + 16f", numbers(COLUMNS, (99, 54.3, 48.3, 67.0, 65.1)), partners=("TDRL 8f", "TDRL 16f")),
  ),
  pairs=(
    ("SSv1 top-1", "top-1 %"),
    ("SSv1 top-1", "SSv1, top-1 %"),
    ("SSv2 top-1", "SSv2, top-1 %"),
  ),
  epochs=2.0,
)

if __name__ == "__main__":
  run_table(TABLE)
