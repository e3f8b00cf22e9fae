"""TTSN on UCF101 beside other methods (TTSN, Table III): splits, frames and the recipe of TDN as in Table II [I]."""

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table, cited
from experiments.thesis.full import FOLDS, network

COLUMNS = ("UCF101 top-1",)
NOTE = "16 frames, as inferred of Table II"


def row(name: str, options: str, top1: float) -> Row:
  """TTSN, or TDN alone."""
  kind = "rerun" if "TDN" in name else "own"
  configs = {"UCF101": f"ttsn.py:ucf101,{options},frames=16"}
  return network(name, configs, COLUMNS, (top1,), kind, folds=FOLDS, note=NOTE)


TABLE = Table(
  "TTSN Table III",
  (
    *cited(
      COLUMNS,
      {
        "C3D": (85.8,),
        "TSN": (86.4,),
        "STC": (93.7,),
        "TSM": (96.0,),
        "ARTNet": (94.3,),
        "R(2+1)D": (96.8,),
        "StNet": (93.5,),
        "I3D": (95.6,),
        "S3D": (96.8,),
        "STM": (96.2,),
      },
    ),
    row("TDN, ImageNet", "backbone=tdn,ett=off,tss=off", 85.8),
    row("TDN, Kinetics", "backbone=tdn,ett=off,tss=off,pretrain=kinetics", 96.4),
    row("TTSN, ImageNet", "pretrain=imagenet", 86.4),
    row("TTSN, Kinetics", "pretrain=kinetics", 96.8),
  ),
  pairs=(("UCF101 top-1", "top-1 %"),),
)

if __name__ == "__main__":
  run_table(TABLE)
