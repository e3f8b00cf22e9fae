"""Networks on the papers' data, as several tables of the thesis have them."""

from collections.abc import Mapping, Sequence

from experiments.tables.row import Cost, Kind, Row, Training, numbers

TEST = "--size=256", "--short_side=256"
SOMETHING = ("--views=2x3", *TEST)
KINETICS = ("--views=10x3", *TEST)
FOLDS = (1, 2, 3)


def network(
  name: str,
  configs: Mapping[str, str],
  columns: Sequence[str],
  printed: Sequence[float | None],
  kind: Kind = "own",
  flags: tuple[str, ...] = (),
  evaluation: tuple[str, ...] = (),
  folds: tuple[int, ...] = (),
  cost: Cost | None = None,
  mini: Mapping[str, Training] | None = None,
  note: str = "",
  reasons: Mapping[str, str] | None = None,
) -> Row:
  """A row that is trained on the paper's data.

  Args:
    name: of the row.
    configs: data set -> what follows "configs/".
    columns: of the table.
    printed: its numbers.
    kind: of the row.
    flags: of vidjax.train.
    evaluation: of vidjax.evaluate.
    folds: to average.
    cost: what is counted.
    mini: what is trained at mini scale.
    note: what the reader must know.
    reasons: why counts differ, by column.
  """
  full = {data: Training(f"configs/{config}", flags, evaluation, folds) for data, config in configs.items()}
  return Row(name, numbers(columns, printed), kind, mini or {}, full, cost, note=note, reasons=reasons or {})
