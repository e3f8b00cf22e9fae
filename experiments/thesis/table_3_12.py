"""Input representations before one network (thesis Table 3.12), of which 5.1 prints more data sets."""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table, Training

DATA = {f"scene {share}": f"--config.data.name=synthetic_actions/scene:{share}" for share in (".5", ".7", ".9")}
"""The background tells the class in this share of the training clips, and not in validation."""


SETS = "SSv1", "UCF101"


def inputs(config: str) -> dict[str, Training]:
  """A mini training on each data set."""
  return {name: Training(config, (flag,)) for name, flag in DATA.items()}


def full(name: str, *data: str) -> dict[str, Training]:
  """An input of `configs/inputs.py` before TSM-ResNet-50.

  Args:
    name: of the input.
    *data: data sets of the table.
  """
  names = {"SSv1": "ssv1", "UCF101": "ucf101", "K400": "kinetics400"}
  return {key: Training(f"configs/inputs.py:{name},data={names[key]}") for key in data}


def printed(ssv1: float, ucf101: float) -> dict[str, float]:
  """The numbers of a row."""
  return {"SSv1 top-1": ssv1, "UCF101 top-1": ucf101}


TABLE = Table(
  "thesis Table 3.12",
  (
    Row("RGB", printed(46.5, 87.1), "rerun", inputs("configs/inputs.py:rgb"), full("rgb", *SETS)),
    Row(
      "RGB difference",
      printed(46.6, 87.0),
      "rerun",
      inputs("configs/inputs.py:rgb_difference"),
      full("rgb_difference", *SETS),
    ),
    Row("TV-L1 flow", printed(37.4, 88.5), "rerun", inputs("configs/inputs.py:flow"), full("stored_flow", *SETS)),
    Row("RGB + flow", printed(49.8, 93.9), "rerun", partners=("RGB", "TV-L1 flow")),
    Row(
      "dynamic image",
      printed(43.3, 86.2),
      "rerun",
      inputs("configs/inputs.py:dynamic_image"),
      full("dynamic_image", *SETS),
    ),
    Row("FlowNetC", printed(26.3, 87.3), "cited"),
    Row("FlowNetS", printed(23.4, 86.8), "cited"),
    Row("TVNet", printed(45.2, 88.6), "rerun", inputs("configs/inputs.py:frozen_tvnet"), full("frozen_tvnet", *SETS)),
    Row(
      "squeezed image",
      printed(42.7, 88.5),
      "own",
      inputs("configs/tesnet.py:mini"),
      full("tsp", *SETS),
      note="with the projection loss, as in the thesis",
    ),
    Row("dynamic appearance", printed(48.7, 89.7), "own", inputs("configs/dan.py:mini"), full("pwtp", *SETS)),
  ),
  pairs=tuple(("UCF101 top-1", f"{name}, top-1 %") for name in DATA),
  epochs=4.0,
)

if __name__ == "__main__":
  run_table(TABLE)
