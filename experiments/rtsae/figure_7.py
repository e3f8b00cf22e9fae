"""Where the gate stands (rtsae Fig. 7), the whole network trained; the streams are trained once a seed.

The figure has one depth of the RTSAE, two layers [I], and prints no numbers. The other depths at p1 and p2 are ours.
With the dual-stream network held, they are Table 2.
"""

from experiments.rtsae.keyframes import CONFIG, measure
from experiments.tables.command import run_table
from experiments.tables.row import Row, Table, Training

DEPTHS = {"p1": (1, 2, 3), "p2": (1, 2, 3), "p3": (2,)}
FIRST = "p2-depth2"


def row(position: str, depth: int) -> Row:
  """A place and a depth."""
  name = f"{position}-depth{depth}"
  shares = None if name == FIRST else (FIRST, 2)
  mini = {"": Training(f"{CONFIG}-{name}", shares=shares)}
  full = {"UCF101": Training(f"configs/rtsae_dscnn.py:ucf101-{name}", shares=shares)}
  return Row(name, {}, "own" if depth == 2 else "ours", mini, full)


TABLE = Table(
  "rtsae Fig. 7",
  tuple(row(position, depth) for position, depths in DEPTHS.items() for depth in depths),
  measure,
)

if __name__ == "__main__":
  run_table(TABLE)
