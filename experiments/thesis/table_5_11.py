"""BQN fine-tuned on HMDB51 and UCF101 (thesis Table 5.11): mean class accuracy over three splits, 2 x 3 views.

All but BQN is cited, and it starts from Kinetics, for which no synthetic set stands: there is no mini training.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Table, cited
from experiments.thesis.full import FOLDS, network
from experiments.thesis.table_3_8 import CITED, COLUMNS

TABLE = Table(
  "thesis Table 5.11",
  (
    *cited(COLUMNS, {**CITED, "I3D": (80.7, 98.0), "PAN": (77.0, 96.5)}),
    network(
      "BQN",
      {"HMDB51": "bqn.py:hmdb51", "UCF101": "bqn.py:ucf101"},
      COLUMNS,
      (77.6, 97.6),
      evaluation=("--views=2x3",),
      folds=FOLDS,
      note="starts from a run on Kinetics: --pretrained=kinetics400/bqn-resnet50=RUN",
    ),
  ),
  pairs=tuple((column, f"{column.partition(' ')[0]}, mean class %") for column in COLUMNS),
)

if __name__ == "__main__":
  run_table(TABLE)
