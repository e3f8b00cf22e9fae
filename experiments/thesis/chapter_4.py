"""What the tables of chapter 4 have in common: `configs/attention.py` at three scales."""

from experiments.tables.published import SETS
from experiments.tables.row import Cost, Row, Training

NAMES = {"K400": "kinetics400", "SSv1": "ssv1"}
TEST = "--size=256", "--short_side=256"
KINETICS, SOMETHING = ("--views=10x3", *TEST), ("--views=2x3", *TEST)
SITES = "--config.model.backbone.inserts[1].module", "--config.model.backbone.inserts[2].module"
"""Of the block in res3 and that in res4."""


def options(attention: str, *more: str) -> str:
  """What follows the name of the config.

  Args:
    attention: which.
    *more: further options.
  """
  return ",".join((f"attention={attention}", *more))


def row(
  name: str,
  printed: dict[str, float],
  given: str,
  flags: tuple[str, ...] = (),
  data: tuple[str, ...] = ("K400",),
  kind: str = "own",
  note: str = "",
  counted: tuple[str, tuple[str, ...]] | None = None,
  evaluation: tuple[str, ...] = (),
) -> Row:
  """A network of chapter 4.

  Args:
    name: of the row.
    printed: its numbers.
    given: options of the config.
    flags: that change it.
    data: the data sets of the table.
    kind: of the row.
    note: what the reader must know.
    counted: options and flags of the network that the table counts, where it counts.
    evaluation: flags of vidjax.evaluate; the centre crop by default.
  """
  full = {key: Training(f"configs/attention.py:{NAMES[key]},{given}", flags, evaluation) for key in data}
  mini = {"": Training(f"configs/attention.py:mini,{given}", flags)}
  cost = None
  if counted:
    cost = Cost(f"configs/attention.py:{NAMES[data[0]]},{counted[0]}", counted[1], SETS[data[0]].classes)
  return Row(name, printed, kind, mini, full, cost, note=note)  # pyright: ignore[reportArgumentType]
