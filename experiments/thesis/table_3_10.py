"""Frames T and rank D of a segment (thesis Table 3.10), joined by MGDA.

Clips have as many segments whatever T, 4 at full scale and 3 at mini scale, whose clips have 48 frames.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Cost, Row, Table
from experiments.thesis.mini import dan, dan_full
from experiments.thesis.table_3_9 import measure

COLUMNS: tuple[str, ...] = "Mini-Kinetics ENoPR", "Mini-Kinetics top-1", "SSv1 ENoPR", "SSv1 top-1", "GFLOPs"
PAIRS = (
  ("SSv1 ENoPR", "ENoPR"),
  ("SSv1 top-1", "top-1 %"),
  *(
    (f"{data} {name}", f"{data}, {own}")
    for data in ("Mini-Kinetics", "SSv1")
    for name, own in (("ENoPR", "ENoPR"), ("top-1", "top-1 %"))
  ),
)
"""At mini scale, then at full scale."""
EXTRA = {"GFLOPs": "the print has a part that grows with T and is not explained"}


def row(name: str, printed: tuple[float, ...], mini: dict[str, int], full: dict[str, int]) -> Row:
  """Settings of PWTP.

  Args:
    name: of the row.
    printed: by COLUMNS.
    mini: at mini scale.
    full: in print.
  """
  trained = dan_full(**full)
  cost = Cost(trained["SSv1"].config, trained["SSv1"].flags, 174)
  return Row(name, dict(zip(COLUMNS, printed, strict=True)), "own", dan(**mini), trained, cost, reasons=EXTRA)


def size(frames: int, rank: int, *printed: float) -> Row:
  """T and D, the same at both scales.

  Args:
    frames: T.
    rank: D.
    *printed: by COLUMNS.
  """
  settings = {"frames": frames, "rank": rank}
  return row(f"T={frames}, D={rank}", printed, settings, settings)


TABLE = Table(
  "thesis Table 3.10",
  (
    size(4, 1, 0.26, 56.2, 0.16, 39.3, 0.71),
    size(4, 2, 0.24, 55.3, 0.08, 39.5, 0.71),
    size(8, 1, 0.41, 56.9, 0.27, 41.0, 0.82),
    size(8, 3, 0.33, 57.0, 0.13, 41.3, 0.83),
    size(16, 1, 0.72, 58.6, 0.39, 42.1, 1.12),
  ),
  measure,
  PAIRS,
  epochs=4.0,
)

if __name__ == "__main__":
  run_table(TABLE)
