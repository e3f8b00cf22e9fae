"""TeSNet (thesis 3.2, 3.3): TSP and Inception-ResNet-v2, a stream of RGB or one of flow; set --config.data.name.

`configs/tesnet.py:rgb` and `:flow` squeeze 10 frames (or TV-L1 flows of 11) to 3 before the network. A setting may
follow: `:rgb-no2` to `-no5` are the places of Table 3.2, `-16` and `-64` the clip lengths of Table 3.3. `:mini` is the
quickstart's network on `synthetic_actions/order`, with 6 frames squeezed to 2. Numbers are those of thesis 3.3.1, but
for the epochs at which the rate falls: it says when the validation accuracy stands still. Both streams start from
ImageNet (--config.init.weights, with mean and deviation .5 as timm's), and their scores are averaged afterwards:

  python -m vidjax.evaluate --workdir=runs/rgb --workdir=runs/flow --views=20x1
"""

from ml_collections import ConfigDict

from configs import default, quickstart
from vidjax.backbones.inception_resnet import InceptionResNetV2
from vidjax.build import described
from vidjax.inputs.flow import Flow
from vidjax.inputs.series import Series
from vidjax.inputs.tsp import TSP
from vidjax.losses.classification import CrossEntropy
from vidjax.losses.projection import Projection
from vidjax.plugins.insert import Inside
from vidjax.train.multitask import Weighted

SETTINGS = {  # frames K, then (place, D) of each TSP; the middle of Block B: 73% of no. 1's MACs, near footnote 1's 70%
  "no1": (10, ("input", 3)),
  "no2": (10, ("input", 1)),
  "no3": (10, ("conv2d_1a", 3), ("conv2d_4a", 1)),
  "no4": (10, ("conv2d_1a", 3), ("block_a", 1)),
  "no5": (10, ("conv2d_1a", 3), ("block_b/9", 1)),
  "16": (16, ("input", 3)),
  "64": (64, ("conv2d_1a", 16), ("block_b/9", 4)),
}
TOLD = ("frames", "rank", "activations", "inside")  # also where they have their defaults
RATES = {"rgb": 0.001, "flow": 0.005}


def get_config(arg: str = "rgb") -> ConfigDict:
  """`arg`: "mini", or "rgb" or "flow" and "-no1" to "-no5", "-16", "-64" or nothing."""
  stream, _, setting = arg.partition("-")
  if arg != "mini" and (stream not in RATES or (setting or "no1") not in SETTINGS):
    raise ValueError(f"configs/tesnet.py:{arg}: choose rgb or flow, then -{', -'.join(SETTINGS)} or nothing; or mini")
  c = _mini() if arg == "mini" else _full(stream, setting or "no1")
  c.losses = described((CrossEntropy(label_smoothing=0.0), Projection(error="projection_mae")), "label_smoothing")
  c.blend = described(Weighted({"projection": 10.0, "classification": 1.0}))
  return c


def _mini() -> ConfigDict:
  c = quickstart.get_config()
  c.sampler.num_segments, c.sampler.frames_per_segment = 4, 6
  c.model.representation = described(TSP(frames=6, rank=2), *TOLD)
  return c


def _full(stream: str, setting: str) -> ConfigDict:
  frames, *places = SETTINGS[setting]
  c = default.get_config()
  c.sampler = {"make": "vidjax.data.sampling.Dense", "num_frames": frames + (stream == "flow"), "stride": 1}
  c.transforms = ({"make": "vidjax.data.augment.MultiScaleCrop", "size": 299}, c.transforms[1])
  c.test = {"make": "vidjax.data.augment.TestCrops", "size": 299, "short_side": 299}
  c.normalise = {"make": "vidjax.apply.device_augment.Normalise", "mean": (0.5,) * 3, "std": (0.5,) * 3}
  inside, inputs, length = [], [], frames
  if stream == "flow":
    inputs.append(Flow(frames + 1, std=(0.5,) * 3, stack=False))
  for place, rank in places:
    if place == "input":
      inputs.append(TSP(length, rank))
    else:
      inside.append(Inside(TSP(length, rank), after=place))
    length = rank
  c.model.backbone = described(InceptionResNetV2(inside=tuple(inside)), *TOLD)
  if inputs:
    c.model.representation = described(Series(tuple(inputs)), *TOLD)
  c.optimizer.weight_decay = 4e-5
  c.optimizer.groups = ()  # L2 on all trainable weights, Eq. 3.6
  c.schedule = {"make": "vidjax.train.schedules.steps", "learning_rate": RATES[stream], "at": (15.0, 25.0)}
  c.train.batch_size = 32
  c.train.epochs = 30.0
  return c
