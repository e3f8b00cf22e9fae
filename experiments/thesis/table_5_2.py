"""MBPM before other backbones (thesis Table 5.2); at mini scale they have three small stages.

Rows of ResNet-50 are those of Table 3.12 there, by the same commands.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table, Training
from experiments.thesis.full import network

COLUMNS = ("SSv1 top-1",)
MINI = {"mobilenet_v2": "mobilenet,plugins=tsm", "x3d_m": "x3d"}


def row(name: str, given: str, top1: float | None) -> Row:
  """An input before a backbone, as `configs/inputs.py` names them; None: the table has it in an average alone."""
  kind = "ours" if top1 is None else "own" if "MBPM" in name else "rerun"
  first, _, backbone = given.partition(",data=ssv1")
  small = first.removeprefix("stored_")
  mix = f"mix.py:{small},backbone={MINI[backbone.removeprefix(',backbone=')]}" if backbone else f"inputs.py:{small}"
  mini = {"": Training(f"configs/{mix}")}
  return network(name, {"SSv1": f"inputs.py:{given}"}, COLUMNS, (top1,), kind, mini=mini)


TABLE = Table(
  "thesis Table 5.2",
  (
    row("R50, RGB", "rgb,data=ssv1", 46.5),
    row("R50, flow", "stored_flow,data=ssv1", None),
    Row("R50, RGB + flow", {"SSv1 top-1": 49.8}, "rerun", partners=("R50, RGB", "R50, flow")),
    row("R50, MBPM", "mbpm,data=ssv1", 48.0),
    Row("R50, RGB + MBPM", {"SSv1 top-1": 50.3}, partners=("R50, RGB", "R50, MBPM")),
    row("MobileNetV2, RGB", "rgb,data=ssv1,backbone=mobilenet_v2", 38.7),
    row("MobileNetV2, MBPM", "mbpm,data=ssv1,backbone=mobilenet_v2", 39.8),
    row("X3D-M, RGB", "rgb,data=ssv1,backbone=x3d_m", 45.5),
    row("X3D-M, MBPM", "mbpm,data=ssv1,backbone=x3d_m", 46.9),
  ),
  pairs=(("SSv1 top-1", "top-1 %"),),
  epochs=4.0,
)

if __name__ == "__main__":
  run_table(TABLE)
