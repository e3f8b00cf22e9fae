"""PWTP's layers behind the dot products: bottleneck beta, blocks B, expansion r (thesis Table 3.13).

The projection is trained alone, as the table is about what it leaves. Costs are those of PWTP alone, on one segment. At
full scale it is trained on Mini-Kinetics for 10 epochs with AdamW, as in print; the rate, without a warm-up, is ours,
and so is what is not said: crops and segments are those of X3D-XS.
"""

import pathlib

from experiments.tables.command import run_table
from experiments.tables.measures import last
from experiments.tables.row import Cost, Row, Table, Training
from experiments.thesis.mini import PROJECTION, pwtp_alone

ADAMW = (
  "--config.optimizer.kind=adamw",
  "--config.schedule.learning_rate=0.001",
  "--config.schedule.warmup_epochs=0.0",
  "--config.train.epochs=10.0",
)
FULL = "configs/dan.py:mini_kinetics200,backbone=x3d_xs,blend=fixed"


def measure(folder: pathlib.Path) -> dict[str, float]:
  """ENoPR on validation clips."""
  return {"ENoPR": last(folder, "validation/loss/projection")}


def row(name: str, beta: float, blocks: int, expansion: int, enopr: float, mflops: float, params: float) -> Row:
  """A structure.

  Args:
    name: of the row.
    beta: width of a bottleneck over that of the MLP.
    blocks: B, bottlenecks.
    expansion: r.
    enopr: printed.
    mflops: printed.
    params: printed, in thousands.
  """
  place = "--config.model.representation"
  flags = f"{place}.bottleneck={beta}", f"{place}.num_blocks={blocks}", f"{place}.expansion={expansion}"
  segment = "--config.sampler.num_segments=1", "--config.sampler.frames_per_segment=8"
  frames = f"{place}.frames=8"
  return Row(
    f"{name}: beta={beta:g}, B={blocks}, r={expansion}",
    {"ENoPR": enopr, "MFLOPs": mflops, "params k": params},
    mini=pwtp_alone(*flags),
    full={"Mini-Kinetics": Training(FULL, (*PROJECTION, *ADAMW, *flags))},
    cost=Cost("configs/dan.py:ssv1", (*segment, frames, *flags), 174, below="representation"),
    reasons={"params k": "the print has those of one BatchNorm more (16,868)"} if name == "#1" else {},
  )


TABLE = Table(
  "thesis Table 3.13",
  (
    row("#1", 0.25, 1, 4, 0.26, 45.3, 16.9),
    row("#2", 0.25, 1, 1, 0.27, 38.0, 7.4),
    row("#3", 0.25, 2, 1, 0.28, 38.3, 7.9),
    row("#4", 0.25, 2, 4, 0.26, 50.2, 23.3),
    row("#5", 1.0, 1, 4, 0.28, 59.8, 35.5),
    row("#6", 0.25, 0, 4, 0.30, 40.0, 10.0),
    row("#7", 0.25, 1, 2, 0.27, 39.7, 9.7),
  ),
  measure,
  pairs=(("ENoPR", "ENoPR"),),
  epochs=2.0,
  units={"MFLOPs": "MFLOPs", "params k": "params k"},
)

if __name__ == "__main__":
  run_table(TABLE)
