"""Printed and own numbers side by side: Markdown, CSV, a picture, and Kendall's tau of the two orders."""

import collections
import csv
import json
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from scipy.stats import kendalltau

from experiments.tables.counted import compare, costs_of, total, whole_cost
from experiments.tables.row import Cost, Row, Table
from vidjax.analyse.pictures import save_figure
from vidjax.evaluate.manifest import digest
from vidjax.files import whole, write_text
from vidjax.verify.published import command_line

RANKED = ("own", "rerun")
EXECUTED = "GMAC executed"
DIGITS = 9
"""Means of the same numbers in another order are ties all the same."""
HEADS = [
  "table",
  "row",
  "kind",
  "status",
  "column",
  "seed",
  "number",
  "commit",
  "machine",
  "date",
  "seconds",
  "cores",
  "manifest",
  "command",
]


class Spread(NamedTuple):
  """A number over seeds; `other` says that a part of it is of another commit than the newest."""

  mean: float
  low: float
  high: float
  seeds: int
  other: bool = False

  def __str__(self) -> str:
    """The mean, and the range where seeds differ."""
    return f"{self.mean:.4g}{_range(self.low, self.high, '.4g')}{'*' * self.other}"


def _range(low: float, high: float, form: str) -> str:
  """The two ends in brackets, or nothing where they read alike."""
  ends = f"{low:{form}}", f"{high:{form}}"
  return f" ({ends[0]} to {ends[1]})" if ends[0] != ends[1] else ""


Measured = Mapping[str, Mapping[str, Spread]]
"""Row -> column -> numbers."""


def gather(found: Sequence[Mapping[str, Any]], several: bool | None = None) -> dict[str, dict[str, Spread]]:
  """The stored numbers of a sweep, over the seeds; a column is named by its training, where a row has several.

  Args:
    found: what `Sweep.read` returns.
    several: whether a row has several; None: as `found` has it.
  """
  newest = max(found, key=lambda one: one["date"], default={}).get("commit")
  many = len({one["column"] for one in found}) > 1 if several is None else several
  numbers = collections.defaultdict(list)
  for one in found:
    for name, number in one["numbers"].items():
      column = f"{one['column']}, {name}" if many else name
      numbers[one["row"], column].append((number, one["commit"] != newest))
  result: dict[str, dict[str, Spread]] = collections.defaultdict(dict)
  for (row, column), values in numbers.items():
    own = [number for number, _ in values if number == number]
    if own:
      spread = Spread(statistics.mean(own), min(own), max(own), len(own), any(other for _, other in values))
      result[row][column] = spread
  return result


class Agreement(NamedTuple):
  """How far the order of rows is that of the print: Kendall's tau of their means, and its ends over single seeds."""

  printed: str
  own: str
  rows: int
  tau: float
  low: float
  high: float

  def __str__(self) -> str:
    """Tau of the means, and the range where seeds differ."""
    return f"{self.tau:.2f}{_range(self.low, self.high, '.2f')}"


def agreement(table: Table, found: Sequence[Mapping[str, Any]]) -> list[Agreement]:
  """The pairs of a table of which two rows or more are trained; a seed that lacks some of these rows has no tau.

  Args:
    table: the table.
    found: what `Sweep.read` returns.
  """
  several = len({one["column"] for one in found}) > 1
  measured = gather(found, several)
  alone = [
    gather([one for one in found if one["seed"] == seed], several) for seed in sorted({one["seed"] for one in found})
  ]
  result = []
  for pair in table.pairs:
    whole_tau, rows = _tau(table, measured, pair)
    taus = [value for value, count in (_tau(table, one, pair) for one in alone) if count == rows and value == value]
    if rows > 1:
      result.append(Agreement(*pair, rows, whole_tau, min(taus, default=whole_tau), max(taus, default=whole_tau)))
  return result


def _tau(table: Table, measured: Measured, pair: tuple[str, str]) -> tuple[float, int]:
  """Kendall's tau-b between what is printed and what was measured, and the number of rows; cited rows take no part."""
  both = [
    (row.printed[pair[0]], round(measured[row.name][pair[1]].mean, DIGITS))
    for row in table.rows
    if row.kind in RANKED and pair[0] in row.printed and pair[1] in measured.get(row.name, {})
  ]
  if len(both) < 2:
    return float("nan"), len(both)
  result: Any = kendalltau([a for a, _ in both], [b for _, b in both])
  return float(result.statistic), len(both)


def markdown(table: Table, found: Sequence[Mapping[str, Any]]) -> str:
  """The table with printed numbers, then measured ones.

  Args:
    table: the table.
    found: what `Sweep.read` returns.
  """
  measured = gather(found)
  printed = list(dict.fromkeys(column for row in table.rows for column in row.printed))
  own = list(dict.fromkeys(column for row in measured.values() for column in row))
  seeds = {spread.seeds for row in measured.values() for spread in row.values()}
  heads = [*(f"{name}, printed" for name in printed), *(f"{name}, here" for name in own)]
  lines = [
    f"| {table.title} | | {' | '.join(heads)} |",
    "|---" * (2 + len(printed) + len(own)) + "|",
  ]
  for row in table.rows:
    cells = [f"{row.printed[name]:g}" if name in row.printed else "" for name in printed]
    cells += [str(measured[row.name][name]) if name in measured.get(row.name, {}) else "" for name in own]
    lines.append(f"| {row.name} | {row.kind} | {' | '.join(cells)} |")
  lines.append("")
  if seeds == {1}:
    lines += ["One seed."] * any(one["seed"] is not None for one in found)
  elif seeds:
    count = " or ".join(map(str, sorted(seeds)))
    lines.append(f"Means over {count} seeds; the smallest and the largest in brackets where they differ.")
  for one in agreement(table, found):
    lines.append(f"Kendall's tau of {one.own!r} here and {one.printed!r} in print, {one.rows} rows: {one}.")
  if any(spread.other for row in measured.values() for spread in row.values()):
    lines.append("* some seeds were trained at another commit than the newest.")
  lines += [f"{row.name}: {row.note}" for row in table.rows if row.note]
  return "\n".join(lines) + "\n"


class Counts(NamedTuple):
  """What is counted of a table.

  Attributes:
    text: as a table in Markdown.
    unexplained: how counts differ from the print, where no reason is known.
    lines: of a file: table, row, kind, column, what is printed and what is counted, "" where there is none.
  """

  text: str
  unexplained: list[str]
  lines: list[tuple[str, ...]]


def costs(table: Table, rows: Sequence[Row], more: bool = False) -> Counts:
  """Counts rows.

  Args:
    table: that holds the rows.
    rows: those with a cost are counted, or whose partners have.
    more: of a table without any cost, count the networks that its rows train on the paper's data.
  """
  every = [(row, costs_of(table, row)) for row in rows]
  if more and not any(row.cost for row in table.rows):
    every = [(row, [one] if (one := whole_cost(row)) else []) for row in rows]
  every = [(row, found) for row, found in every if found]
  columns = [column for column in table.units if any(column in row.printed for row, _ in every)]
  counted = any(isinstance(one, Cost) for _, found in every for one in found)
  others = [*(column for column in table.units if column not in columns), *[EXECUTED] * counted]
  units = {**table.units, EXECUTED: "GMAC"}
  heads = [table.title, *(text for column in columns for text in (f"{column}, printed", f"{column}, here")), *others]
  text = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
  unexplained: list[str] = []
  notes: list[str] = []
  lines: list[tuple[str, ...]] = []
  for row, parts in every:
    found = total(parts)
    differences = compare(table, row, found)
    cells = []
    for column in (*columns, *others):
      printed = f"{row.printed[column]:g}" if column in row.printed else ""
      here = _count(found, units[column])
      cells += [printed, here] if column in columns else [here]
      lines += [(table.title, row.name, row.kind, column, printed, here.replace(",", ""))] * bool(here)
    text.append(f"| {row.name} | {' | '.join(cells)} |")
    notes += [f"{one}: {row.reasons.get(column, 'no reason is known')}." for column, one in differences.items()]
    unexplained += [one for column, one in differences.items() if column not in row.reasons]
    unexplained += [f"{row.name}: {one} has a reason, but does not differ" for one in set(row.reasons) - {*differences}]
  text += ["", *["Counted as the papers do, but for the last column."] * counted]
  text += [_differs(table.tolerance) if notes else _agreed(table.tolerance)] * bool(columns)
  return Counts("\n".join([*text, *notes]) + "\n", unexplained, lines)


def _differs(tolerance: float) -> str:
  return f"What differs from the print{f' by more than {tolerance:.2%}' if tolerance else ''}:"


def _agreed(tolerance: float) -> str:
  return f"All is as printed, within {tolerance:.2%}." if tolerance else "All is exactly as printed."


def _count(found: Mapping[str, float], unit: str) -> str:
  """A number in a cell, in full where it counts things; empty where there is none."""
  number = found.get(unit)
  return "" if number is None else f"{number:,}" if isinstance(number, int) else f"{number:.4g}"


def write_csv(path: pathlib.Path, table: Table, scale: str, found: Sequence[Mapping[str, Any]]) -> None:
  """One line for each row, column, seed and number, with what it came from, or "not run" for a row without numbers.

  A row that is cited, or only counted, has its printed numbers alone. What a training does not have (NaN) is left out.

  Args:
    path: of the file.
    table: whose printed numbers of a row of one seed come first.
    scale: "mini" or "full".
    found: what `Sweep.read` returns.
  """
  with whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(HEADS)
    for row in table.rows:
      for column, number in row.printed.items():
        writer.writerow([table.title, row.name, row.kind, "printed", column, "", number, *[""] * (len(HEADS) - 7)])
      own = [one for one in found if one["row"] == row.name]
      trainable = row.mini or row.full or row.partners or row.cost is None
      if not own and trainable and row.kind != "cited":
        writer.writerow([table.title, row.name, row.kind, "not run", *[""] * (len(HEADS) - 4)])
      for one in own:
        there = {name: number for name, number in one["numbers"].items() if number == number}
        for name, number in there.items():
          column = ", ".join(filter(None, (one["column"], name)))
          manifest = digest(one["manifest"]) if one.get("manifest") else ""
          origin = one["commit"], one["machine"], one["date"], one["seconds"], one["cores"], manifest
          own_row = table.title, row.name, row.kind, f"trained {scale}", column, one["seed"], f"{number:.6g}"
          writer.writerow([*own_row, *origin, command_line(one["command"])])


def write_manifests(path: pathlib.Path, found: Sequence[Mapping[str, Any]]) -> None:
  """Writes what numbers were measured on, by the digest that `results.csv` names it by.

  Args:
    path: of the file.
    found: what `Sweep.read` returns, of one table or more.
  """
  every = [one["manifest"] for one in found if one.get("manifest")]
  write_text(path, json.dumps({digest(one): one for one in every}, indent=1) + "\n")


def draw(path: pathlib.Path, table: Table, measured: Measured) -> None:
  """A panel for each pair of columns: the mean and the range of each row, and what is printed on an axis of its own.

  A table that has none has a panel for each accuracy.

  Args:
    path: of the picture.
    table: the table.
    measured: of its rows.
  """
  own = dict.fromkeys(name for row in measured.values() for name in row if name.endswith("top-1 %"))
  pairs = table.pairs or tuple(("", name) for name in own)
  panels = [(pair, [row for row in table.rows if pair[1] in measured.get(row.name, {})]) for pair in pairs]
  panels = [(pair, rows) for pair, rows in panels if rows]
  if not panels:
    return
  height = 1.3 + 0.32 * max(len(rows) for _, rows in panels)
  figure = Figure(figsize=(4.6 * len(panels), height), dpi=150, layout="constrained")
  for number, (pair, rows) in enumerate(panels):
    axes = figure.add_subplot(1, len(panels), number + 1)
    places = range(len(rows))
    spreads = [measured[row.name][pair[1]] for row in rows]
    ends = [[s.mean - s.low for s in spreads], [s.high - s.mean for s in spreads]]
    axes.errorbar([s.mean for s in spreads], places, xerr=ends, fmt="o", color="tab:blue", capsize=2, markersize=5)
    axes.set_yticks(places, [row.name for row in rows], fontsize=7)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(f"{pair[1]}, here", color="tab:blue", fontsize=8)
    axes.tick_params(axis="x", labelsize=7)
    printed = [(place, row.printed[pair[0]]) for place, row in zip(places, rows, strict=True) if pair[0] in row.printed]
    if printed:
      above = axes.twiny()
      above.plot([x for _, x in printed], [y for y, _ in printed], "D", color="tab:grey", markersize=4)
      above.set_xlabel(f"{pair[0]}, printed", color="tab:grey", fontsize=8)
      above.tick_params(axis="x", labelsize=7)
  save_figure(figure, path)
