"""Where the gate stands and how deep the RTSAE is (rtsae Table 2 and Fig. 7); the streams are trained once a seed."""

from experiments.rtsae.keyframes import CONFIG, measure
from experiments.tables.command import run_table
from experiments.tables.row import Row, Table, Training

PRINTED = {"p1": (87.2, 89.6, 90.1), "p2": (89.5, 91.8, 91.8)}
FIRST = "p2-depth2"


def row(position: str, depth: int) -> Row:
  """A place and a depth."""
  name = f"{position}-depth{depth}"
  training = Training(f"{CONFIG}-{name}", shares=None if name == FIRST else (FIRST, 2))
  printed = {"UCF101 top-1": PRINTED[position][depth - 1]} if position in PRINTED else {}
  return Row(name, printed, "own", {"": training})


TABLE = Table(
  "rtsae Table 2",
  tuple(row(position, depth) for position in ("p1", "p2", "p3") for depth in (1, 2, 3)),
  measure,
  pairs=(("UCF101 top-1", "top-1 %"),),
)

if __name__ == "__main__":
  run_table(TABLE)
