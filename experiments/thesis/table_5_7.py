"""Designs of the lateral connections (thesis Table 5.7)."""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table
from experiments.thesis.table_5_3 import bqn, cost, full, printed


def row(name: str, top1: float, top5: float) -> Row:
  """A design."""
  flag = f"--config.model.lateral={name}"
  return Row(name, printed(top1, top5), mini=bqn(flag), full=full(flag), cost=cost((24, 224, 224), 224, flag))


TABLE = Table(
  "thesis Table 5.7",
  (
    row("LC-I", 50.9, 79.8),
    row("LC-II", 50.9, 79.7),
    row("LC-III", 51.5, 80.2),
    row("BPLC", 51.6, 80.5),
    row("LC-V", 51.3, 79.9),
  ),
  pairs=(("SSv1 top-1", "top-1 %"),),
  epochs=6.0,
)

if __name__ == "__main__":
  run_table(TABLE)
