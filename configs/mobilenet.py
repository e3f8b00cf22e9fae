"""TSM on MobileNetV2: set --config.data.name.

`configs/mobilenet.py` has the rates, epochs and batch that TSM's released code gives for Kinetics
(scripts/train_tsm_kinetics_rgb_8f.sh, written for ResNet-50; its MobileNetV2 was trained for 100 epochs on dense clips,
for which no script was released). It starts there from ImageNet.
"""

from ml_collections import ConfigDict

from configs import default
from vidjax.backbones.mobilenet import TSM_BLOCKS, MobileNetV2
from vidjax.build import described
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM
from vidjax.train.optimizer import Group


def get_config() -> ConfigDict:
  """The config."""
  c = default.get_config()
  c.sampler.num_segments = 8
  backbone = MobileNetV2(width_multiplier=1.0, inserts=(Insert(TSM(fold_div=8), "before", blocks=TSM_BLOCKS),))
  c.model.backbone = described(backbone, "width_multiplier", "frozen_bn", "fold_div")
  c.model.dropout = 0.5
  c.optimizer.weight_decay = 1e-4
  c.optimizer.clip_norm = 20.0
  groups = Group("bn[^/]*/(bias|scale)$", decay=0.0), Group("/bias$", rate=2.0, decay=0.0)  # ops/models.py
  c.optimizer.groups = described(groups)
  c.schedule = {
    "make": "vidjax.train.schedules.steps",
    "learning_rate": 0.02,
    "at": (20.0, 40.0),
    "factor": 0.1,
  }
  c.train.batch_size = 128
  c.train.epochs = 50.0
  return c
