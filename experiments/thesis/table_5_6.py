"""The number of BPLCs (thesis Table 5.6). The mini network has the blocks of ResNet-50, too: 3, 4, 6 and 3.

Where 8 connections stand is not said: they follow the first two blocks of each stage here.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table
from experiments.thesis.table_5_3 import DEEP_EPOCHS, NONE, PAIRS, bqn, cost, full, printed


def row(name: str, numbers: dict[str, float], *flags: str) -> Row:
  """A row."""
  return Row(name, numbers, mini=bqn(*flags, name="mini_deep"), full=full(*flags), cost=cost(*flags))


TABLE = Table(
  "thesis Table 5.6",
  (
    row("0", printed(49.6, 78.9, 65.7), NONE),
    row("4", printed(50.2, 79.2, 65.8), "--config.model.lateral_blocks=(0,)"),
    row("8", printed(50.7, 79.7, 65.8), "--config.model.lateral_blocks=(0,1)"),
    row("16", printed(51.6, 80.5, 65.9)),
  ),
  pairs=PAIRS,
  epochs=DEEP_EPOCHS,
  tolerance=0.002,
)

if __name__ == "__main__":
  run_table(TABLE)
