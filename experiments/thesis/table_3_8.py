"""DAN fine-tuned on HMDB51 and UCF101 (thesis Table 3.8): mean class accuracy over three splits, 2 x 3 views.

All but DAN is cited, and it starts from Kinetics, for which no synthetic set stands: there is no mini training.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Table, cited
from experiments.thesis.full import FOLDS, SOMETHING, network

COLUMNS = "HMDB51 mean class", "UCF101 mean class"
CITED = {
  "StNet": (None, 93.5),
  "TSM": (73.5, 95.9),
  "STM": (72.2, 96.2),
  "TEA": (73.3, 96.9),
  "DI4": (72.5, 95.5),
  "TVNet": (71.0, 94.5),
  "TSN": (68.5, 94.0),
}

TABLE = Table(
  "thesis Table 3.8",
  (
    *cited(COLUMNS, {**CITED, "OFF": (74.2, 96.0)}),
    network(
      "DAN TSM",
      {"HMDB51": "dan.py:hmdb51", "UCF101": "dan.py:ucf101"},
      COLUMNS,
      (75.3, 96.5),
      evaluation=SOMETHING,
      folds=FOLDS,
      note="starts from a run on Kinetics: --config.init.workdir",
    ),
  ),
  pairs=tuple((column, f"{column.partition(' ')[0]}, mean class %") for column in COLUMNS),
)

if __name__ == "__main__":
  run_table(TABLE)
