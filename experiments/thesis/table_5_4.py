"""How the two pathways' ends are joined (thesis Table 5.4)."""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table
from experiments.thesis.table_5_3 import bqn, full, printed


def fusion(name: str) -> str:
  """The flag."""
  return f"--config.model.fusion={name}"


TABLE = Table(
  "thesis Table 5.4",
  (
    Row(
      "average before fc",
      printed(50.9, 79.8),
      mini=bqn(fusion("average_features")),
      full=full(fusion("average_features")),
    ),
    Row("average after fc", printed(51.6, 80.5), mini=bqn(fusion("average")), full=full(fusion("average"))),
    Row("max after fc", printed(50.1, 78.7), mini=bqn(fusion("max")), full=full(fusion("max"))),
    Row(
      "concatenate before fc", printed(51.3, 80.2), mini=bqn(fusion("concatenate")), full=full(fusion("concatenate"))
    ),
  ),
  pairs=(("SSv1 top-1", "top-1 %"),),
  epochs=6.0,
)

if __name__ == "__main__":
  run_table(TABLE)
