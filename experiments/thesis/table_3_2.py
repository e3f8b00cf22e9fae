"""Where temporal squeeze pooling stands in Inception-ResNet-v2 (thesis Table 3.2), on UCF101, split 1.

At mini scale it stands before MiniResNet without TSM, behind its stem and its stages, and squeezes whole clips of 24
frames. Behind the second TSP of No. 5 only the classifier follows, where the thesis has half of Block B and Block C.
No. 3 to 5 have .405, .498 and .733 of the multiply-accumulates of No. 1; the thesis says "around 70%" of No. 5 alone.
At full scale tests have the 20 clips a video of 3.3.1, of a centre crop, where the thesis reads whole frames.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Cost, Row, Table, Training

VIEWS = ("--views=20x1",)


def row(number: int, top1: float) -> Row:
  """A placing, as `configs/tesnet.py` numbers them.

  Args:
    number: of the setting.
    top1: printed.
  """
  config = f"configs/tesnet.py:rgb-no{number}"
  return Row(
    f"No. {number}",
    {"UCF101 top-1": top1},
    "own",
    {"": Training(f"configs/tesnet.py:mini-no{number}")},
    {"UCF101": Training(config, evaluation=VIEWS)},
    Cost(config, (), 101),
  )


TABLE = Table(
  "thesis Table 3.2",
  tuple(row(number, top1) for number, top1 in enumerate((85.4, 83.1, 81.7, 84.9, 85.3), start=1)),
  pairs=(("UCF101 top-1", "top-1 %"),),
  epochs=3.0,
)

if __name__ == "__main__":
  run_table(TABLE)
