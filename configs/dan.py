"""Dynamic Appearance Network (thesis ch. 3): PWTP in front of a backbone, both trained at once; set --config.data.name.

`configs/dan.py:ssv1` and `:kinetics400` are ResNet-50 with TSM, `:x3d` (Kinetics-400) and `:x3d_ssv1` X3D-M; `:mini`
is the quickstart's network at 48 pixels, which runs on `synthetic_actions/order`. Numbers are those of thesis 3.6.1, S
and T those of Tables 3.6 and 3.7. ResNet-50 starts from ImageNet (--config.init.weights). Another T wants both
`--config.sampler.frames_per_segment` (on Kinetics `num_frames`, S times T) and `--config.model.representation.frames`.

Fine-tuning with partial BN (3.6.1) is `--config.model.backbone.frozen_bn=all_but_first` and
`--config.model.representation.frozen_bn=True`, which freezes PWTP's BatchNorm with the rest.

How the losses of projection and classification are joined (Table 3.9) follows the name. `configs/dan.py:ssv1` or
`:ssv1-mgda` does it by MGDA. The others have values of their own to set:

- `:ssv1-scale`, the scale scheduler: `--config.blend.weights.projection.gamma=0.1`, `.lam=0.1`, and the same of
  `classification`;
- `:ssv1-fixed`, alpha and 1 - alpha: `--config.blend.weights.projection=0.9 --config.blend.weights.classification=0.1`;
- `:ssv1-separate`, one after the other, in two phases: the projection alone, then the network behind it, which stays as
  it is (`--config.phases[0].train.epochs=10.`).
"""

from ml_collections import ConfigDict

from configs import default, quickstart
from vidjax.backbones.x3d import X3D
from vidjax.build import described
from vidjax.inputs.pwtp import PWTP
from vidjax.losses.classification import CrossEntropy
from vidjax.losses.projection import Projection
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM
from vidjax.train.multitask import MGDA, Weighted
from vidjax.train.optimizer import Group
from vidjax.train.schedules import Scale

RECIPES = {  # segments, frames of each, learning rate, batch, epochs, weight decay, dropout
  "ssv1": (8, 4, 0.12, 256, 50.0, 8e-4, 0.8),
  "kinetics400": (16, 8, 0.08, 512, 100.0, 2e-4, 0.5),
  "x3d": (16, 8, 0.4, 256, 256.0, 5e-5, 0.5),
  "x3d_ssv1": (16, 3, 0.12, 256, 50.0, 4e-4, 0.8),
}
REST = ("backbone", "classifier")
BLENDS = {
  "mgda": MGDA(shared="representation", normalise="none"),
  "scale": Weighted(
    {"projection": Scale(gamma=0.2, lam=0.3), "classification": Scale(gamma=0.2, lam=0.3, rest=True)},
  ),
  "fixed": Weighted({"projection": 0.5, "classification": 0.5}),
  "separate": Weighted(),
}


def get_config(arg: str = "ssv1") -> ConfigDict:
  """`arg`: "ssv1", "kinetics400", "x3d", "x3d_ssv1" or "mini", and "-mgda", "-scale", "-fixed" or "-separate"."""
  name, _, blend = arg.partition("-")
  if name not in (*RECIPES, "mini") or (blend or "mgda") not in BLENDS:
    raise ValueError(
      f"configs/dan.py:{arg}: choose {', '.join(RECIPES)} or mini, then -{', -'.join(BLENDS)} or nothing"
    )
  c = quickstart.get_config() if name == "mini" else _full(name)
  frames = 4 if name == "mini" else RECIPES[name][1]
  pwtp = PWTP(frames, rank=1, kernel=9, stride=8, features=24)
  if name == "mini":
    c.sampler.frames_per_segment = frames
    pwtp = PWTP(frames, rank=1, kernel=5, stride=4, features=8)
  c.model.representation = described(pwtp, "frames", "rank", "kernel", "stride", "features", "frozen_bn")
  c.losses = described((CrossEntropy(label_smoothing=0.0), Projection(error="enopr")), "label_smoothing", "error")
  c.blend = described(BLENDS[blend or "mgda"], "normalise", "weights", "gamma", "lam", "rest")
  if blend == "separate":
    c.phases = (
      {"name": "projection", "losses": c.losses[1:], "train": {"epochs": c.train.epochs, "frozen": REST}},
      {"name": "network", "losses": c.losses[:1], "train": {"frozen": ("representation",)}},
    )
  return c


def _full(name: str) -> ConfigDict:
  segments, frames, rate, batch, epochs, decay, dropout = RECIPES[name]
  c = default.get_config()
  something = name.endswith("ssv1")
  if something:
    c.sampler = {"make": "vidjax.data.sampling.UniformSegments", "num_segments": segments, "frames_per_segment": frames}
  else:
    c.sampler = {"make": "vidjax.data.sampling.Dense", "num_frames": segments * frames, "stride": 1}
  c.transforms = (
    {"make": "vidjax.data.augment.ScaleJitterCrop", "size": 224, "short_sides": (256, 320)},
    {"make": "vidjax.data.augment.Flip", "probability": 0.0 if something else 0.5, "swap": ()},
  )
  if name.startswith("x3d"):
    c.normalise = {"make": "vidjax.apply.device_augment.Normalise", "mean": (0.45,) * 3, "std": (0.225,) * 3}
    c.model.backbone = described(X3D(depth_factor=2.2, width_factor=2.0), "depth_factor", "width_factor")
    c.model.consensus = "features"
    c.model.hidden = 2048
  else:
    c.model.backbone.inserts = described((Insert(TSM(fold_div=8), "before"),), "fold_div")
  c.model.dropout = dropout
  groups = (  # L2 on convolutions and the classifier, five times rate and decay for the latter
    Group("^classifier/kernel$", rate=5.0, decay=5.0),
    Group("^classifier/bias$", rate=5.0, decay=0.0),
    Group("^representation/(?!local/kernel)|/(bias|scale)$", decay=0.0),
  )
  c.optimizer.groups = described(groups)
  c.optimizer.weight_decay = decay
  c.schedule.learning_rate = rate
  c.schedule.warmup_epochs = 7.0  # said of ResNet-50; of X3D nothing is
  c.train.batch_size = batch
  c.train.epochs = epochs
  return c
