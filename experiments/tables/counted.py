"""The scale "cost": parameters and multiply-accumulates of every row, counted from shapes in seconds."""

import functools
from collections.abc import Mapping, Sequence

from experiments.tables.published import SETS
from experiments.tables.row import Cost, Row, Stated, Table
from vidjax.analyse.module_costs import all_module_costs
from vidjax.command import config_with
from vidjax.run.opened import Run


@functools.cache
def count(cost: Cost | Stated) -> dict[str, float]:
  """ "params" (M), "GFLOPs" as the papers count (thop, one for a multiply-accumulate), and "GMAC" as executed.

  "MB" is the size of a file with 8 bytes for each parameter, in 2^20 bytes, as TTSN's are.
  """
  if isinstance(cost, Stated):
    return dict(cost.make())
  run = Run(config_with(cost.config, cost.flags), [str(i) for i in range(cost.classes)])
  shape = run.clip_shape if cost.clip is None else (*cost.clip, run.clip_shape[-1])
  counted = all_module_costs(run.network, shape, cost.training)
  module = {convention: next(row for row in rows if row.path == cost.below) for convention, rows in counted.items()}
  return {
    "params": module["real"].params / 1e6,
    "params k": module["real"].params / 1e3,
    "MB": 8 * module["real"].params / 2**20,
    "MFLOPs": cost.times * module["thop"].macs / 1e6,
    "GFLOPs": cost.times * module["thop"].macs / 1e9,
    "GMAC": cost.times * module["real"].macs / 1e9,
  }


def costs_of(table: Table, row: Row) -> list[Cost | Stated]:
  """What is counted of a row: its cost, or those of its partners, which are added up; none where one has none.

  Args:
    table: that holds it.
    row: any.
  """
  if row.cost or not row.partners:
    return [row.cost] if row.cost else []
  found = [table.row(name).cost for name in row.partners]
  return [one for one in found if one] if all(found) else []


def whole_cost(row: Row) -> Cost | None:
  """The cost of what a row trains on the paper's data, the first set of it; None where it trains nothing there."""
  for data, training in row.full.items():
    return Cost(training.config, training.flags, SETS[data].classes)
  return None


def total(costs: Sequence[Cost | Stated]) -> dict[str, float]:
  """The sum of what `count` says of several.

  Args:
    costs: one or more.
  """
  found = [count(one) for one in costs]
  return {unit: sum(one[unit] for one in found) for unit in found[0]}


def compare(table: Table, row: Row, found: Mapping[str, float]) -> dict[str, str]:
  """Printed column -> how the count differs from it, for those that differ by more than the table's tolerance.

  Args:
    table: that holds it.
    row: of printed numbers.
    found: what is counted of it.
  """
  differences = {}
  for column, unit in table.units.items():
    printed = row.printed.get(column)
    if printed is not None and abs(found[unit] - printed) > table.tolerance * printed:
      here = f"{found[unit]:,}" if isinstance(found[unit], int) else f"{found[unit]:.4g}"
      differences[column] = f"{row.name}: {column} {here} here, {printed:,g} in print"
  return differences
