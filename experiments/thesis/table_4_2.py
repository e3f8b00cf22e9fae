"""The kernel of F_theta in one Gaussian RNL in res3 (thesis Table 4.2).

1x1x1 is no F_theta: an average over one place, and so without weights.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table
from experiments.thesis.chapter_4 import SITES, options, row


def kernel(time: int, space: int, top1: float) -> Row:
  """A kernel."""
  none = (f"{SITES[0]}.aggregation=average",) if time == space == 1 else ()
  flags = f"{SITES[0]}.kernel=({time},{space},{space})", *none
  return row(f"{time}x{space}x{space}", {"K400 top-1": top1}, options("rnl", "blocks=1"), flags)


TABLE = Table(
  "thesis Table 4.2",
  (
    kernel(1, 1, 73.28),
    kernel(3, 1, 73.41),
    kernel(7, 1, 73.12),
    kernel(1, 3, 73.32),
    kernel(1, 7, 73.43),
    kernel(1, 9, 73.32),
    kernel(3, 3, 73.53),
    kernel(3, 5, 73.27),
    kernel(3, 7, 73.66),
    kernel(3, 9, 73.51),
    kernel(7, 7, 73.11),
    kernel(7, 9, 73.30),
  ),
  pairs=(("K400 top-1", "top-1 %"),),
  epochs=3.0,
)

if __name__ == "__main__":
  run_table(TABLE)
