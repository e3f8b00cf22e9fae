"""The length of the clips that TeSNet squeezes (thesis Table 3.3); 6, 12 and 24 frames at mini scale.

64 frames are squeezed by two TSPs, to 16 and 4, as in No. 5 of Table 3.2; at mini scale 24 to 6 and 2. It is the RGB
stream of Table 3.4, by the same command.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table, Training
from experiments.thesis.table_3_2 import VIEWS

BATCH = ("--config.train.batch_size=8",)
"""Of this table, as memory allows no more clips of 64 frames (thesis 3.3.2)."""


def row(length: int, mini: int, top1: float) -> Row:
  """A length.

  Args:
    length: in frames.
    mini: length at mini scale.
    top1: printed.
  """
  config = "configs/tesnet.py:rgb" if length == 10 else f"configs/tesnet.py:rgb-{length}"
  return Row(
    f"{length} frames",
    {"UCF101 top-1": top1},
    "own",
    {"": Training(f"configs/tesnet.py:mini-{mini}")},
    {"UCF101": Training(config, BATCH, VIEWS)},
  )


TABLE = Table(
  "thesis Table 3.3",
  (row(10, 6, 85.3), row(16, 12, 86.2), row(64, 24, 87.8)),
  pairs=(("UCF101 top-1", "top-1 %"),),
  epochs=3.0,
)

if __name__ == "__main__":
  run_table(TABLE)
