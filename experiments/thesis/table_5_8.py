"""Sizes of the two pathways (thesis Table 5.8): "160,256" has Quiet at 160 pixels and Busy at 256.

At mini scale 48 pixels stand for 224, and the others in proportion. How Quiet gets fewer frames is not said: here its
frames are interpolated over time [I].
"""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table
from experiments.thesis.table_5_3 import PAIRS, bqn, cost, full, printed


def row(quiet: int, busy: int, top1: float, top5: float, gflops: float, quiet_frames: int = 8) -> Row:
  """Two sizes; all rows have 8 frames in a pathway but for the last two."""
  flags = [f"--config.model.quiet_frames={quiet_frames}"] * (quiet_frames < 8)
  return Row(
    f"{quiet},{busy}" if quiet_frames == 8 else f"{quiet}x{quiet_frames},{busy}x8",
    printed(top1, top5, gflops),
    mini=bqn(*flags, quiet=quiet, busy=busy),
    full=full(*flags, quiet=quiet, busy=busy),
    cost=cost(*flags, quiet=quiet, busy=busy),
  )


TABLE = Table(
  "thesis Table 5.8",
  (
    row(224, 224, 51.6, 80.5, 65.9),
    row(192, 224, 51.5, 79.9, 58.0),
    row(160, 224, 51.3, 80.1, 50.5),
    row(128, 224, 50.7, 79.2, 44.4),
    row(224, 256, 51.8, 80.5, 77.1),
    row(192, 256, 51.7, 80.2, 68.3),
    row(160, 256, 51.7, 80.5, 60.7),
    row(128, 256, 51.3, 79.4, 54.6),
    row(160, 256, 49.6, 78.3, 55.5, quiet_frames=6),
    row(224, 224, 48.7, 77.1, 49.4, quiet_frames=4),
  ),
  pairs=PAIRS,
  epochs=6.0,
)

if __name__ == "__main__":
  run_table(TABLE)
