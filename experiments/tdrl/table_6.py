"""Where PEM and the TD loss stand, before or after the temporal module (TDRL, Table 6)."""

from experiments.tables.command import run_table
from experiments.tables.row import Table
from experiments.tdrl.table_4 import row

TABLE = Table(
  "TDRL Table 6",
  (
    row("TM", "enhance=none,td=none", "rerun", top1=46.1),
    row("PEM before", "td=none", top1=48.7),
    row("PEM after", "enhance=pem_after,td=none", top1=49.0),
    row("TD loss before", "enhance=none,td=before", top1=46.9),
    row("TD loss after", "enhance=none", top1=48.4),
  ),
  pairs=(("SSv1 top-1", "top-1 %"),),
  epochs=2.0,
)

if __name__ == "__main__":
  run_table(TABLE)
