"""TeSNet beside other methods (thesis Table 3.5): the mean over the three splits of UCF101 and HMDB51.

All but TeSNet is cited, so that a mini training would only repeat the last row of Table 3.4.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table, Training, cited
from experiments.thesis.table_3_2 import VIEWS
from experiments.thesis.table_3_3 import BATCH

COLUMNS = "UCF101 top-1", "HMDB51 top-1"
FOLDS = (1, 2, 3)


def stream(name: str) -> Row:
  """A stream, of which the table prints nothing; its scores are averaged with the other's."""

  def training(*flags: str) -> Training:
    return Training(f"configs/tesnet.py:{name}-64", (*BATCH, *flags), VIEWS, FOLDS)

  full = {"UCF101": training(), "HMDB51": training("--config.data.name=folder/hmdb51")}
  return Row(name, {}, "ours", {}, full)


TABLE = Table(
  "thesis Table 3.5",
  (
    *cited(
      COLUMNS,
      {
        "iDT+FV": (84.8, 57.2),
        "iDT+HSV": (87.9, 61.1),
        "C3D+iDT": (90.4,),
        "Two-Stream": (88.0, 59.4),
        "TS-Fusion+iDT": (93.5, 69.2),
        "TSN": (94.2, 69.4),
        "TS-I3D": (93.4, 66.4),
        "TDD+iDT": (91.5, 65.9),
        "DI": (95.5, 72.5),
      },
    ),
    stream("rgb"),
    stream("stored_flow"),
    Row("TeSNet", {"UCF101 top-1": 95.2, "HMDB51 top-1": 71.5}, partners=("rgb", "stored_flow")),
  ),
  pairs=tuple((column, f"{column.partition(' ')[0]}, top-1 %") for column in COLUMNS),
)

if __name__ == "__main__":
  run_table(TABLE)
