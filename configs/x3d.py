"""X3D on Kinetics-400, or videos of one's own: set --config.data.name.

`configs/x3d.py:xs`, `:s`, `:m` or `:l`. Every number is that of configs/Kinetics/X3D_*.yaml and
slowfast/config/defaults.py in SlowFast's released code, for one machine: the rate grows in proportion to the batch.
Theirs are tested with `python -m vidjax.evaluate --views=10x3`. Not taken over: statistics recomputed before each
test (PRECISE_STATS), a cosine that counts the epochs of the warm-up, N(0, .01) as the classifier's initial values
(here .001, as TSN) and a pooling window smaller than the test crops (here it spans the crop).
"""

from typing import Any

from ml_collections import ConfigDict

from configs import default
from vidjax.backbones.x3d import X3D
from vidjax.build import described
from vidjax.train.optimizer import Group

VARIANTS = {  # frames, stride, crop, short sides in training, crop in tests, batch, rate, epochs, blocks
  "xs": (4, 12, 160, (182, 228), 182, 128, 0.1, 300.0, 2.2),
  "s": (13, 6, 160, (182, 228), 182, 128, 0.1, 300.0, 2.2),
  "m": (16, 5, 224, (256, 320), 256, 128, 0.1, 300.0, 2.2),
  "l": (16, 5, 312, (356, 446), 356, 64, 0.05, 256.0, 5.0),
}


def get_config(arg: str = "m") -> ConfigDict:
  """`arg`: "xs", "s", "m" or "l"."""
  if arg not in VARIANTS:
    raise ValueError(f"configs/x3d.py:{arg}: choose {', '.join(VARIANTS)}")
  frames, stride, crop, short_sides, test_crop, batch, rate, epochs, _ = VARIANTS[arg]
  c = default.get_config()
  c.sampler = {"make": "vidjax.data.sampling.Dense", "num_frames": frames, "stride": stride}
  c.transforms = (
    {"make": "vidjax.data.augment.ScaleJitterCrop", "size": crop, "short_sides": short_sides},
    {"make": "vidjax.data.augment.Flip", "probability": 0.5, "swap": ()},
  )
  c.test = {"make": "vidjax.data.augment.TestCrops", "size": test_crop, "short_side": test_crop}
  c.model.backbone = network(c, arg)
  c.model.dropout = 0.5
  c.optimizer.nesterov = True
  c.optimizer.weight_decay = 5e-5
  c.optimizer.groups = described((Group("bn[^/]*/(bias|scale)$", decay=0.0),))
  c.schedule.learning_rate = rate
  c.schedule.warmup_epochs = 35.0
  c.schedule.warmup_from = 0.01 / rate  # WARMUP_START_LR
  c.train.batch_size = batch
  c.train.epochs = epochs
  c.train.evaluate_every = 10.0
  return c


def network(c: ConfigDict, variant: str) -> dict[str, Any]:
  """The backbone, described; its normalisation and its head are set.

  Args:
    c: the config, changed in place.
    variant: "xs", "s", "m" or "l".
  """
  c.normalise = {"make": "vidjax.apply.device_augment.Normalise", "mean": (0.45,) * 3, "std": (0.225,) * 3}
  c.model.consensus = "features"
  c.model.hidden = 2048  # X3D.DIM_C5
  net = X3D(depth_factor=VARIANTS[variant][-1], width_factor=2.0)
  return described(net, "depth_factor", "width_factor", "frozen_bn")


def crops(c: ConfigDict, variant: str) -> dict[str, Any]:
  """The training crop, described; tests take the same size in the centre.

  Args:
    c: the config, changed in place.
    variant: as in `network`.
  """
  _, _, crop, short_sides, *_ = VARIANTS[variant]
  c.test = {"make": "vidjax.data.augment.TestCrops", "size": crop, "short_side": short_sides[0]}
  return {"make": "vidjax.data.augment.ScaleJitterCrop", "size": crop, "short_sides": short_sides}
