"""Stages with one BPLC each, after their first blocks (thesis Table 5.5).

These are pairs of blocks 1, 4, 8 and 14 of 16, also at mini scale: the first BPLC passes to Quiet, the others to Busy.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table
from experiments.thesis.table_5_3 import DEEP_EPOCHS, PAIRS, bqn, cost, full, printed

FIRST = "--config.model.lateral_blocks=(0,)"


def row(top1: float, top5: float, *stages: int) -> Row:
  """A row: the stages up to one; with all four it is the row of four BPLCs in Table 5.6."""
  flags = [f"--config.model.lateral_stages={stages}"] * (len(stages) < 4)
  name = "res2" if len(stages) == 1 else f"+ res{max(stages)}"
  mini = bqn(FIRST, *flags, name="mini_deep")
  return Row(name, printed(top1, top5), mini=mini, full=full(FIRST, *flags), cost=cost(FIRST, *flags))


TABLE = Table(
  "thesis Table 5.5",
  (row(49.8, 79.1, 2), row(50.1, 78.7, 2, 3), row(50.2, 79.0, 2, 3, 4), row(50.2, 79.2, 2, 3, 4, 5)),
  pairs=PAIRS,
  epochs=DEEP_EPOCHS,
)

if __name__ == "__main__":
  run_table(TABLE)
