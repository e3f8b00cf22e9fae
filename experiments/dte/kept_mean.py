"""The rows of `experiments.dte.motions`, all reading the features themselves, with the mean of their clip (dte)."""

import dataclasses

from experiments.dte.motions import DATA, MINI, ROWS, WITHOUT, measure
from experiments.tables.command import run_table
from experiments.tables.row import Row, Table

PHASES = {f"{MINI}-raw": 0, f"{MINI}-kmeans": 3, MINI: 4}
"""Phases of a config that embed."""


def keeping_mean(row: Row) -> Row:
  """The row without `remove_mean` anywhere."""
  training = row.mini[""]
  places = ("", *(f"phases[{number}]." for number in range(PHASES.get(training.config, 0))))
  kept = [flag for flag in training.flags if flag != WITHOUT]
  if row.name != "mean pooling":
    kept += [f"--config.{place}model.remove_mean=False" for place in places]
  return dataclasses.replace(row, mini={"": dataclasses.replace(training, flags=tuple(kept))})


TABLE = Table("dte: repeated motions, mean kept", tuple(map(keeping_mean, ROWS)), measure, epochs=30.0, data=DATA)

if __name__ == "__main__":
  run_table(TABLE)
