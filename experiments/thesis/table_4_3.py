"""How F_theta gathers a region: convolution, average or maximum (thesis Table 4.3); costs are those of the block."""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table
from experiments.thesis.chapter_4 import SITES, options, row


def way(name: str, top1: float) -> Row:
  """A way; the kernel is the best of Table 4.2."""
  flags = f"{SITES[0]}.kernel=(3,7,7)", f"{SITES[0]}.aggregation={name}"
  return row(name, {"K400 top-1": top1}, options("rnl", "blocks=1"), flags)


TABLE = Table(
  "thesis Table 4.3",
  (way("conv", 73.66), way("average", 73.22), way("max", 73.47)),
  pairs=(("K400 top-1", "top-1 %"),),
  epochs=3.0,
)

if __name__ == "__main__":
  run_table(TABLE)
