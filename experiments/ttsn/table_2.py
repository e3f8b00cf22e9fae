"""TTSN on HMDB51 beside other methods (TTSN, Table II): the mean over three splits, from ImageNet and from Kinetics."""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table, cited
from experiments.thesis.full import FOLDS, network

COLUMNS = ("HMDB51 top-1",)


def row(name: str, options: str, top1: float) -> Row:
  """TTSN, or TDN alone."""
  kind = "rerun" if "TDN" in name else "own"
  return network(name, {"HMDB51": f"ttsn.py:hmdb51,{options}"}, COLUMNS, (top1,), kind, folds=FOLDS)


TABLE = Table(
  "TTSN Table II",
  (
    *cited(
      COLUMNS,
      {
        "C3D": (54.9,),
        "TSN": (53.7,),
        "ARTNet": (70.9,),
        "TSM": (73.2,),
        "R(2+1)D": (74.5,),
        "STM": (72.2,),
        "TEA": (73.3,),
        "I3D": (74.8,),
        "S3D": (75.9,),
      },
    ),
    row("TDN, ImageNet", "backbone=tdn,ett=off,tss=off", 56.4),
    row("TDN, Kinetics", "backbone=tdn,ett=off,tss=off,pretrain=kinetics", 79.1),
    row("TTSN, ImageNet", "pretrain=imagenet", 60.2),
    row("TTSN, Kinetics", "pretrain=kinetics", 80.2),
  ),
)

if __name__ == "__main__":
  run_table(TABLE)
