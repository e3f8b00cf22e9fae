"""What ETT and TSS cost (TTSN, Table V): 4 clips of 16 frames for ETT, 64 frames twice for TSS, in training.

The printed MB fit 8 bytes a number and, of ETT, the position encodings of 8 frames, which have a row of their own.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Cost, Row, Table

CONFIG = "configs/ttsn.py:hmdb51"
FRAMES = "--config.sampler.num_segments=16"

TABLE = Table(
  "TTSN Table V",
  (
    Row(
      "ETT",
      {"GFLOPs": 6.58, "params M": 2.20},
      cost=Cost(CONFIG, (FRAMES,), 51, times=4, below="ett"),
      reasons={
        "params M": "2.10 M are convolutions, .60 M position encodings of 16 frames; which the print counts is not said"
      },
    ),
    Row("ETT, 8 frames", {"MB": 18.33}, cost=Cost(CONFIG, (), 51, below="ett")),
    Row(
      "TSS",
      {"GFLOPs": 1.62, "params M": 12.59, "MB": 96.12},
      cost=Cost(CONFIG, (FRAMES, "--config.model.tss_head=frame"), 51, times=8, training=True, below="reversal_head"),
    ),
  ),
  units={"GFLOPs": "GFLOPs", "params M": "params", "MB": "MB"},
)

if __name__ == "__main__":
  run_table(TABLE)
