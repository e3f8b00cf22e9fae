"""The scale "cost": parameters and multiply-accumulates of every row, counted from shapes in seconds."""

import functools

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


def compare(table: Table, row: Row) -> tuple[dict[str, float], list[str]]:
  """What is counted of a row, and a line for each printed number that it differs from.

  Args:
    table: that holds it.
    row: one with a cost.
  """
  assert row.cost
  found = count(row.cost)
  differences = []
  for column, unit in table.units.items():
    printed = row.printed.get(column)
    if printed is not None and abs(found[unit] - printed) > table.tolerance * printed:
      here = f"{found[unit]:,}" if isinstance(found[unit], int) else f"{found[unit]:.4g}"
      differences.append(f"{row.name}: {column} {here} here, {printed:,g} in print")
  return found, differences
