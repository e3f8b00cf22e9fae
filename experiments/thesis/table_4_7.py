"""Chains of SE and RNL on Kinetics-400 beside other networks (thesis Table 4.7); 100 epochs, 10 x 3 views of 256."""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table
from experiments.thesis.chapter_4 import options, row

LONG = ("--config.train.epochs=100.",)


def printed(top1: float, top5: float | None = None) -> dict[str, float]:
  """The numbers of a row."""
  return {"K400 top-1": top1, **({"K400 top-5": top5} if top5 else {})}


CITED = {
  "I3D RGB": (72.1, 90.3),
  "I3D flow": (65.3, 86.2),
  "I3D both": (75.7, 92.0),
  "S3D-G RGB": (74.7, 93.4),
  "S3D-G flow": (68.0, 87.6),
  "S3D-G both": (77.2, 93.0),
  "TSM 8f": (74.1, 91.2),
  "TSM 16f": (74.7,),
  "NL I3D 32f": (74.9, 91.6),
  "NL I3D 128f, R50": (76.5, 92.6),
  "NL I3D 128f, R101": (77.7, 93.3),
  "Slow": (74.9, 91.5),
  "SlowFast R50": (75.6, 92.1),
  "SlowFast R101": (78.9, 93.5),
  "LGD": (79.4, 94.4),
}


def chain(frames: int, top1: float, top5: float) -> Row:
  """5 [SE + RNL]; the mini trainings have the table's epochs in place of 100."""
  given = options("se+rnl", *["frames=16"] * (frames == 16))
  built = row(f"5 [SE+RNL] {frames}f", printed(top1, top5), given, LONG)
  mini = row("", {}, given).mini
  return Row(built.name, built.printed, "own", mini, built.full)


TABLE = Table(
  "thesis Table 4.7",
  (
    *(Row(name, printed(*numbers), "cited") for name, numbers in CITED.items()),
    chain(8, 75.6, 92.3),
    chain(16, 77.2, 93.1),
    Row("5 [SE+RNL] 8f + 16f", printed(77.4, 93.2), partners=("5 [SE+RNL] 8f", "5 [SE+RNL] 16f")),
  ),
  pairs=(("K400 top-1", "top-1 %"), ("K400 top-5", "top-5 %")),
  epochs=3.0,
)

if __name__ == "__main__":
  run_table(TABLE)
