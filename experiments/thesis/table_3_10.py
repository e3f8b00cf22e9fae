"""Frames T and rank D of a segment (thesis Table 3.10), joined by MGDA."""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table
from experiments.thesis.mini import dan, dan_full
from experiments.thesis.table_3_9 import measure

COLUMNS: tuple[str, ...] = "Mini-Kinetics ENoPR", "Mini-Kinetics top-1", "SSv1 ENoPR", "SSv1 top-1"


def row(frames: int, rank: int, *printed: float) -> Row:
  """T and D; at mini scale the clips have 24 frames, so that S times T are 24, and T = 16 becomes 12."""
  note = "T is 12 at mini scale, whose clips have 24 frames" if frames == 16 else ""
  values = dict(zip(COLUMNS, printed, strict=True))
  return Row(f"T={frames}, D={rank}", values, mini=dan(min(frames, 12), rank), full=dan_full(frames, rank), note=note)


TABLE = Table(
  "thesis Table 3.10",
  (
    row(4, 1, 0.26, 56.2, 0.16, 39.3),
    row(4, 2, 0.24, 55.3, 0.08, 39.5),
    row(8, 1, 0.41, 56.9, 0.27, 41.0),
    row(8, 3, 0.33, 57.0, 0.13, 41.3),
    row(16, 1, 0.72, 58.6, 0.39, 42.1),
  ),
  measure,
  pairs=(("SSv1 ENoPR", "ENoPR"), ("SSv1 top-1", "top-1 %")),
  epochs=4.0,
)

if __name__ == "__main__":
  run_table(TABLE)
