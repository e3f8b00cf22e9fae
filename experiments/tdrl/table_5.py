"""The share of channels that the TD loss regularises (TDRL, Table 5): TIM and the loss, without PEM.

The row without the loss is the baseline, as in Table 4.
"""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table, Training


def row(share: float, top1: float) -> Row:
  """A share; 0 is TIM alone."""
  options, flags = "enhance=none", (f"--config.model.backbone.inserts[1].module.share={share}",)
  if not share:
    options, flags = "enhance=none,td=none", ()
  mini, full = (Training(f"configs/tdrl.py:{name},{options}", flags) for name in ("mini", "ssv1"))
  kind = "own" if share else "rerun"
  return Row(f"{share:.0%}", {"SSv1 top-1": top1}, kind, {"": mini}, {"SSv1": full})


TABLE = Table(
  "TDRL Table 5",
  (row(0.0, 46.1), row(0.25, 47.7), row(0.5, 48.4), row(0.75, 47.8), row(1.0, 47.3)),
  pairs=(("SSv1 top-1", "top-1 %"),),
  epochs=2.0,
)

if __name__ == "__main__":
  run_table(TABLE)
