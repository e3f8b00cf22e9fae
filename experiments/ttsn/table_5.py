"""What ETT and TSS cost (TTSN, Table V): 4 clips of 16 frames for ETT, 64 frames twice for TSS, in training."""

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
      note="the print leaves out the position encodings of 16 frames (0.602 M), and attention's products",
    ),
    Row(
      "TSS",
      {"GFLOPs": 1.62, "params M": 12.59},
      cost=Cost(CONFIG, (FRAMES, "--config.model.tss_head=frame"), 51, times=8, training=True, below="reversal_head"),
    ),
  ),
)

if __name__ == "__main__":
  run_table(TABLE)
