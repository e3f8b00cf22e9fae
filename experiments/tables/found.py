"""The tables of all papers: a module below `experiments` that has a `TABLE` is one."""

import importlib
import pkgutil

import experiments
from experiments.tables.row import Table
from experiments.tables.shown import Counts, costs


def tables() -> dict[str, Table]:
  """Name, as in "thesis.table_3_9", -> table, in the order of their papers and numbers."""
  found = {}
  for paper in pkgutil.iter_modules(experiments.__path__, "experiments."):
    if not paper.ispkg or paper.name == "experiments.tables":
      continue
    package = importlib.import_module(paper.name)
    for module in pkgutil.iter_modules(package.__path__, f"{paper.name}."):
      table = getattr(importlib.import_module(module.name), "TABLE", None)
      if table is not None:
        found[module.name.removeprefix("experiments.")] = table
  return dict(sorted(found.items(), key=lambda one: _order(one[0])))


def counted(name: str) -> Counts:
  """What is counted of a whole table, by its name alone, for a process of its own."""
  table = tables()[name]
  return costs(table, table.rows)


def _order(name: str) -> list[tuple[int, str]]:
  """Numbers count as numbers: table_3_9 comes before table_3_10."""
  return [(int(part), "") if part.isdecimal() else (-1, part) for part in name.replace(".", "_").split("_")]
