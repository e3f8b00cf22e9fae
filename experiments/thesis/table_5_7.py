"""Designs of the lateral connections (thesis Table 5.7), 16 of them, as at mini scale."""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table
from experiments.thesis.table_5_3 import DEEP_EPOCHS, PAIRS, bqn, cost, full, printed


def row(name: str, top1: float, top5: float) -> Row:
  """A design; BPLC is the default, and so the row of 16 in Table 5.6."""
  flags = [f"--config.model.lateral={name}"] if name != "BPLC" else []
  return Row(name, printed(top1, top5), mini=bqn(*flags, name="mini_deep"), full=full(*flags), cost=cost(*flags))


TABLE = Table(
  "thesis Table 5.7",
  (
    row("LC-I", 50.9, 79.8),
    row("LC-II", 50.9, 79.7),
    row("LC-III", 51.5, 80.2),
    row("BPLC", 51.6, 80.5),
    row("LC-V", 51.3, 79.9),
  ),
  pairs=PAIRS,
  epochs=DEEP_EPOCHS,
)

if __name__ == "__main__":
  run_table(TABLE)
