"""PWTP's convolution: stride, kernel and channels (thesis Table 3.11), joined by MGDA.

At mini scale, whose frames have 48 pixels where the thesis has 224, kernels and strides are about half as large.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table
from experiments.thesis.mini import dan, dan_full
from experiments.thesis.table_3_9 import measure
from experiments.thesis.table_3_10 import COLUMNS

MINI = {
  (1, 7, 12): (1, 3, 4),
  (1, 7, 24): (1, 3, 8),
  (4, 7, 24): (2, 3, 8),
  (8, 9, 24): (4, 5, 8),
  (8, 11, 24): (4, 7, 8),
}


def row(stride: int, kernel: int, features: int, *printed: float) -> Row:
  """A convolution."""

  def flags(*values: int) -> list[str]:
    names = zip(("stride", "kernel", "features"), values, strict=True)
    return [f"--config.model.representation.{name}={value}" for name, value in names]

  name = f"stride {stride}, k={kernel}, C'={features}"
  return Row(
    name,
    dict(zip(COLUMNS, printed, strict=True)),
    mini=dan(4, 1, *flags(*MINI[stride, kernel, features])),
    full=dan_full(8, 1, *flags(stride, kernel, features)),
  )


TABLE = Table(
  "thesis Table 3.11",
  (
    row(1, 7, 12, 0.26, 55.1, 0.14, 40.9),
    row(1, 7, 24, 0.22, 58.6, 0.13, 41.1),
    row(4, 7, 24, 0.32, 58.1, 0.18, 41.3),
    row(8, 9, 24, 0.41, 56.9, 0.27, 41.0),
    row(8, 11, 24, 0.37, 57.1, 0.20, 41.2),
  ),
  measure,
  pairs=(("SSv1 ENoPR", "ENoPR"), ("SSv1 top-1", "top-1 %")),
  epochs=4.0,
)

if __name__ == "__main__":
  run_table(TABLE)
