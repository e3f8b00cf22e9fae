"""BQN beside other methods on Kinetics-400 (thesis Table 5.10); costs of all views are added up.

No synthetic set stands for Kinetics and its dense sampling: mini networks of these rows are those of Table 5.9, and
would have its numbers.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Cost, Row, Table, cited
from experiments.thesis.full import KINETICS, network

COLUMNS = "K400 top-1", "K400 top-5", "GFLOPs"


def bqn(name: str, given: str, segments: int, views: str, times: int, *printed: float) -> Row:
  """A BQN, as `configs/bqn.py` names them."""
  config, flags = f"bqn.py:kinetics400{given}", (f"--config.sampler.num_segments={segments}",)
  cost = Cost(f"configs/{config}", flags, 400, times=times)
  return network(name, {"K400": config}, COLUMNS, printed, flags=flags, evaluation=(f"--views={views}",), cost=cost)


TABLE = Table(
  "thesis Table 5.10",
  (
    *cited(
      COLUMNS,
      {
        "bLVNet": (72.0, 90.6, 561),
        "TSM": (74.7, None, 2580),
        "TEINet": (76.2, 92.5, 2580),
        "TEA": (76.1, 92.5, 2100),
        "STM": (73.7, 91.6, 2010),
        "VoV3D": (74.7, 92.1, 172),
        "SlowFast": (75.6, 92.1, 1083),
        "CorrNet": (77.2, None, 1150),
        "R(2+1)D": (72.0, 91.4, 1520),
        "ip-CSN": (76.7, 92.3, 2490),
        "SF+GTA": (79.8, 94.1, 4110),
        "SmallBig": (77.4, 93.3, 6552),
        "TSN": (69.1, 88.7, 530),
        "PAN": (74.4, 91.6, 176),
        "I3D": (71.1, 89.3),
        "Oct-I3D": (74.6,),
        "NL-I3D": (77.7, 93.3, 10_770),
      },
    ),
    network(
      "X3D-M",
      {"K400": "tsm.py:kinetics400,backbone=x3d_m"},
      COLUMNS,
      (75.1, 92.2, 186),
      "rerun",
      evaluation=KINETICS,
      cost=Cost("configs/tsm.py:kinetics400,backbone=x3d_m", (), 400, (16, 256, 256), times=30),
      reasons={"GFLOPs": "the print has the 6.2 of X3D's paper 30 times, the executed ones; Table 5.9 has 6.4"},
    ),
    bqn("BQN R50 48f x10", "", 16, "10x1", 10, 76.8, 92.4, 1210),
    bqn("BQN R50 72f x10", "", 24, "10x1", 10, 77.3, 93.2, 1820),
    bqn("BQN X3D-M 48f x30", ",backbone=x3d_m", 16, "10x3", 30, 77.1, 92.5, 291),
  ),
  pairs=(("K400 top-1", "top-1 %"), ("K400 top-5", "top-5 %")),
)

if __name__ == "__main__":
  run_table(TABLE)
