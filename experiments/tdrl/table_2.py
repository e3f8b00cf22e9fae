"""TDRL on Kinetics-400 beside other methods (TDRL, Table 2): 30 views of 224 pixels, short side 256 (4.2).

33 x 30 GFLOPs are those of 224 pixels. At mini scale both rows are those of Table 1.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table, cited
from experiments.tdrl.table_1 import MINI
from experiments.thesis.full import network

COLUMNS = "K400 top-1", "K400 top-5"
VIEWS = ("--views=10x3",)


def row(frames: int, *printed: float) -> Row:
  """PEM and the TD loss on TIM."""
  config = f"tdrl.py:kinetics400,frames={frames}"
  mini = {"": MINI[frames]}
  return network(f"TDRL {frames}f", {"K400": config}, COLUMNS, printed, evaluation=VIEWS, mini=mini)


TABLE = Table(
  "TDRL Table 2",
  (
    *cited(
      COLUMNS,
      {
        "I3D": (72.1, 90.3),
        "I3D, from scratch": (67.5, 87.2),
        "NL I3D 32f": (74.9, 91.6),
        "NL I3D 128f, R50": (76.5, 92.6),
        "NL I3D 128f, R101": (77.7, 93.3),
        "SlowFast R50": (75.6, 92.1),
        "SlowFast R101": (77.9, 93.2),
        "NL + SlowFast": (79.8, 93.9),
        "LGD": (79.4, 94.4),
        "R(2+1)D": (72.0, 90.0),
        "R(2+1)D, Sports-1M": (74.3, 91.4),
        "ARTNet": (70.7, 89.3),
        "S3D-G": (74.7, 93.4),
        "TSM 16f": (74.7, 91.4),
        "TEINet 8f": (74.9, 91.8),
        "TEINet 16f": (76.2, 92.5),
      },
    ),
    row(8, 75.7, 92.2),
    row(16, 76.9, 93.0),
  ),
  pairs=(("K400 top-1", "top-1 %"), ("K400 top-5", "top-5 %")),
  epochs=2.0,
)

if __name__ == "__main__":
  run_table(TABLE)
