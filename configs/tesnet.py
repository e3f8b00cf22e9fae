"""TeSNet (thesis 3.2, 3.3): TSP and Inception-ResNet-v2, a stream of RGB or one of flow, on UCF101 or HMDB51.

  python -m vidjax.train --config=configs/tesnet.py:rgb --workdir=runs/rgb

`configs/tesnet.py:rgb`, `:flow` and `:stored_flow` squeeze 10 frames (or TV-L1 flows of 11, computed on the device or
stored by `prepare --flow`) to 3 before the network. A setting may follow: `:rgb-no2` to `-no5` are the places of Table
3.2, `-16` and `-64` the clip lengths of Table 3.3. `-baseline` and `-tsn` are the rows of Table 3.4 without TSP, one
frame and three segments; their flow is five stacked flows a segment [TSN]. `:mini` is the quickstart's network on
`synthetic_actions/order`, with 6 frames squeezed to 2.

The data set is UCF101, `--config.data.name=folder/hmdb51` the other one. Numbers are those of thesis 3.3.1, but for the
epochs at which the rate falls [ours]: it says when the validation accuracy stands still, as
`--config.schedule.make=vidjax.train.plateau.Plateau --config.schedule.learning_rate=.001` does. Crops are those of TSN.
Table 3.3 takes `--config.train.batch_size=8`. Both streams start from ImageNet (--config.init.weights, with mean and
deviation .5 as timm's), and their scores are averaged afterwards:

  python -m vidjax.evaluate --workdir=runs/rgb --workdir=runs/flow --views=20x1
"""

from typing import Any

from ml_collections import ConfigDict

from configs import _sets, default, quickstart
from vidjax.backbones.inception_resnet import InceptionResNetV2
from vidjax.build import described
from vidjax.inputs.channels import Channels
from vidjax.inputs.flow import Flow
from vidjax.inputs.series import Series
from vidjax.inputs.stored_flow import StoredFlow
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
RATES = {"rgb": 0.001, "flow": 0.005, "stored_flow": 0.005}
SEGMENTS = {"baseline": 1, "tsn": 3}  # Table 3.4
FLOWS = 5  # of a segment there


def get_config(arg: str = "rgb") -> ConfigDict:
  """`arg`: "mini", or "rgb", "flow" or "stored_flow", and "-no1" to "-no5", "-16", "-64", "-baseline", "-tsn"."""
  stream, _, setting = arg.partition("-")
  setting = setting or "no1"
  settings = (*SETTINGS, *SEGMENTS)
  if arg != "mini" and (stream not in RATES or setting not in settings):
    raise ValueError(f"configs/tesnet.py:{arg}: choose {', '.join(RATES)}, then -{', -'.join(settings)}; or mini")
  c = _mini() if arg == "mini" else _full(stream)
  if setting in SEGMENTS:
    _segments(c, stream, SEGMENTS[setting])
    return c
  if arg != "mini":
    _squeeze(c, stream, setting)
  project(c)
  return c


def project(c: ConfigDict) -> None:
  """Gives a config with TSP its loss (Eq. 3.6, beta = 10)."""
  c.losses = described((CrossEntropy(label_smoothing=0.0), Projection(error="projection_mae")), "label_smoothing")
  c.blend = described(Weighted({"projection": 10.0, "classification": 1.0}))


def _mini() -> ConfigDict:
  c = quickstart.get_config()
  c.sampler.num_segments, c.sampler.frames_per_segment = 4, 6
  c.model.representation = described(TSP(frames=6, rank=2), *TOLD)
  return c


def _full(stream: str) -> ConfigDict:
  c = default.get_config()
  _sets.use(c, "ucf101")
  c.transforms = ({"make": "vidjax.data.augment.MultiScaleCrop", "size": 299}, _sets.flip("ucf101"))
  c.test = {"make": "vidjax.data.augment.TestCrops", "size": 299, "short_side": 299}
  c.normalise = {"make": "vidjax.apply.device_augment.Normalise", "mean": (0.5,) * 3, "std": (0.5,) * 3}
  if stream == "stored_flow":
    c.stream = {"make": "vidjax.data.streams.Flow"}
  c.model.backbone = described(InceptionResNetV2(), *TOLD)
  c.optimizer.weight_decay = 4e-5
  c.optimizer.groups = ()  # L2 on all trainable weights, Eq. 3.6
  c.schedule = {"make": "vidjax.train.schedules.steps", "learning_rate": RATES[stream], "at": (15.0, 25.0)}
  c.train.batch_size = 32
  c.train.epochs = 30.0
  return c


def _segments(c: ConfigDict, stream: str, segments: int) -> None:
  """Inception-ResNet-v2 on one frame of every segment, or on its stacked flows."""
  inputs: dict[str, tuple[Any, int]] = {  # and the frames that it reads
    "rgb": (None, 1),
    "flow": (Flow(FLOWS + 1, std=(0.5,) * 3), FLOWS + 1),
    "stored_flow": (StoredFlow(FLOWS), FLOWS),
  }
  module, c.sampler.frames_per_segment = inputs[stream]
  c.sampler.num_segments = segments
  if module is not None:
    c.model.representation = described(module, *TOLD)


def _squeeze(c: ConfigDict, stream: str, setting: str) -> None:
  frames, *places = SETTINGS[setting]
  c.sampler = {"make": "vidjax.data.sampling.Dense", "num_frames": frames + (stream == "flow"), "stride": 1}
  inside, inputs, length = [], [], frames
  if stream == "flow":
    inputs.append(Flow(frames + 1, std=(0.5,) * 3, stack=False))
  if stream == "stored_flow":
    inputs.append(Channels(first=0, count=2))
  for place, rank in places:
    if place == "input":
      inputs.append(TSP(length, rank))
    else:
      inside.append(Inside(TSP(length, rank), after=place))
    length = rank
  c.model.backbone = described(InceptionResNetV2(inside=tuple(inside)), *TOLD)
  if inputs:
    c.model.representation = described(Series(tuple(inputs)), *TOLD)
