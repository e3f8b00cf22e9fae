"""Every input representation before one network: thesis Tables 3.12, 5.1 and 5.2, at full and at mini scale.

`configs/inputs.py:mbpm` is the quickstart's network on 8 segments of 3 frames of `synthetic_actions/order`; all inputs
see the same 24 frames of a clip, and "rgb" takes one frame of each segment, which is the quickstart. "tsp" and "pwtp"
learn their projection, too, as `configs/tesnet.py` and `configs/dan.py` do, here and at the size of the thesis.
`--config.data.name=synthetic_actions/scene:.7` changes the data. Any of these `representation`s goes before any
backbone in the same way.

  python -m vidjax.train --config=configs/inputs.py:mbpm,data=ssv1 --workdir=runs/mbpm

is the size of the thesis. Options follow the name:

- `data=synthetic|ssv1|kinetics400|ucf101`.
- `backbone=resnet50|mobilenet_v2|x3d_m` (Table 5.2): the first two with TSM and 8 segments, X3D-M with 16 from scratch.

There, segments have one frame of RGB, three of MBPM, and six of all others (Table 3.12, 5.5.2), of which flow and RGB
difference stack five. "stored_flow" is "flow" as `prepare --flow` stores it; TVNet is that of the thesis' code,
"frozen_tvnet", or "tvnet", which learns. FlowNet is not here. Numbers are those of 5.5.1, of UCF101 those of 5.5.2;
the classifier's and what the text leaves out, such as the crops, as in `configs/bqn.py` [released code], but for its
losses. Table 3.12 prints the same rows as 5.1, so that they are trained by the recipe of chapter 5, not by that of
DAN (3.6.1), which crops otherwise and has another dropout. All start from ImageNet (--config.init.weights), X3D-M from
nothing. RGB+Flow and RGB+MBPM average two runs: `python -m vidjax.evaluate --workdir=A --workdir=B`.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import _options, _sets, _thesis, bqn, dan, default, quickstart, tesnet, tsm
from vidjax.build import described
from vidjax.inputs.dynamic_image import DynamicImage
from vidjax.inputs.flow import Flow
from vidjax.inputs.frozen_tvnet import FrozenTVNet
from vidjax.inputs.mbpm import MBPM
from vidjax.inputs.persistent_appearance import PersistentAppearance
from vidjax.inputs.pwtp import PWTP
from vidjax.inputs.rgb_difference import RGBDifference
from vidjax.inputs.stored_flow import StoredFlow
from vidjax.inputs.tsp import TSP
from vidjax.inputs.tvnet import TVNet
from vidjax.train.optimizer import Group

FRAMES = 3  # of a segment
INPUTS = {
  "rgb": None,
  "rgb_difference": RGBDifference(FRAMES),
  "dynamic_image": DynamicImage(FRAMES),
  "persistent_appearance": PersistentAppearance(FRAMES),
  "flow": Flow(FRAMES, **tesnet.MINI_FLOW),
  "tvnet": TVNet(FRAMES, bound=4.0, iterations=15),
  "frozen_tvnet": FrozenTVNet(FRAMES),
  "mbpm": MBPM(sigma=1.1, kernel=9),
  "tsp": TSP(FRAMES, rank=1),
  "pwtp": PWTP(FRAMES, kernel=5, stride=2),  # the thesis' 9x9 kernel every 8 pixels is for frames of 224 pixels
}
TOLD = {"mbpm": ("sigma", "kernel")}
"""Fields that a config names although they are defaults."""
FIRST = {  # released code: what is learnt faster; and 3.6.1 and 5.5.1: convolutions and classifiers alone decay
  "mbpm": (Group("^representation/", rate=5.0),),
  "pwtp": (Group("^representation/(?!local/kernel)", decay=0.0),),
  **dict.fromkeys(("flow", "stored_flow", "tvnet", "frozen_tvnet"), (Group("/stem/conv/kernel", rate=5.0),)),
}
SIX = 6  # frames of a segment at full scale
FULL = {
  "rgb_difference": RGBDifference(SIX),
  "dynamic_image": DynamicImage(SIX),
  "persistent_appearance": PersistentAppearance(SIX),
  "flow": Flow(SIX),
  "stored_flow": StoredFlow(SIX - 1),
  "tvnet": TVNet(SIX),
  "frozen_tvnet": FrozenTVNet(SIX),
  "mbpm": INPUTS["mbpm"],
  "tsp": TSP(SIX, rank=1),
  "pwtp": PWTP(SIX),
}
OPTIONS = {
  "data": ("synthetic", "ssv1", "kinetics400", "ucf101"),
  "backbone": ("resnet50", "mobilenet_v2", "x3d_m"),
}


def get_config(arg: str = "mbpm") -> ConfigDict:
  """`arg`: a key of INPUTS, or "stored_flow" with real data, then options."""
  name, options = _options.parse("inputs", arg, tuple(INPUTS | FULL), OPTIONS)
  if options["data"] != "synthetic":
    return _full(name, **options)
  if ",backbone=" in arg:
    raise ValueError(f"configs/inputs.py:{arg}: backbone goes with real data: leave it out, or add ,data=ucf101 or so")
  if name not in INPUTS:
    raise ValueError(f"configs/inputs.py:{arg}: add ,data=ucf101 or so: nothing is stored of synthetic clips")
  c = quickstart.get_config()
  c.sampler.frames_per_segment = 1 if INPUTS[name] is None else FRAMES
  _put(c, name, INPUTS[name], *TOLD.get(name, ()))
  return c


def _put(c: ConfigDict, name: str, module: Any, *told: str) -> None:
  """Puts an input, or None, before the network, with the loss that it learns by, where it has one."""
  if name == "pwtp":
    dan.join(c, module, "mgda")
  elif module is not None:
    c.model.representation = described(module, *told)
  if name == "tsp":
    tesnet.project(c)


def _full(name: str, data: str, backbone: str) -> ConfigDict:
  c = default.get_config()
  chosen, x3d = _sets.use(c, data), _thesis.is_x3d(backbone)
  frames = {"rgb": 1, "mbpm": 3, "stored_flow": SIX - 1}.get(name, SIX)
  c.sampler = bqn.sampler(chosen, 16 if x3d else 8, frames)
  c.sampler.num_segments = 16 if x3d else 8  # of Kinetics, too: Table 5.1
  c.transforms = ({"make": "vidjax.data.augment.MultiScaleCrop", "size": 224}, _sets.flip(data))
  c.model.backbone = _thesis.network(c, backbone) if x3d else tsm.network(backbone)
  recipe = _thesis.recipe(data, backbone, "scratch") if x3d else _thesis.INPUTS[data]
  if not x3d:
    c.init.pretrained, c.init.new = f"imagenet/{backbone}", ("classifier",)
  _thesis.train(c, recipe)
  c.optimizer.groups = bqn.groups("text", *FIRST.get(name, ()))
  c.optimizer.clip_norm = 20.0
  if name == "stored_flow":
    c.stream = {"make": "vidjax.data.streams.Flow"}
    c.normalise.mean, c.normalise.std = (0.5,) * 3, (0.5,) * 3
  module = FULL.get(name)
  if hasattr(module, "std"):  # TV-L1 weighs its two terms for grey levels
    module = module.clone(std=tuple(c.normalise.std))
  _put(c, name, module, "frames", "rank", "activations", "std", "sigma", "kernel")
  return c
