"""The kernels of the pyramid of five CPA blocks (thesis Table 4.5)."""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table
from experiments.thesis.chapter_4 import SITES, options, row
from vidjax.plugins.cpa import CPA


def pyramid(top1: float, *kernels: tuple[int, int, int]) -> Row:
  """A pyramid; that of all four kernels is the default, so that its training is that of Table 4.6."""
  text = "(" + ",".join(str(kernel).replace(" ", "") for kernel in kernels) + ",)"
  name = " + ".join("x".join(map(str, kernel)) for kernel in kernels)
  flags = tuple(f"{site}.kernels={text}" for site in SITES if kernels != CPA().kernels)
  return row(name, {"K400 top-1": top1}, options("cpa"), flags)


ONE, THREE, SEVEN, NINE = (1, 1, 1), (3, 3, 3), (3, 7, 7), (3, 9, 9)
TABLE = Table(
  "thesis Table 4.5",
  (
    row("none", {"K400 top-1": 72.80}, options("none"), kind="rerun"),
    pyramid(72.53, ONE),
    pyramid(73.52, THREE),
    pyramid(73.87, SEVEN),
    pyramid(73.92, NINE),
    pyramid(73.86, THREE, SEVEN),
    pyramid(74.01, ONE, THREE, SEVEN),
    pyramid(74.27, ONE, THREE, SEVEN, NINE),
  ),
  pairs=(("K400 top-1", "top-1 %"),),
  epochs=3.0,
)

if __name__ == "__main__":
  run_table(TABLE)
