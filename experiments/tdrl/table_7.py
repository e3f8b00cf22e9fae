"""The weight lambda of the TD loss (TDRL, Table 7): TIM and the loss, without PEM.

The row without the loss is the baseline, as in Table 4. The mini network has 48 regularised channels where the paper's
has 1,792: its weights are as many times larger.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table, Training

CHANNELS = 1792 / 48


def row(weight: float, top1: float) -> Row:
  """A weight; 0 is TIM alone."""

  def training(name: str, factor: float) -> Training:
    if not weight:
      return Training(f"configs/tdrl.py:{name},enhance=none,td=none")
    flag = f"--config.blend.weights.temporal_diversity={weight * factor:.4g}"
    return Training(f"configs/tdrl.py:{name},enhance=none", (flag,))

  kind = "own" if weight else "rerun"
  mini, full = training("mini", CHANNELS), training("ssv1", 1)
  return Row(f"{weight:g}", {"SSv1 top-1": top1}, kind, {"": mini}, {"SSv1": full})


TABLE = Table(
  "TDRL Table 7",
  (row(0.0, 46.1), row(1e-4, 47.9), row(2e-4, 48.4), row(3e-4, 47.8), row(4e-4, 48.0)),
  pairs=(("SSv1 top-1", "top-1 %"),),
  epochs=2.0,
)

if __name__ == "__main__":
  run_table(TABLE)
