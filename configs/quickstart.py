"""A first result in minutes on two CPU cores: a mini ResNet with TSM learns the direction of motion.

`configs/quickstart.py` has TSM; `configs/quickstart.py:tsn` is the same network without it, which cannot tell a clip
from its reverse and so cannot exceed 50%.
"""

from ml_collections import ConfigDict

from configs import default
from vidjax.backbones.resnet import MiniResNet
from vidjax.build import described
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM


def get_config(arg: str = "tsm") -> ConfigDict:
  """`arg`: "tsm" or "tsn"."""
  if arg not in ("tsm", "tsn"):
    raise ValueError(f"configs/quickstart.py:{arg}: choose tsm or tsn")
  c = default.get_config()
  c.data.name = "synthetic_actions/order"
  c.data.num_threads = 1  # small frames: a second thread only takes turns with the first
  c.sampler.num_segments = 8
  c.transforms = ({"make": "vidjax.data.augment.Resize", "size": 48},)
  c.test = {"make": "vidjax.data.augment.TestCrops", "size": 48, "short_side": 48}
  inserts = (Insert(TSM(fold_div=8), "before"),) if arg == "tsm" else ()
  c.model.backbone = described(MiniResNet((24, 24, 48, 48), inserts), "widths", "inserts", "fold_div")
  c.model.dropout = 0.0
  c.schedule.learning_rate = 0.1
  c.optimizer.weight_decay = 1e-4
  c.train.epochs = 6.0
  c.train.evaluate_every = 2.0
  c.train.batch_size = 32
  c.train.log_every = 20
  return c
