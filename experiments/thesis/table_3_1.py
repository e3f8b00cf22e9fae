"""Activations of temporal squeeze pooling (thesis Table 3.1): what the projection leaves of held-out clips."""

import pathlib

from experiments.tables.command import run_table
from experiments.tables.measures import last
from experiments.tables.row import Row, Table
from experiments.thesis.mini import tsp_alone


def measure(folder: pathlib.Path) -> dict[str, float]:
  """The mean absolute error of the projection on validation clips, x 100, of clips of 0 to 1."""
  return {"MAE x 100": 100 * last(folder, "validation/loss/projection")}


def row(first: str, second: str, printed: float) -> Row:
  """A pair of activations, named as TSP names them."""
  flag = f"--config.model.representation.activations=('{first}','{second}')"
  return Row(f"{first} + {second}", {"MAE x 100": printed}, mini=tsp_alone(flag))


TABLE = Table(
  "thesis Table 3.1",
  (
    row("sigmoid", "tanh", 7.14),
    row("tanh", "sigmoid", 8.33),
    row("sigmoid", "sigmoid", 7.33),
    row("relu", "relu", 9.86),
    row("leaky_relu", "sigmoid", 7.12),
    row("sigmoid", "leaky_relu", 7.01),
  ),
  measure,
  pairs=(("MAE x 100", "MAE x 100"),),
  epochs=2.0,
)

if __name__ == "__main__":
  run_table(TABLE)
