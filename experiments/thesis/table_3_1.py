"""Activations of temporal squeeze pooling (thesis Table 3.1): what the projection leaves of held-out clips.

TSP is trained alone, on its projection. Errors are those of normalised clips; what the thesis divides by is unsaid. At
full scale the clips, the rate and the epochs are those of `configs/tesnet.py:rgb`, as the thesis gives no others.
"""

import pathlib

from experiments.tables.command import run_table
from experiments.tables.measures import last
from experiments.tables.row import Row, Table, Training
from experiments.thesis.mini import ALONE, tsp_alone


def measure(folder: pathlib.Path) -> dict[str, float]:
  """The error of the projection (Eq. 3.5) on normalised clips of validation, x 100."""
  return {"MAE x 100": 100 * last(folder, "validation/loss/projection")}


def row(first: str, second: str, printed: float) -> Row:
  """A pair of activations.

  Args:
    first: as TSP names it.
    second: as TSP names it.
    printed: the error.
  """
  pair = f"activations=('{first}','{second}')"
  full = Training("configs/tesnet.py:rgb", (*ALONE, f"--config.model.representation.modules[0].{pair}"))
  mini = tsp_alone(f"--config.model.representation.{pair}")
  return Row(f"{first} + {second}", {"MAE x 100": printed}, "own", mini, {"UCF101": full})


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
