"""Stages with one BPLC each, after their first blocks (thesis Table 5.5).

The mini network has stages res2 to res4, so that the last row has no mini training.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table
from experiments.thesis.table_5_3 import bqn, cost, full, printed


def flags(*stages: int) -> tuple[str, str]:
  """The flags of some stages."""
  return f"--config.model.lateral_stages={stages}", "--config.model.lateral_blocks=(0,)"


def row(top1: float, top5: float, *stages: int) -> Row:
  """A row: the stages up to one."""
  mini = bqn(*flags(*stages)) if max(stages) < 5 else {}
  name = "res2" if len(stages) == 1 else f"+ res{max(stages)}"
  return Row(
    name, printed(top1, top5), mini=mini, full=full(*flags(*stages)), cost=cost((24, 224, 224), 224, *flags(*stages))
  )


TABLE = Table(
  "thesis Table 5.5",
  (row(49.8, 79.1, 2), row(50.1, 78.7, 2, 3), row(50.2, 79.0, 2, 3, 4), row(50.2, 79.2, 2, 3, 4, 5)),
  pairs=(("SSv1 top-1", "top-1 %"),),
  epochs=6.0,
)

if __name__ == "__main__":
  run_table(TABLE)
