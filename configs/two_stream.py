"""Two streams, RGB and motion, trained together or apart; set --config.data.name.

Together, on one clip with a loss on each: `configs/two_stream.py:tsm` has TSM on ResNet-50 for both, one frame of every
segment and the five TV-L1 flows of its six frames (the RGB+Flow of thesis Table 3.6), their softmax scores averaged
1:1.5 (TSN, which averages before the softmax: --config.model.fusion=logits). The rest is that of `configs/folder.py`.
`:mini` is the quickstart's network on `synthetic_actions/order`, RGB differences in the second stream.

Together, on stored frames and flow (`prepare folder --flow`): `:both` is `:tsm` without the cost of the flow, and
`:mini_both` the same at the size of `configs/folder.py:mini`.

Apart: `:flow` is the motion stream alone, five flows of each segment as `python -m vidjax.prepare folder --flow` stores
them, and `configs/folder.py` the RGB stream; `:mini_flow` is `:flow` at the size of `configs/folder.py:mini`. Then:

  python -m vidjax.evaluate --workdir=runs/rgb --workdir=runs/flow
"""

import flax.linen as nn
from ml_collections import ConfigDict

from configs import folder, quickstart
from vidjax.build import described
from vidjax.inputs.channels import Channels
from vidjax.inputs.flow import Flow
from vidjax.inputs.one_frame import OneFrame
from vidjax.inputs.rgb_difference import RGBDifference
from vidjax.inputs.series import Series
from vidjax.inputs.stored_flow import StoredFlow
from vidjax.losses.classification import CrossEntropy

ARGS = ("tsm", "mini", "both", "mini_both", "flow", "mini_flow")
FLOWS = 5  # of a segment


def get_config(arg: str = "tsm") -> ConfigDict:
  """`arg`: one of ARGS."""
  if arg not in ARGS:
    raise ValueError(f"configs/two_stream.py:{arg}: choose {', '.join(ARGS)}")
  if arg.endswith("both"):
    return _both(arg)
  return _flow(arg) if arg.endswith("flow") else _together(arg)


def _flow(arg: str) -> ConfigDict:
  c = folder.get_config("mini" if arg == "mini_flow" else "resnet50")
  c.stream = {"make": "vidjax.data.streams.Flow"}
  c.sampler.frames_per_segment = FLOWS
  c.normalise = {"make": "vidjax.apply.device_augment.Normalise", "mean": (0.5,) * 3, "std": (0.5,) * 3}
  c.model.representation = described(StoredFlow(FLOWS), "frames")
  return c


def _both(arg: str) -> ConfigDict:
  c = folder.get_config("mini" if arg == "mini_both" else "resnet50")
  c.stream = {"make": "vidjax.data.streams.FramesAndFlow"}
  c.sampler.frames_per_segment = FLOWS
  c.normalise.mean, c.normalise.std = (*c.normalise.mean, 0.5, 0.5), (*c.normalise.std, 0.5, 0.5)
  still = Series((Channels(first=0, count=3), OneFrame(FLOWS)))
  return _streams(c, still, Series((Channels(first=3, count=2), StoredFlow(FLOWS))))


def _together(arg: str) -> ConfigDict:
  c = quickstart.get_config() if arg == "mini" else folder.get_config()
  frames = 3 if arg == "mini" else FLOWS + 1
  motion = RGBDifference(frames) if arg == "mini" else Flow(frames, std=c.normalise.std)
  c.sampler.frames_per_segment = frames
  return _streams(c, OneFrame(frames), motion)


def _streams(c: ConfigDict, *inputs: nn.Module) -> ConfigDict:
  """A network for each of two inputs, with a loss each."""
  told = ("frames", "std", "first", "count")
  streams = tuple(ConfigDict({**c.model.to_dict(), "representation": described(x, *told)}) for x in inputs)
  c.model = {"make": "vidjax.networks.two_stream.TwoStream", "streams": streams, "weights": (1.0, 1.5)}
  losses = tuple(CrossEntropy(of=f"{name}_logits", name=name) for name in ("spatial", "temporal"))
  c.losses = described(losses)
  return c
