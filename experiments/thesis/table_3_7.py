"""DAN beside other methods on Kinetics-400 (thesis Table 3.7): 10 x 3 views of 256 pixels, whose cost is added up.

All but DAN is cited, so that mini trainings would only repeat rows of Table 3.6.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Cost, Table, cited
from experiments.thesis.full import KINETICS, network

COLUMNS = "K400 top-1", "K400 top-5", "GFLOPs"

TABLE = Table(
  "thesis Table 3.7",
  (
    *cited(
      COLUMNS,
      {
        "bLVNet": (72.0, 90.6, 561),
        "STM": (73.7, 91.6, 2010),
        "SlowFast": (75.6, 92.1, 1083),
        "ip-CSN": (76.8, 92.5, 2490),
        "SmallBig": (77.4, 93.3, 6552),
        "I3D": (71.1, 89.3),
        "NL-I3D": (77.7, 93.3, 10_770),
        "TSM": (74.7, None, 2577),
      },
    ),
    network(
      "DAN TSM, S=16, T=8",
      {"K400": "dan.py:kinetics400"},
      COLUMNS,
      (75.9, 92.2, 2602),
      evaluation=KINETICS,
      cost=Cost("configs/dan.py:kinetics400", (), 400, (128, 256, 256), times=30),
    ),
    *cited(COLUMNS, {"X3D-M": (76.0, 92.3, 191)}),
    network(
      "DAN-M, S=16, T=8",
      {"K400": "dan.py:kinetics400,backbone=x3d_m"},
      COLUMNS,
      (77.3, 92.8, 216),
      evaluation=KINETICS,
      cost=Cost("configs/dan.py:kinetics400,backbone=x3d_m", (), 400, (128, 256, 256), times=30),
    ),
  ),
  pairs=(("K400 top-1", "top-1 %"),),
)

if __name__ == "__main__":
  run_table(TABLE)
