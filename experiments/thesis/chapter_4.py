"""What the tables of chapter 4 have in common: `configs/attention.py` at three scales."""

from collections.abc import Mapping

from experiments.tables.published import SETS
from experiments.tables.row import Cost, Kind, Row, Training
from experiments.thesis.full import KINETICS, SOMETHING

NAMES = {"K400": "kinetics400", "SSv1": "ssv1"}
VIEWS = {"K400": KINETICS, "SSv1": SOMETHING}
"""Section 4.6: 10 clips of Kinetics or 2 of Something-Something, and three crops of 256 pixels of each."""
SITES = "--config.model.backbone.inserts[1].module", "--config.model.backbone.inserts[2].module"
"""Of the block in res3 and that in res4."""


def options(attention: str, *more: str) -> str:
  """What follows the name of the config.

  Five blocks with SE or RNL have `source=table`: Table 4.6's parameters require SE with a reduction of 16 and RNL with
  3x3x3 in res4, and the accuracies of Tables 4.4 to 4.8 are of the same networks.

  Args:
    attention: which.
    *more: further options.
  """
  five = "blocks=1" not in more and ("se" in attention or "rnl" in attention)
  return ",".join((f"attention={attention}", *["source=table"] * five, *more))


def row(
  name: str,
  printed: dict[str, float],
  given: str,
  flags: tuple[str, ...] = (),
  data: tuple[str, ...] = ("K400",),
  kind: Kind = "own",
  cost: Cost | None = None,
  evaluation: tuple[str, ...] | None = None,
  note: str = "",
  reasons: Mapping[str, str] | None = None,
) -> Row:
  """A network of chapter 4.

  Args:
    name: of the row.
    printed: its numbers.
    given: options of the config.
    flags: that change it.
    data: the data sets of the table.
    kind: of the row.
    cost: what is counted, see `counted`.
    evaluation: flags of vidjax.evaluate; those of VIEWS by default, () for the centre crop.
    note: what the reader must know.
    reasons: why counts differ, by column.
  """
  views = {key: VIEWS[key] if evaluation is None else evaluation for key in data}
  full = {key: Training(f"configs/attention.py:{NAMES[key]},{given}", flags, views[key]) for key in data}
  mini = {"": Training(f"configs/attention.py:mini,{given}", flags)}
  return Row(name, printed, kind, mini, full, cost, note=note, reasons=reasons or {})


def counted(given: str, flags: tuple[str, ...] = (), below: str = "") -> Cost:
  """What a network of chapter 4 costs on Kinetics.

  Args:
    given: options of the config.
    flags: that change it.
    below: path of the module that is counted alone.
  """
  return Cost(f"configs/attention.py:{NAMES['K400']},{given}", flags, SETS["K400"].classes, below=below)
