"""Busy-Quiet Net (thesis ch. 5) on videos of one's own: set --config.data.name.

`configs/bqn.py:ssv1` and `:kinetics400` are ResNet-50 with TSM, `:x3d` is X3D-M (Kinetics-400): 8 segments (Kinetics
16) of three frames, Busy at 256 and Quiet at 160 pixels; `:mini` is the quickstart's network at 48 pixels, which runs
on `synthetic_actions/order`. Numbers are those of thesis 5.5.1; what it does not say comes from the released code and
says so. Tests: one centre crop; `python -m vidjax.evaluate --views=2x3` where the tables have more views.

Kinetics is sampled densely, in windows of 64 frames. `--config.sampler.window=48` reads consecutive frames, as the last
released code does. Something-Something is not flipped, as in the released code; `--config.transforms[1].probability=.5`
flips it with labels exchanged, as TDN's code does. The classifier's weight decay is five times that of the
convolutions, as the text says; `:ssv1,decay=code` has the released code's: none, and ten times the rate for the bias.
"""

from ml_collections import ConfigDict

from configs import default, quickstart
from vidjax.backbones.resnet import ResNet
from vidjax.backbones.x3d import X3D
from vidjax.build import described
from vidjax.inputs.mbpm import MBPM, Quiet
from vidjax.losses.classification import CrossEntropy
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM
from vidjax.train.optimizer import Group

RECIPES = {  # learning rate, batch, epochs, weight decay, dropout
  "ssv1": (0.12, 256, 50.0, 8e-4, 0.8),
  "kinetics400": (0.08, 512, 100.0, 2e-4, 0.5),
  "x3d": (0.4, 256, 256.0, 5e-5, 0.5),
}
CLASSIFIER = {  # rate of the kernel, its decay, rate of the bias
  "text": (5.0, 5.0, 5.0),
  "code": (5.0, 0.0, 10.0),
}
MIRRORED = {"ssv1": ((86, 87), (93, 94), (166, 167))}
"""Labels of Something-Something V1 that change places in a mirror."""


def get_config(arg: str = "ssv1") -> ConfigDict:
  """`arg`: "ssv1", "kinetics400", "x3d", "mini", or "mini_busy" and "mini_quiet", its pathways alone; ",decay=code"."""
  name, _, option = arg.partition(",")
  source = option.removeprefix("decay=") if option else "text"
  if name not in (*RECIPES, "mini", "mini_busy", "mini_quiet") or source not in CLASSIFIER:
    raise ValueError(
      f"configs/bqn.py:{arg}: choose {', '.join(RECIPES)}, mini, mini_busy or mini_quiet; then ,decay=text or =code"
    )
  arg = name
  if arg.startswith("mini"):
    c = quickstart.get_config()
    c.sampler.frames_per_segment = 3
    mbpm = described(MBPM(kernel=5))
    if arg == "mini_busy":
      c.model.representation = mbpm
      return c
    if arg == "mini_quiet":
      c.model.representation = described(Quiet(scale=0.75, form="first"))
      return c
    c.model = _network(c.model.backbone, quiet_form="first", to_quiet="identity")
    c.model.mbpm = mbpm
    c.model.lateral_kernels = (5, 3, 3)
    c.model.quiet_size = 36
    c.model.dropout = 0.0
    return c
  rate, batch, epochs, decay, dropout = RECIPES[arg]
  c = default.get_config()
  if arg == "ssv1":
    c.sampler = {"make": "vidjax.data.sampling.UniformSegments", "num_segments": 8, "frames_per_segment": 3}
  else:
    c.sampler = {
      "make": "vidjax.data.sampling.DenseSegments",
      "num_segments": 16,
      "frames_per_segment": 3,
      "window": 64,
    }
  c.transforms = (
    {"make": "vidjax.data.augment.MultiScaleCrop", "size": 256},
    {
      "make": "vidjax.data.augment.Flip",
      "probability": 0.0 if arg in MIRRORED else 0.5,  # released code: none on Something-Something
      "swap": MIRRORED.get(arg, ()),
    },
  )
  c.test = {"make": "vidjax.data.augment.TestCrops", "size": 256, "short_side": 256}
  if arg == "x3d":
    c.normalise = {"make": "vidjax.apply.device_augment.Normalise", "mean": (0.45,) * 3, "std": (0.225,) * 3}
    # Released code: 1x1 convolutions in the connections both ways, a head for each pathway.
    c.model = _network(described(X3D()), quiet_form="first", to_quiet="conv", to_busy="conv")
    c.model.shared_classifier = False
    c.model.consensus = "features"
    c.model.hidden = 2048
  else:
    backbone = ResNet(50, inserts=(Insert(TSM(fold_div=8), "before"),))
    told = ("depth", "fold_div", "frozen_bn")
    # The first of every three frames, and no 1x1 convolutions: the released code, which the tables' 47.4 M want.
    c.model = _network(described(backbone, *told), quiet_form="first", to_quiet="identity")
  c.model.dropout = dropout
  rate_of_kernel, decay_of_kernel, rate_of_bias = CLASSIFIER[source]
  groups = (  # released code: get_optim_policies, but for the classifier
    Group("^mbpm/", rate=5.0),
    Group("^busy/stem/conv/kernel" if arg == "x3d" else "/stem/conv/kernel", rate=5.0),
    Group("^classifier[^/]*/kernel$", rate=rate_of_kernel, decay=decay_of_kernel),
    Group("^classifier[^/]*/bias$", rate=rate_of_bias, decay=0.0),
    Group("bn[^/]*/(scale|bias)$", decay=0.0),
    Group("/bias$", rate=2.0, decay=0.0),
  )
  c.optimizer.groups = described(groups)
  c.optimizer.weight_decay = decay
  c.optimizer.clip_norm = 20.0  # released code
  c.losses = described((CrossEntropy(label_smoothing=0.1),))  # released code
  c.schedule.learning_rate = rate
  c.schedule.warmup_epochs = 7.0
  c.schedule.warmup_from = 0.1  # released code
  c.train.batch_size = batch
  c.train.epochs = epochs
  return c


def _network(backbone: ConfigDict | dict, **rest: str) -> ConfigDict:
  c = ConfigDict({"make": "vidjax.networks.bqn.BQN", "backbone": backbone, **rest})
  c.mbpm = described(MBPM(sigma=1.1, kernel=9), "sigma", "kernel")
  c.quiet_size = 160  # of 256 pixels
  c.lateral = "BPLC"
  c.lateral_kernels = (7, 7, 7, 3)
  return c
