"""Any number of labels a video (Charades): sigmoid scores, binary cross-entropy, the best checkpoint by mAP.

Prepare a list with a column `labels`, "run; jump" or in JSON a list, by `python -m vidjax.prepare folder`, and set
--config.data.name. The network and the rest are those of `configs/folder.py`; `:mini` is its `:mini`. Our choice: no
class weights (--config.losses[0].positive_weight).
"""

from ml_collections import ConfigDict

from configs import folder
from vidjax.build import described
from vidjax.losses.classification import BinaryCrossEntropy


def get_config(arg: str = "resnet50") -> ConfigDict:
  """`arg`: "resnet50", "finetune" or "mini"."""
  c = folder.get_config(arg)
  c.task = {"make": "vidjax.tasks.multilabel.MultiLabel", "threshold": 0.5, "metric": "map"}
  c.losses = described((BinaryCrossEntropy(positive_weight=1.0),), "positive_weight")
  return c
