"""RTSAE-DSCNN (rtsae 4.3) in four phases, by one command, on data with stored flow.

  python -m vidjax.prepare ucf101 --source=DIR --flow
  python -m vidjax.train --config=configs/rtsae_dscnn.py:ucf101 --workdir=runs/rtsae --config.init.weights=vgg16.pth

1. `spatial` and 2. `temporal`: S-Net and T-Net alone, a score for each frame, from ImageNet's VGG-16
   (--config.init.weights). The paper trains S-Net on Places205, too, and T-Net on UCF101 and HMDB51 together. Places205
   cannot be had any more: its substitute is the data set itself.
3. `attention`: the RTSAE learns without labels which steps to keep, blocks 1 and 2 held. The paper takes TRECVID, which
   cannot be had: its substitute is the data set itself, without its labels.
4. `joint`: all together, without the decoder.

`:ucf101` (the default) and `:hmdb51` are the paper's recipe; `:hmdb51` starts from a finished `:ucf101`
(--config.init.workdir=runs/rtsae) and trains the last phase alone. Not said in the text, and ours: 32 steps a clip,
frames of 256 pixels, the 25,000 steps of `attention`, how many frames are inserted, weight decay and dropout.

`:mini` is the same with small streams on `synthetic_actions/sparse`, RGB differences in place of the flow, for a look
on two CPU cores. Its streams learn on `synthetic_actions/order`, where every frame shows the action, as the paper's
learn on other data sets first. Its numbers are ours, its optimizer is Adam but in `attention`, and `joint` holds what
lies before the gate, which would take most of the time.

Settings of the paper's tables follow the name: `:mini-p1`, `:ucf101-p3-depth1`, `:mini-hard`. Gates of the joint phase
are soft (the paper's, the default), hard, straight_through and binary_neuron (5.1.1 C); open, the dense network without
a gate to compare with; and two that are ours: mixed, where the soft gate also says how far the LSTM's state moves, and
sparse, that with a small L1 loss on the gates.
"""

import re
from typing import Any

from ml_collections import ConfigDict

from configs import _sets, default
from vidjax.apply.insert_frames import InsertFrames
from vidjax.backbones.vgg import VGG
from vidjax.build import described
from vidjax.data.corner_crop import CornerCrop
from vidjax.inputs.channels import Channels
from vidjax.inputs.one_frame import OneFrame
from vidjax.inputs.rgb_difference import RGBDifference
from vidjax.losses.sparse_autoencoder import GateL1, SparseAutoencoder
from vidjax.networks.rtsae_dscnn import Measured

ARGS = re.compile(
  r"(ucf101|hmdb51|mini)(?:-(p[123]))?(?:-depth([123]))?(?:-(soft|mixed|sparse|hard|straight_through|binary_neuron|open))?"
)
EQUATION_12 = {"reconstruction": 1.0, "diversity": 0.5, "low_rank": 0.02, "output_l1": 0.05, "gate_l1": 0.8}
"""mu, tau, lambda and phi of rtsae 3.2."""


def get_config(arg: str = "ucf101") -> ConfigDict:
  """`arg`: "ucf101", "hmdb51" or "mini", then position, depth and gate, as in "mini-p2-depth2-soft"."""
  match = ARGS.fullmatch(arg)
  if not match:
    raise ValueError(f"configs/rtsae_dscnn.py:{arg}: choose ucf101, hmdb51 or mini, then -p2, -depth2 and -soft or so")
  name, position, depth, gate = match.groups()
  mini = name == "mini"
  c = _mini() if mini else _full(name)
  stream = VGG(12, 96, depths=(1, 1, 1, 1, 1)) if mini else VGG()
  spatial, temporal = (OneFrame(3, 1), RGBDifference(3)) if mini else (Channels(0, 3), Channels(3, 2))
  measured = described(Measured(spatial, temporal, stream, position or "p2"), "position", "scale", "first", "count")
  rtsae = {"measured": measured, "depth": int(depth or 2), "units": 64 if mini else 128}
  alone = {"make": "vidjax.networks.recognizer.Recognizer", "backbone": described(stream), "dropout": c.model.dropout}
  c.model = ConfigDict({"make": "vidjax.networks.rtsae_dscnn.RTSAEDSCNN", **rtsae, "dropout": c.model.dropout})
  c.model.mix = gate in ("mixed", "sparse")
  c.model.gate = "soft" if c.model.mix else gate or "soft"
  c.model.fused_features, c.model.top = (128, 64) if mini else (1024, 256)
  c.task = {"make": "vidjax.tasks.keyframes.KeyframeClassification", "key_frames": mini}
  if name != "hmdb51":
    c.phases = _phases(mini, alone, spatial, temporal, rtsae)
  if gate == "sparse":
    loss = {"losses": (*c.losses, described(GateL1())), "blend": {**c.blend.to_dict(), "weights": {"gate_l1": 0.02}}}
    c.update(loss) if name == "hmdb51" else c.phases[-1].update(loss)
  return c


def _phases(mini: bool, alone: dict[str, Any], spatial: Any, temporal: Any, rtsae: dict[str, Any]) -> tuple:
  """The four trainings; what they do not change is that of the joint one."""
  gate_at = int(rtsae["measured"]["position"][1:])
  before_gate = tuple(f"streams/{net}/stage{i}" for net in ("s_net", "t_net") for i in range(1, gate_at + 1))
  streams = {
    "task": {"make": "vidjax.tasks.classification.Classification"},
    "schedule": {
      "make": "vidjax.train.schedules.steps",
      "learning_rate": 2e-3 if mini else 0.01,
      "at": (0.64,),  # 16,000 of 25,000
      "factor": 0.1,
      "of": "training",
    },
    "device_transforms": (),
    "train": {"steps": 600 if mini else 25_000, "batch_size": 32},
  }
  if mini:
    streams |= {"data": {"name": "synthetic_actions/order"}, "sampler": {"num_segments": 8}}
  attention = {
    "task": {"make": "vidjax.tasks.reconstruction.Reconstruction", "key_frames": mini, "metric": "-loss"},
    "model": {"make": "vidjax.networks.rtsae_dscnn.GateTraining", **rtsae},
    "losses": (described(SparseAutoencoder(), "target"),),
    "blend": {"make": "vidjax.train.multitask.Weighted", "weights": EQUATION_12},
    "optimizer": {"make": "optax.adadelta", "rho": 0.95, "eps": 1e-6},
    "schedule": {"make": "vidjax.train.schedules.constant", "learning_rate": 1.0},
    "init": {
      "phase": {"streams/s_net": "spatial/backbone", "streams/t_net": "temporal/backbone"},
      "unused": (*(f"backbone/stage{number}" for number in range(gate_at + 1, 6)), "backbone/last_conv"),
    },
    "train": {"steps": 600 if mini else 25_000, "batch_size": 32, "frozen": ("streams",)},
  }
  told = ("first", "count", "frames")
  weights = {} if mini else {"new": ("classifier", "backbone/last_conv"), "unused": ("classifier",)}
  return (
    {
      "name": "spatial",
      **streams,
      "model": {**alone, "representation": described(spatial, *told)},
      "init": weights,
    },
    {
      "name": "temporal",
      **streams,
      "model": {**alone, "representation": described(temporal, *told)},
      "init": {"phase": "", **weights},
    },
    {"name": "attention", **attention},
    {
      "name": "joint",
      "train": {"frozen": before_gate if mini else ()},
      "init": {
        "phase": {
          "streams/s_net": "spatial/backbone",
          "streams/t_net": "temporal/backbone",
          "rtsae/encoder": "attention/rtsae/encoder",
        }
      },
    },
  )


def _full(name: str) -> ConfigDict:
  c = default.get_config()
  _sets.use(c, name)
  c.init.pretrained = "imagenet/vgg16"
  if name == "hmdb51":
    c.init.pretrained, c.init.new = "ucf101/rtsae_dscnn", ("classifier",)
  c.stream = {"make": "vidjax.data.streams.FramesAndFlow"}
  c.sampler.num_segments = 32
  c.transforms = (
    described(CornerCrop(224, 256), "size", "short_side", "regions"),
    {"make": "vidjax.data.augment.Flip", "probability": 0.5, "swap": ()},
  )
  c.normalise.mean, c.normalise.std = (*c.normalise.mean, 0.5, 0.5), (*c.normalise.std, 0.5, 0.5)
  c.device_transforms = (described(InsertFrames(), "probability", "own", "others"),)
  c.schedule = {"make": "vidjax.train.schedules.constant", "learning_rate": 1e-3}
  c.train.batch_size = 16
  c.train.steps = 35_000
  return c


def _mini() -> ConfigDict:
  c = default.get_config()
  c.data.name = "synthetic_actions/sparse"
  c.data.num_threads = 1
  c.sampler.num_segments, c.sampler.frames_per_segment = 16, 3
  c.transforms = ({"make": "vidjax.data.augment.Resize", "size": 48},)
  c.test = {"make": "vidjax.data.augment.TestCrops", "size": 48, "short_side": 48}
  c.device_transforms = (described(InsertFrames(frames=3), "probability", "own", "others"),)
  c.model.dropout = 0.2
  c.optimizer = ConfigDict({"make": "optax.adamw", "weight_decay": 1e-4})
  c.schedule.learning_rate = 2e-3  # a cosine
  c.train.batch_size = 32
  c.train.steps = 600
  c.train.evaluate_every = 10.0
  return c
