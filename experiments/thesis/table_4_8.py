"""Chains of SE and RNL on Something-Something V1 beside other networks (thesis Table 4.8)."""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table
from experiments.thesis.chapter_4 import SOMETHING, options, row


def printed(top1: float, top5: float | None = None) -> dict[str, float]:
  """The numbers of a row."""
  return {"SSv1 top-1": top1, **({"SSv1 top-5": top5} if top5 else {})}


CITED = {
  "I3D": (41.6, 72.2),
  "NL I3D": (44.4, 76.0),
  "NL I3D + GCN": (46.1, 76.8),
  "TSM 8f": (45.6, 74.2),
  "TSM 16f": (47.2, 77.1),
  "TSM 8f + 16f": (49.7, 78.5),
  "SmallBig 8f": (48.3, 78.1),
  "SmallBig 16f": (50.0, 79.8),
  "SmallBig 8f + 16f": (51.4, 80.7),
}


def chain(name: str, given: str, views: tuple[str, ...], top1: float, top5: float | None = None) -> Row:
  """5 [SE + RNL]; ResNet-101 and views of 256 pixels have no mini training of their own."""
  built = row(name, printed(top1, top5), options("se+rnl", given), data=("SSv1",), evaluation=views)
  return Row(name, built.printed, "own", {} if views else built.mini, built.full)


TABLE = Table(
  "thesis Table 4.8",
  (
    *(Row(name, printed(*numbers), "cited") for name, numbers in CITED.items()),
    chain("8f", "frames=8", (), 47.3),
    chain("16f", "frames=16", (), 49.4),
    Row("8f + 16f", printed(51.3, 80.6), partners=("8f", "16f")),
    chain("8f 2x3", "frames=8", SOMETHING, 49.5, 78.4),
    chain("16f 2x3", "frames=16", SOMETHING, 51.0, 80.3),
    Row("8f + 16f 2x3", printed(52.7, 81.5), partners=("8f 2x3", "16f 2x3")),
    chain("R101 8f 2x3", "frames=8,depth=101", SOMETHING, 50.8, 79.8),
    Row("R101 + R50 2x3", printed(54.1, 82.2), partners=("R101 8f 2x3", "16f 2x3"), note="which R50: 16f here"),
  ),
  pairs=(("SSv1 top-1", "top-1 %"),),
  epochs=3.0,
)

if __name__ == "__main__":
  run_table(TABLE)
