"""A table of a paper as data: its rows, what is printed, and what stands for a row at each scale."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

from experiments.tables.measures import top1

Measure = Callable[[pathlib.Path], Mapping[str, float]]
"""A run's folder -> named numbers, the columns of a table."""


@dataclasses.dataclass(frozen=True)
class Training:
  """What is trained for a row, and how the trained network is evaluated.

  Attributes:
    config: as `--config` of vidjax.train.
    flags: of vidjax.train.
    evaluation: flags of vidjax.evaluate, such as `--views=2x3`; none: what training itself reports at its end.
    folds: train one run on each, and average their numbers.
    shares: another row, and how many of its first phases this one has in common with it: they are copied.
    start: another column of the same row; its run is what this training starts from. Not together with `shares`.
  """

  config: str
  flags: tuple[str, ...] = ()
  evaluation: tuple[str, ...] = ()
  folds: tuple[int, ...] = ()
  shares: tuple[str, int] | None = None
  start: str = ""


@dataclasses.dataclass(frozen=True)
class Cost:
  """A network to be counted.

  Attributes:
    config: as `--config`.
    flags: that change it.
    classes: of the classifier.
    clip: (frames, height, width), by default that of the config's test crop.
    times: views whose cost the paper adds up, or clips of a batch.
    training: count the pass of a training step.
    below: count the module of this path alone.
  """

  config: str
  flags: tuple[str, ...] = ()
  classes: int = 400
  clip: tuple[int, int, int] | None = None
  times: float = 1
  training: bool = False
  below: str = ""


@dataclasses.dataclass(frozen=True)
class Stated:
  """Numbers that are no network's cost: a function of this repository states them.

  Attributes:
    make: the function; its keys are the values of `Table.units`.
  """

  make: Callable[[], Mapping[str, float]]


Kind = Literal["own", "rerun", "cited", "ours"]


@dataclasses.dataclass(frozen=True)
class Row:
  """A row.

  Attributes:
    name: unique in its table.
    printed: column of the paper -> its number.
    kind: "own" rows are the paper's, "rerun" rows are baselines that it ran. "cited" ones are printed, never trained
      and never ranked. "ours" rows are not in the paper.
    mini: column -> what is trained at mini scale; the column "" where there is one training alone.
    full: data set (a name of `published.SETS`) -> what is trained on the paper's data.
    cost: what is counted, or stated.
    partners: rows whose scores are averaged in place of a training; without a cost, theirs are added.
    note: what the reader must know.
    reasons: printed column of a cost -> why the count differs from the print.
  """

  name: str
  printed: Mapping[str, float] = dataclasses.field(default_factory=dict)
  kind: Kind = "own"
  mini: Mapping[str, Training] = dataclasses.field(default_factory=dict)
  full: Mapping[str, Training] = dataclasses.field(default_factory=dict)
  cost: Cost | Stated | None = None
  partners: tuple[str, ...] = ()
  note: str = ""
  reasons: Mapping[str, str] = dataclasses.field(default_factory=dict)


def numbers(columns: Sequence[str], values: Sequence[float | None]) -> dict[str, float]:
  """Printed numbers by column, without those that are None or left off at the end.

  Args:
    columns: their names.
    values: in their order.
  """
  return {column: value for column, value in zip(columns, values, strict=False) if value is not None}


def cited(columns: Sequence[str], rows: Mapping[str, Sequence[float | None]]) -> tuple[Row, ...]:
  """Rows that a paper takes from others.

  Args:
    columns: of the table.
    rows: name -> numbers, see `numbers`.
  """
  return tuple(Row(name, numbers(columns, values), "cited") for name, values in rows.items())


@dataclasses.dataclass(frozen=True)
class Table:
  """A table.

  Attributes:
    title: such as "thesis Table 3.9".
    rows: in the order of the paper.
    measure: numbers of a trained run.
    pairs: (printed column, measured column): what is compared by Kendall's tau.
    epochs: of a mini training; None: as the configs say.
    units: printed column of a cost -> what `counted.count` calls it.
    tolerance: share by which a count may differ from the print.
    picture: `(path, table, measured)` draws `table.png`; None: as `shown.draw`.
    data: data set that mini trainings read -> the commands that prepare it; synthetic clips need none.
  """

  title: str
  rows: Sequence[Row]
  measure: Measure = top1
  pairs: tuple[tuple[str, str], ...] = ()
  epochs: float | None = None
  units: Mapping[str, str] = dataclasses.field(default_factory=lambda: {"GFLOPs": "GFLOPs", "params M": "params"})
  tolerance: float = 0.01
  picture: Callable[..., None] | None = None
  data: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)

  def row(self, name: str) -> Row:
    """The row of a name."""
    return next(row for row in self.rows if row.name == name)

  def trained(self, scale: str) -> Iterator[tuple[Row, str, Training]]:
    """(row, column, training) of all that is trained at a scale, what others have phases of or start from first.

    Args:
      scale: "mini" or "full".
    """
    found = [(row, column, training) for row in self.rows for column, training in getattr(row, scale).items()]
    yield from sorted(found, key=lambda one: len(self.before(one[0].name, scale, one[1])))

  def before(self, name: str, scale: str, column: str) -> list[tuple[str, str]]:
    """(row, column) of the trainings that one has phases of or starts from, also by others, the nearest first.

    Args:
      name: of its row.
      scale: "mini" or "full".
      column: of the training.
    """
    found: list[tuple[str, str]] = []
    while (training := getattr(self.row(name), scale)[column]).shares or training.start:
      name, column = (training.shares[0], column) if training.shares else (name, training.start)
      found.append((name, column))
    return found
