"""RTSAE's steps for two networks (rtsae Table 3): ARCH and the dual-stream network, on UCF101 and HMDB51.

The paper compares its "mean average precision" with accuracies: it is top-1 here. Numbers are means over the three
official splits (5.1.2). ARCH is a stand-in, see `configs/arch.py`, and its rows on RTSAE's frames are commands, not
trainings of this table, since a run has to choose their data set first. For one split, with 1 layer:

  python -m vidjax.prepare ucf101 --source=DIR --flow
  python -m vidjax.train --config=configs/rtsae_dscnn.py:ucf101-depth1 --config.data.fold=1 --workdir=runs/scout \\
    --config.init.weights=vgg16.pth
  python -m vidjax.prepare keyframes --workdir=runs/scout --name=kept1
  python -m vidjax.train --config=configs/arch.py:ucf101 --config.data.name=folder/kept1 --config.data.fold=None \\
    --config.init.workdir=runs/x3d --workdir=runs/arch_kept1

The last one prints the accuracy on the split `test`. `runs/x3d` is a run of `configs/x3d.py:m` on Kinetics. On HMDB51,
the scout is a run of `configs/rtsae_dscnn.py:hmdb51-depth1` that starts from the scout on UCF101
(--config.init.workdir=runs/scout).

None has a mini network of its own: those of the dual-stream network are in Table 2 and Fig. 7, and ARCH
(`configs/arch.py:mini`) would have no other row to be compared with.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table, Training, cited, numbers
from experiments.thesis.full import FOLDS, network

COLUMNS = "UCF101 top-1", "HMDB51 top-1"
PAIRS = tuple((f"{name} top-1", f"{name}, top-1 %") for name in ("UCF101", "HMDB51"))
KEPT = (
  "for each split: vidjax.train of configs/rtsae_dscnn.py:ucf101-depth{depth}, vidjax.prepare keyframes of that run,"
  " vidjax.train of configs/arch.py:ucf101 on what it keeps; the docstring of experiments/rtsae/table_3.py has the"
  " commands"
)


def dscnn(depth: int, *printed: float) -> Row:
  """RTSAE-DSCNN of a depth; HMDB51 starts from the run on UCF101.

  Args:
    depth: layers of the RTSAE.
    *printed: see COLUMNS.
  """
  name = f"DSCNN + RTSAE, {depth} layer" + "s" * (depth > 1)
  config = "configs/rtsae_dscnn.py:{}" + f"-depth{depth}"
  full = {
    "UCF101": Training(config.format("ucf101"), folds=FOLDS),
    "HMDB51": Training(config.format("hmdb51"), folds=FOLDS, start="UCF101"),
  }
  return Row(name, numbers(COLUMNS, printed), full=full, note="HMDB51 starts from the run on UCF101")


TABLE = Table(
  "rtsae Table 3",
  (
    *cited(COLUMNS, {"ARCH + SMS": (88.2, 61.1)}),
    network(
      "ARCH + average sampling",
      {"UCF101": "arch.py:ucf101", "HMDB51": "arch.py:hmdb51"},
      COLUMNS,
      (83.7, 47.2),
      "rerun",
      folds=FOLDS,
    ),
    Row("ARCH + RTSAE, 1 layer", numbers(COLUMNS, (88.7, 61.7)), note=KEPT.format(depth=1)),
    Row("ARCH + RTSAE, 2 layers", numbers(COLUMNS, (89.1, 62.5)), note=KEPT.format(depth=2)),
    dscnn(1, 89.6, 65.6),
    dscnn(2, 91.8, 66.1),
  ),
  pairs=PAIRS,
)

if __name__ == "__main__":
  run_table(TABLE)
