"""The similarity function of RNL, one block and five (thesis Table 4.4)."""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table
from experiments.thesis.chapter_4 import SITES, options, row


def form(name: str, blocks: int, top1: float) -> Row:
  """A function; the Gaussian is the default, so that its trainings are those of Tables 4.2 and 4.6."""
  sites = SITES[: 1 if blocks == 1 else 2]
  kernel = (f"{SITES[0]}.kernel=(3,7,7)",) if blocks == 1 else ()
  flags = *kernel, *(f"{site}.form={name}" for site in sites if name != "gaussian")
  return row(f"{blocks} RNL, {name}", {"K400 top-1": top1}, options("rnl", *["blocks=1"] * (blocks == 1)), flags)


TABLE = Table(
  "thesis Table 4.4",
  (
    form("dot", 1, 73.22),
    form("gaussian", 1, 73.66),
    form("cosine", 1, 73.46),
    form("dot", 5, 74.16),
    form("gaussian", 5, 74.68),
    form("cosine", 5, 74.40),
  ),
  pairs=(("K400 top-1", "top-1 %"),),
  epochs=3.0,
)

if __name__ == "__main__":
  run_table(TABLE)
