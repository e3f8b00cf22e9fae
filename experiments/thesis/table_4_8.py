"""Chains of SE and RNL on Something-Something V1 beside other networks (thesis Table 4.8).

At mini scale a network of four blocks, two of them in res4, stands for ResNet-101, and two clips of a video for 2 x 3
views of 256 pixels: frames are square, so that three crops would be one.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table, Training
from experiments.thesis.chapter_4 import SOMETHING, options, row

SMALL = ("--views=2x1",)
DEEPER = ("--config.model.backbone.depths=(1,1,2)",)


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


def chain(name: str, more: tuple[str, ...], views: bool, top1: float, top5: float | None = None) -> Row:
  """5 [SE + RNL] with further options; tested on one centre crop, or on 2 x 3 views, of one and the same training."""
  built = row(
    name, printed(top1, top5), options("se+rnl", *more), data=("SSv1",), evaluation=SOMETHING if views else ()
  )
  deeper = "depth=101" in more
  given = options("se+rnl", *(one for one in more if one != "depth=101"))
  mini = Training(f"configs/attention.py:mini,{given}", DEEPER if deeper else (), SMALL if views else ())
  return Row(name, built.printed, "own", {"": mini}, built.full)


LONG = ("frames=16",)
TABLE = Table(
  "thesis Table 4.8",
  (
    *(Row(name, printed(*numbers), "cited") for name, numbers in CITED.items()),
    chain("8f", (), False, 47.3),
    chain("16f", LONG, False, 49.4),
    Row("8f + 16f", printed(51.3, 80.6), partners=("8f", "16f")),
    chain("8f 2x3", (), True, 49.5, 78.4),
    chain("16f 2x3", LONG, True, 51.0, 80.3),
    Row("8f + 16f 2x3", printed(52.7, 81.5), partners=("8f 2x3", "16f 2x3")),
    chain("R101 8f 2x3", ("depth=101",), True, 50.8, 79.8),
    Row("R101 + R50 2x3", printed(54.1, 82.2), partners=("R101 8f 2x3", "16f 2x3"), note="8 and 16 frames, as printed"),
  ),
  pairs=(("SSv1 top-1", "top-1 %"), ("SSv1 top-5", "top-5 %")),
  epochs=3.0,
)

if __name__ == "__main__":
  run_table(TABLE)
