"""Joint training of PWTP and a network (thesis Table 3.9): accuracy and what the projection leaves (ENoPR).

`python -m experiments.thesis.table_3_9 --out=runs/table_3_9` at mini scale on `synthetic_actions/order`. The thesis
expects ENoPR to fall under joint training, and MGDA to reach a lower one than the scale scheduler at equal accuracy.
"""

import pathlib

from experiments.table import Row, define_flags, last_mean, run_rows, top1
from vidjax.command import run_main
from vidjax.run.folder import read_phases


def measure(folder: pathlib.Path) -> dict[str, float]:
  """Accuracy, and ENoPR over the last logged training batches, of the first phase where there are two."""
  first = folder / (read_phases(folder) or [""])[0]
  return {**top1(folder), "ENoPR": last_mean(first, "loss/projection")}


ALONE = ["--config.blend.weights.projection=0.0", "--config.blend.weights.classification=1.0"]
ROWS = [
  Row("classification only", "configs/dan.py:mini,blend=fixed", ALONE),
  Row("separate", "configs/dan.py:mini,blend=separate", ["--config.phases[0].train.epochs=4."]),
  Row("fixed .5", "configs/dan.py:mini,blend=fixed"),
  Row("scale scheduler", "configs/dan.py:mini,blend=scale"),
  Row("mgda", "configs/dan.py:mini,blend=mgda"),
]


def main(argv: list[str]) -> None:
  """The command."""
  run_rows(ROWS, measure)


if __name__ == "__main__":
  define_flags(epochs=4.0)
  run_main(main)
