"""TeSNet (thesis 3.2, 3.3): TSP and Inception-ResNet-v2, a stream of RGB or one of flow, on UCF101 or HMDB51.

  python -m vidjax.train --config=configs/tesnet.py:rgb --workdir=runs/rgb

`configs/tesnet.py:rgb`, `:flow` and `:stored_flow` squeeze 10 frames (or TV-L1 flows of 11, computed on the device or
stored by `prepare --flow`) to 3 before the network. A setting may follow: `:rgb-no2` to `-no5` are the places of Table
3.2, `-16` and `-64` the clip lengths of Table 3.3. `-baseline` and `-tsn` are the rows of Table 3.4 without TSP, one
frame and three segments; their flow is five stacked flows a segment [TSN]. `:mini` is the quickstart's network on
`synthetic_actions/order`, with 6 frames squeezed to 2. `:mini-no1` to `-no5` are the places of Table 3.2 at that scale,
`:mini-6`, `-12` and `-24` the lengths of Table 3.3, without TSM; `:mini_flow-24` and so on read flow.

The data set is UCF101, `--config.data.name=folder/hmdb51` the other one. Numbers are those of thesis 3.3.1, but for the
epochs at which the rate falls [ours]: it says when the validation accuracy stands still, as
`--config.schedule.make=vidjax.train.plateau.Plateau --config.schedule.learning_rate=.001` does. Crops are those of TSN.
Table 3.3 takes `--config.train.batch_size=8`. Both streams start from ImageNet (--config.init.weights, with mean and
deviation .5 as timm's), and their scores are averaged afterwards:

  python -m vidjax.evaluate --workdir=runs/rgb --workdir=runs/flow --views=20x1
"""

from collections.abc import Sequence
from typing import Any

from ml_collections import ConfigDict

from configs import _sets, default, quickstart
from vidjax.backbones.inception_resnet import InceptionResNetV2
from vidjax.backbones.resnet import MiniResNet
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
MINI = {  # the same with clips of 24 frames, before MiniResNet
  "no1": (24, ("input", 3)),
  "no2": (24, ("input", 1)),
  "no3": (24, ("stem", 3), ("res2", 1)),
  "no4": (24, ("stem", 3), ("res3", 1)),
  "no5": (24, ("stem", 3), ("res4", 1)),
  "6": (6, ("input", 3)),
  "12": (12, ("input", 3)),
  "24": (24, ("stem", 6), ("res4", 2)),
}
TOLD = ("frames", "rank", "activations", "inside")  # also where they have their defaults
RATES = {"rgb": 0.001, "flow": 0.005, "stored_flow": 0.005}
SEGMENTS = {"baseline": 1, "tsn": 3}  # Table 3.4
FLOWS = 5  # of a segment there
BETA = 10.0
MINI_BETA = 0.01
"""Ours, for a TSP inside a network that starts from nothing. With 1 or 10 the stem's maps become the same in all
frames, which leaves no error, and top-1 stays at 12% or 24%; with .01 it is 53% after 3 epochs (one seed each)."""
MINI_FLOW = {"bound": 4.0, "levels": 1, "warps": 1, "iterations": 10}
"""5 ms a clip in place of the 91 of Flow's own numbers, on one core; the two flows correlate by .91."""


def get_config(arg: str = "rgb") -> ConfigDict:
  """`arg`: a stream, then "-" and a setting, as in "rgb-no5" and "mini_flow-24"; "mini" may go without."""
  stream, _, setting = arg.partition("-")
  setting = setting or ("" if stream == "mini" else "no1")
  full = dict.fromkeys(RATES, (*SETTINGS, *SEGMENTS))
  choices = {**full, "mini": ("", *MINI), "mini_flow": (*MINI,)}
  if setting not in choices.get(stream, ()):
    whole, small = f"{', '.join(RATES)}, then -{', -'.join(full['rgb'])}", f"mini, mini_flow, then -{', -'.join(MINI)}"
    raise ValueError(f"configs/tesnet.py:{arg}: choose {whole}; or {small}")
  c = _full(stream) if stream in RATES else _mini(stream, setting)
  if setting in SEGMENTS:
    _segments(c, stream, SEGMENTS[setting])
    return c
  if stream in RATES:
    _whole(c, stream, *SETTINGS[setting])
  project(c, MINI_BETA if setting and stream not in RATES else BETA)
  return c


def project(c: ConfigDict, beta: float = BETA) -> None:
  """Gives a config with TSP its loss (Eq. 3.6).

  Args:
    c: the config, changed in place.
    beta: weight of the projection.
  """
  c.losses = described((CrossEntropy(label_smoothing=0.0), Projection(error="projection_mae")), "label_smoothing")
  c.blend = described(Weighted({"projection": beta, "classification": 1.0}))


def _mini(stream: str, setting: str) -> ConfigDict:
  c = quickstart.get_config()
  if not setting:
    c.sampler.num_segments, c.sampler.frames_per_segment = 4, 6
    c.model.representation = described(TSP(frames=6, rank=2), *TOLD)
    return c
  frames, *places = MINI[setting]
  c.sampler = _window(frames)
  if stream == "mini":
    _squeeze(c, MiniResNet(), frames, places)
  else:
    _squeeze(c, MiniResNet(), frames - 1, places, Flow(frames, stack=False, **MINI_FLOW))
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
  c.init.pretrained, c.init.new = "imagenet/inception_resnet_v2", ("classifier",)
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


def _whole(c: ConfigDict, stream: str, frames: int, *places: tuple[str, int]) -> None:
  """Inception-ResNet-v2 on a window of consecutive frames, or on the flow between them."""
  c.sampler = _window(frames + (stream == "flow"))
  before = {"flow": Flow(frames + 1, std=(0.5,) * 3, stack=False), "stored_flow": Channels(first=0, count=2)}
  _squeeze(c, InceptionResNetV2(), frames, places, before.get(stream))


def _window(frames: int) -> dict[str, Any]:
  """Consecutive frames (thesis 3.3.1)."""
  return {"make": "vidjax.data.sampling.Dense", "num_frames": frames, "stride": 1}


def _squeeze(c: ConfigDict, backbone: Any, length: int, places: Sequence[tuple[str, int]], before: Any = None) -> None:
  """Puts a TSP at each place, which squeezes what the one before it left.

  Args:
    c: the config, changed in place.
    backbone: one without modules inside.
    length: frames that the first TSP reads.
    places: "input", or a part of the backbone, and D.
    before: what makes the clip that is squeezed, or None.
  """
  inside, inputs = [], [before] if before else []
  for place, rank in places:
    if place == "input":
      inputs.append(TSP(length, rank))
    else:
      inside.append(Inside(TSP(length, rank), after=place))
    length = rank
  c.model.backbone = described(backbone.clone(inside=tuple(inside)), "widths", *TOLD)
  if inputs:
    c.model.representation = described(Series(tuple(inputs)), *TOLD)
