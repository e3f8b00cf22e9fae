"""MBPM beside other input representations (thesis Table 5.1)."""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table
from experiments.thesis.table_3_12 import DATA, full, inputs

SETS = "UCF101", "SSv1", "K400"
COLUMNS = "UCF101 top-1", "SSv1 top-1", "K400 top-1", "GFLOPs", "params k"


def printed(*numbers: float | None) -> dict[str, float]:
  """The numbers of a row; None where the table has none."""
  return {name: number for name, number in zip(COLUMNS, numbers, strict=False) if number is not None}


TABLE = Table(
  "thesis Table 5.1",
  (
    Row("RGB", printed(87.1, 46.5, 71.2), "rerun", inputs("configs/inputs.py:rgb"), full("rgb", *SETS)),
    Row(
      "RGB difference",
      printed(87.0, 46.6, 71.4),
      "rerun",
      inputs("configs/inputs.py:rgb_difference"),
      full("rgb_difference", *SETS),
    ),
    Row("TV-L1 flow", printed(88.5, 37.4, 55.7), "rerun", inputs("configs/inputs.py:flow"), full("stored_flow", *SETS)),
    Row(
      "dynamic image",
      printed(86.2, 43.4, 68.3),
      "rerun",
      inputs("configs/inputs.py:dynamic_image"),
      full("dynamic_image", *SETS),
    ),
    Row("FlowNetC", printed(87.3, 26.3, None, 444, 39_200), "cited"),
    Row("FlowNetS", printed(86.8, 23.4, None, 356, 38_700), "cited"),
    Row(
      "TVNet",
      printed(88.6, 45.2, 58.5, 3.3, 0.2),
      "rerun",
      inputs("configs/inputs.py:frozen_tvnet"),
      full("frozen_tvnet", *SETS),
    ),
    Row(
      "persistent appearance",
      printed(89.5, 45.1, 57.3, 2.8, 1.1),
      "rerun",
      inputs("configs/inputs.py:persistent_appearance"),
      full("persistent_appearance", *SETS),
    ),
    Row("MBPM", printed(90.3, 48.0, 72.3, 0.3, 0.2), "own", inputs("configs/inputs.py:mbpm"), full("mbpm", *SETS)),
  ),
  pairs=tuple(("UCF101 top-1", f"{name}, top-1 %") for name in DATA),
  epochs=4.0,
)

if __name__ == "__main__":
  run_table(TABLE)
