"""TSM on videos of one's own, as `python -m vidjax.prepare folder` stores them.

`configs/folder.py` is ResNet-50 at 224 pixels with the recipe of TSM's released code for small data sets;
`configs/folder.py:mini` is the quickstart's network at 48 pixels, for a first look on a CPU. Set --config.data.name.
"""

from ml_collections import ConfigDict

from configs import default, quickstart


def get_config(arg: str = "resnet50") -> ConfigDict:
  """`arg`: "resnet50" or "mini"."""
  if arg == "mini":
    c = quickstart.get_config()
    c.data.name = "folder/NAME"
    c.transforms = (
      {"make": "vidjax.data.augment.MultiScaleCrop", "size": 48},
      {"make": "vidjax.data.augment.Flip", "probability": 0.5, "swap": ()},
    )
    c.test.short_side = 54
    c.model.dropout = 0.5
    c.schedule.learning_rate = 0.02
    c.train.batch_size = 8
    c.train.epochs = 30.0
    return c
  if arg != "resnet50":
    raise ValueError(f"configs/folder.py:{arg}: choose resnet50 or mini")
  c = default.get_config()
  tsm = {"make": "vidjax.plugins.tsm.TSM", "fold_div": 8}
  c.model.backbone.inserts = ({"make": "vidjax.plugins.insert.Insert", "module": tsm, "at": "before"},)
  c.model.dropout = 0.8
  c.schedule.learning_rate = 0.01
  c.optimizer.weight_decay = 5e-4
  c.optimizer.clip_norm = 20.0
  c.train.batch_size = 64
  c.train.epochs = 50.0
  return c
