"""Two streams, RGB and motion, trained together or apart; set --config.data.name.

Together, on one clip with a loss on each: `configs/two_stream.py:tsm` has TSM on ResNet-50 for both, one frame of every
segment and the five TV-L1 flows of its six frames (the RGB+Flow of thesis Table 3.6), their softmax scores averaged
1:1.5 (TSN, which averages before the softmax: --config.model.fusion=logits). The rest is that of `configs/folder.py`.
`:mini` is the quickstart's network on `synthetic_actions/order`, RGB differences in the second stream.

Apart: `:flow` is the motion stream alone, five flows of each segment as `python -m vidjax.prepare folder --flow` stores
them, and `configs/folder.py` the RGB stream; `:mini_flow` is `:flow` at the size of `configs/folder.py:mini`. Then:

  python -m vidjax.evaluate --workdir=runs/rgb --workdir=runs/flow
"""

from ml_collections import ConfigDict

from configs import folder, quickstart

ARGS = ("tsm", "mini", "flow", "mini_flow")
FLOWS = 5  # of a segment


def get_config(arg: str = "tsm") -> ConfigDict:
  """`arg`: one of ARGS."""
  if arg not in ARGS:
    raise ValueError(f"configs/two_stream.py:{arg}: choose {', '.join(ARGS)}")
  return _flow(arg) if arg.endswith("flow") else _together(arg)


def _flow(arg: str) -> ConfigDict:
  c = folder.get_config("mini" if arg == "mini_flow" else "resnet50")
  c.stream = {"make": "vidjax.data.streams.Flow"}
  c.sampler.frames_per_segment = FLOWS
  c.normalise = {"make": "vidjax.apply.device_augment.Normalise", "mean": (0.5,) * 3, "std": (0.5,) * 3}
  c.model.representation = {"make": "vidjax.inputs.stored_flow.StoredFlow", "frames": FLOWS}
  return c


def _together(arg: str) -> ConfigDict:
  c = quickstart.get_config() if arg == "mini" else folder.get_config()
  frames = 3 if arg == "mini" else FLOWS + 1
  motion = {"make": "vidjax.inputs.flow.Flow", "frames": frames, "std": c.normalise.std}
  if arg == "mini":
    motion = {"make": "vidjax.inputs.rgb_difference.RGBDifference", "frames": frames}
  still = {"make": "vidjax.inputs.one_frame.OneFrame", "frames": frames}
  streams = tuple(ConfigDict({**c.model.to_dict(), "representation": x}) for x in (still, motion))
  c.model = {"make": "vidjax.networks.two_stream.TwoStream", "streams": streams, "weights": (1.0, 1.5)}
  loss = "vidjax.losses.classification.CrossEntropy"
  c.losses = tuple({"make": loss, "of": f"{name}_logits", "name": name} for name in ("spatial", "temporal"))
  c.sampler.frames_per_segment = frames
  return c
