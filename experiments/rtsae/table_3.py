"""RTSAE's steps for two networks (rtsae Table 3): ARCH and the dual-stream network, on UCF101 and HMDB51.

The paper compares its "mean average precision" with accuracies: it is top-1 here. ARCH is a stand-in, see
`configs/arch.py`; on RTSAE's frames it is trained after `python -m vidjax.prepare keyframes`, so that no row here does.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table, cited, numbers
from experiments.thesis.full import network

COLUMNS = "UCF101 top-1", "HMDB51 top-1"
KEPT = "prepare the frames first: python -m vidjax.prepare keyframes --workdir=RUN; then configs/arch.py reads them"


def dscnn(depth: int, *printed: float) -> Row:
  """RTSAE-DSCNN of a depth; HMDB51 starts from the run on UCF101."""
  given = f"-depth{depth}"
  configs = {"UCF101": f"rtsae_dscnn.py:ucf101{given}", "HMDB51": f"rtsae_dscnn.py:hmdb51{given}"}
  note = "HMDB51 starts from the run on UCF101: --config.init.workdir"
  return network(f"DSCNN + RTSAE, {depth} layers", configs, COLUMNS, printed, note=note)


TABLE = Table(
  "rtsae Table 3",
  (
    *cited(COLUMNS, {"ARCH + SMS": (88.2, 61.1)}),
    network(
      "ARCH + average sampling",
      {"UCF101": "arch.py:ucf101", "HMDB51": "arch.py:ucf101"},
      COLUMNS,
      (83.7, 47.2),
      "rerun",
    ),
    Row("ARCH + RTSAE, 1 layer", numbers(COLUMNS, (88.7, 61.7)), note=KEPT),
    Row("ARCH + RTSAE, 2 layers", numbers(COLUMNS, (89.1, 62.5)), note=KEPT),
    dscnn(1, 89.6, 65.6),
    dscnn(2, 91.8, 66.1),
  ),
)

if __name__ == "__main__":
  run_table(TABLE)
