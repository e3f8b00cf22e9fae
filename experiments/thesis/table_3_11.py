"""PWTP's convolution: stride, kernel and channels (thesis Table 3.11), joined by MGDA.

At mini scale, whose frames have 48 pixels where the thesis has 160, kernels and strides are about half as large.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table
from experiments.thesis.table_3_9 import measure
from experiments.thesis.table_3_10 import PAIRS, row

NAMES: tuple[str, ...] = "stride", "kernel", "features"
MINI = {
  (1, 7, 12): (1, 3, 4),
  (1, 7, 24): (1, 3, 8),
  (4, 7, 24): (2, 3, 8),
  (8, 9, 24): (4, 5, 8),
  (8, 11, 24): (4, 7, 8),
}


def convolution(stride: int, kernel: int, features: int, *printed: float) -> Row:
  """A convolution.

  Args:
    stride: s.
    kernel: k.
    features: C'.
    *printed: by the columns of Table 3.10.
  """
  full = stride, kernel, features
  mini, whole = (dict(zip(NAMES, values, strict=True)) for values in (MINI[full], full))
  return row(f"stride {stride}, k={kernel}, C'={features}", printed, mini, whole)


TABLE = Table(
  "thesis Table 3.11",
  (
    convolution(1, 7, 12, 0.26, 55.1, 0.14, 40.9, 2.60),
    convolution(1, 7, 24, 0.22, 58.6, 0.13, 41.1, 4.06),
    convolution(4, 7, 24, 0.32, 58.1, 0.18, 41.3, 0.95),
    convolution(8, 9, 24, 0.41, 56.9, 0.27, 41.0, 0.82),
    convolution(8, 11, 24, 0.37, 57.1, 0.20, 41.2, 0.86),
  ),
  measure,
  PAIRS,
  epochs=4.0,
)

if __name__ == "__main__":
  run_table(TABLE)
