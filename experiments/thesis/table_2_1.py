"""The data sets (thesis Table 2.1): the official counts that preparation compares with what it finds.

`python -m vidjax.prepare statistics` states the same of a data set that is prepared.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Stated, Table, numbers
from vidjax.data.sources import hmdb51, kinetics400, something_v1, ucf101

COLUMNS = "classes", "clips"


def row(name: str, printed: tuple[float, float], stated: tuple[int, int], **reasons: str) -> Row:
  """A data set: printed and official classes and clips, and why they differ."""
  cost = Stated(lambda: dict(zip(COLUMNS, stated, strict=True)))
  return Row(name, numbers(COLUMNS, printed), cost=cost, reasons=reasons)


TABLE = Table(
  "thesis Table 2.1",
  (
    row("HMDB51", (51, 6_766), (hmdb51.CLASSES, hmdb51.VIDEOS)),
    row("UCF101", (101, 13_320), (ucf101.CLASSES, sum(ucf101.FOLDS[1]))),
    row(
      "Kinetics400",
      (400, 306_245),
      (kinetics400.CLASSES, sum(kinetics400.EXPECTED.values())),
      clips="the print is that of the first release; the official lists of today name fewer, since films are gone",
    ),
    row("Something-Something V1", (174, 108_499), (something_v1.CLASSES, sum(something_v1.EXPECTED.values()))),
  ),
  units={"classes": "classes", "clips": "clips"},
  tolerance=0.0,
)

if __name__ == "__main__":
  run_table(TABLE)
