"""How the two pathways' ends are joined (thesis Table 5.4). One row has no mini network of its own."""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table
from experiments.thesis.table_5_3 import PAIRS, bqn, full, printed


def row(name: str, fusion: str, top1: float, top5: float) -> Row:
  """A fusion; the average of the scores is the default, and so Table 5.3's BQN."""
  flags = [f"--config.model.fusion={fusion}"] if fusion != "average" else []
  same = fusion == "average_features"
  note = "with one classifier for both it differs from the next row by dropout alone, which mini networks have not"
  return Row(name, printed(top1, top5), mini={} if same else bqn(*flags), full=full(*flags), note=note if same else "")


TABLE = Table(
  "thesis Table 5.4",
  (
    row("average before fc", "average_features", 50.9, 79.8),
    row("average after fc", "average", 51.6, 80.5),
    row("max after fc", "max", 50.1, 78.7),
    row("concatenate before fc", "concatenate", 51.3, 80.2),
  ),
  pairs=PAIRS,
  epochs=6.0,
)

if __name__ == "__main__":
  run_table(TABLE)
