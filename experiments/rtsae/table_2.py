"""Where the gate stands and how deep the RTSAE is, the streams held (rtsae Table 2); they are trained once a seed.

5.1.1: "we temporarily fix the weights of the DSCNN model": S-Net and T-Net here. F-Net and what lies behind it are
trained in the joint phase, since no other trains them [I]. The split is not said: full trainings are of the first, as
those of Fig. 7. To be short, the later phases are those of Fig. 8. The whole
network is trained in Fig. 7.
"""

from experiments.rtsae.figure_8 import SHORT
from experiments.rtsae.keyframes import CONFIG, measure
from experiments.tables.command import run_table
from experiments.tables.row import Row, Table, Training

PRINTED = {"p1": (87.2, 89.6, 90.1), "p2": (89.5, 91.8, 91.8)}
FIRST = "p2-depth2"
HELD = "--config.phases[3].train.frozen=('streams',)"


def row(position: str, depth: int) -> Row:
  """A place and a depth."""
  name = f"{position}-depth{depth}"
  mini = Training(f"{CONFIG}-{name}", (HELD, *SHORT), shares=None if name == FIRST else (FIRST, 2))
  full = Training(f"configs/rtsae_dscnn.py:ucf101-{name}", (HELD,), shares=mini.shares)
  return Row(name, {"UCF101 top-1": PRINTED[position][depth - 1]}, "own", {"": mini}, {"UCF101": full})


TABLE = Table(
  "rtsae Table 2",
  tuple(row(position, depth) for position in PRINTED for depth in (1, 2, 3)),
  measure,
  pairs=(("UCF101 top-1", "top-1 %"),),
)

if __name__ == "__main__":
  run_table(TABLE)
