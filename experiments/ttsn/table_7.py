"""Which clips TSS reverses (TTSN, Table VII). AA and AR reverse every clip: their heads answer "reversed" always."""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table
from experiments.ttsn.table_6 import full, measure, mini


def row(way: str, top1: float, megabytes: float) -> Row:
  """A way."""
  return Row(way, {"HMDB51 top-1": top1, "MB": megabytes}, mini=mini(f"mini,tss={way}"), full=full(f"tss={way}"))


TABLE = Table(
  "TTSN Table VII",
  (row("AA", 79.1, 13967), row("RA", 79.4, 13967), row("AR", 79.5, 13675), row("RR", 80.2, 13539)),
  measure,
  pairs=(("HMDB51 top-1", "top-1 %"),),
  epochs=4.0,
)

if __name__ == "__main__":
  run_table(TABLE)
