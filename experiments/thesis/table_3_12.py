"""Input representations before one network (thesis Table 3.12), of which 5.1 prints more data sets.

At mini scale all read the same 24 frames, 8 segments of 3. Sets of scenes stand for UCF101, where the background helps,
and `order` for Something-Something, where it does not.
"""

from typing import Any

from experiments.tables.command import run_table
from experiments.tables.row import Cost, Kind, Row, Table, Training, cited, numbers

DATA = {f"scene {share}": f"--config.data.name=synthetic_actions/scene:{share}" for share in (".5", ".7", ".9")}
"""The background tells the class in this share of the training clips, and not in validation."""


SETS = "SSv1", "UCF101"
COLUMNS = "SSv1 top-1", "UCF101 top-1", "GFLOPs", "params k"


def inputs(config: str) -> dict[str, Training]:
  """A mini training on each data set."""
  return {**{name: Training(config, (flag,)) for name, flag in DATA.items()}, "order": Training(config)}


def full(name: str, *data: str) -> dict[str, Training]:
  """An input of `configs/inputs.py` before TSM-ResNet-50.

  Args:
    name: of the input.
    *data: data sets of the table.
  """
  names = {"SSv1": "ssv1", "UCF101": "ucf101", "K400": "kinetics400"}
  return {key: Training(f"configs/inputs.py:{name},data={names[key]}") for key in data}


def row(name: str, config: str, full_config: str, *printed: float, kind: Kind = "rerun", **more: Any) -> Row:
  """An input.

  Args:
    name: of the row.
    config: its name in `configs/inputs.py`.
    full_config: the same at full scale.
    *printed: by COLUMNS.
    kind: of the row.
    **more: further fields of the row.
  """
  mini, whole = inputs(f"configs/inputs.py:{config}"), full(full_config, *SETS)
  return Row(name, numbers(COLUMNS, printed), kind, mini, whole, **more)


TABLE = Table(
  "thesis Table 3.12",
  (
    row("RGB", "rgb", "rgb", 46.5, 87.1),
    row("RGB difference", "rgb_difference", "rgb_difference", 46.6, 87.0),
    row("TV-L1 flow", "flow", "stored_flow", 37.4, 88.5),
    Row("RGB + flow", numbers(COLUMNS, (49.8, 93.9)), "rerun", partners=("RGB", "TV-L1 flow")),
    row("dynamic image", "dynamic_image", "dynamic_image", 43.3, 86.2),
    *cited(COLUMNS, {"FlowNetC": (26.3, 87.3, 444, 39_200), "FlowNetS": (23.4, 86.8, 356, 38_700)}),
    row(
      "TVNet",
      "frozen_tvnet",
      "frozen_tvnet",
      45.2,
      88.6,
      3.3,
      0.2,
      cost=Cost("configs/inputs.py:frozen_tvnet,data=ssv1", (), 174, below="representation"),
      reasons={
        "GFLOPs": "its sums of shifted frames are no convolutions that are counted",
        "params k": "its 170 numbers are not trained",
      },
    ),
    row("squeezed image", "tsp", "tsp", 42.7, 88.5, kind="own", note="with the projection loss, as in the thesis"),
    row(
      "dynamic appearance",
      "pwtp",
      "pwtp",
      48.7,
      89.7,
      0.23,
      7.13,
      kind="own",
      cost=Cost("configs/inputs.py:pwtp,data=ssv1", (), 174, below="representation"),
      note="7,100 parameters here; no structure has the printed 7.13k exactly",
    ),
  ),
  pairs=(
    *(("UCF101 top-1", f"{name}, top-1 %") for name in (*DATA, "UCF101")),
    *(("SSv1 top-1", f"{name}, top-1 %") for name in ("order", "SSv1")),
  ),
  epochs=4.0,
  units={"GFLOPs": "GFLOPs", "params k": "params k"},
)

if __name__ == "__main__":
  run_table(TABLE)
