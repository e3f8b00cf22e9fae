"""Temporal Shift Module (Lin et al., ICCV 2019), the baseline of four of the five papers.

  python -m vidjax.train --config=configs/tsm.py:ssv1 --workdir=runs/tsm --config.init.weights=resnet50.pth

`configs/tsm.py:ssv1`, `:ssv2`, `:kinetics400`, `:ucf101` and `:hmdb51` are the data sets. Options follow the name, as
in `configs/tsm.py:kinetics400,backbone=mobilenet_v2`; the first value is the default:

- `backbone=resnet50|resnet101|mobilenet_v2|x3d_m|x3d_xs`. X3D convolves over time and shifts nothing: the RGB rows of
  thesis Tables 3.6 and 5.10, on 16 (M) or 4 frames (XS).
- `frames=8|16`, but for X3D.
- `shift=both|past`, of ResNets and MobileNetV2: from the next and the last frame, or from the last alone, for streams
  (`vidjax.open_run(DIR).stream()`); the paper's 3.4, with 1/8 of the channels.
- `sampling=uniform|dense`: of Kinetics, over the whole video, or 8 or 16 frames out of 64.
- `start=pretrained|scratch`: of X3D on Something-Something and on small sets, from Kinetics or from nothing.

Numbers are those of TSM's released code: the commands in its README and scripts/, the defaults of opts.py and the
groups of get_optim_policies. No script was released of three: dense models, trained for 100 epochs (here the drops come
twice as late, ours), MobileNetV2 (here as ResNet-50, ours) and HMDB51 (here as UCF101, ours). X3D has the numbers of
the thesis, 3.6.1, with `start=scratch` 5.5.1.

ResNets and MobileNetV2 start from ImageNet (--config.init.weights), UCF101 and HMDB51 from a run on Kinetics
(--config.init.workdir or --config.init.weights), as X3D on Something-Something does. TSM's code asks to scale the rate
with the batch: `--config.train.batch_size=256 --config.schedule.learning_rate=.04` on Kinetics. Tests: one centre crop,
or `python -m vidjax.evaluate --views=2x3 --size=256 --short_side=256`, with `--views=10x3` for dense Kinetics.

For videos of one's own take `configs/folder.py`.
"""

import dataclasses

from ml_collections import ConfigDict

from configs import _options, _sets, _thesis, default, folder, x3d
from vidjax.backbones.mobilenet import TSM_BLOCKS, MobileNetV2
from vidjax.backbones.resnet import ResNet
from vidjax.build import described
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM, released_shift
from vidjax.train.optimizer import TSN_GROUPS

OPTIONS = {
  "backbone": ("resnet50", "resnet101", "mobilenet_v2", "x3d_m", "x3d_xs"),
  "frames": ("8", "16"),
  "shift": ("both", "past"),
  "sampling": ("uniform", "dense"),
  "start": ("pretrained", "scratch"),
}
RECIPES = {  # learning rate, batch, weight decay; 50 epochs, with drops after 20 and 40, dropout .5
  "ssv1": (0.01, 64, 5e-4),
  "ssv2": (0.01, 64, 5e-4),
  "kinetics400": (0.02, 128, 1e-4),
}


def get_config(arg: str = "ssv1") -> ConfigDict:
  """`arg`: "ssv1", "ssv2", "kinetics400", "ucf101" or "hmdb51", then options."""
  name, options = _options.parse("tsm", arg, (*RECIPES, *_sets.SMALL), OPTIONS)
  backbone, start = options["backbone"], options["start"]
  idle = [key for key in ("frames", "shift", "sampling") if f",{key}=" in arg]
  if _thesis.is_x3d(backbone) and idle:
    raise ValueError(f"configs/tsm.py:{arg}: an X3D has frames of its own and no shift: leave {idle[0]} out")
  if options["sampling"] == "dense" and not _sets.SETS[name].is_kinetics:
    raise ValueError(f"configs/tsm.py:{arg}: sampling=dense goes with kinetics400: leave it out")
  _thesis.check_start(f"configs/tsm.py:{arg}", name, backbone, start)
  if _thesis.is_x3d(backbone):
    return _x3d(name, backbone, start)
  c = folder.get_config("finetune") if name in _sets.SMALL else _train(*RECIPES[name])
  frames, partial_bn = int(options["frames"]), c.model.backbone.frozen_bn
  c.model.backbone = network(backbone, past=options["shift"] == "past")
  c.model.backbone.frozen_bn = partial_bn
  dense = options["sampling"] == "dense"
  c.sampler = sampler(frames, dense)
  if _sets.use(c, name).is_kinetics and dense:
    c.schedule.at, c.train.epochs = (40.0, 80.0), 100.0
  c.transforms = ({"make": "vidjax.data.augment.MultiScaleCrop", "size": 224}, _sets.flip(name))
  _thesis.start_from(c, "tsm", name, backbone, start, "classifier")
  return c


def network(backbone: str, past: bool = False) -> ConfigDict | dict:
  """A ResNet or MobileNetV2 with its shift, described.

  Args:
    backbone: "resnet50", "resnet101" or "mobilenet_v2".
    past: shift channels from the past alone.
  """
  mobile = backbone == "mobilenet_v2"
  depth = 0 if mobile else int(backbone.removeprefix("resnet"))
  sites = Insert(TSM(), "before", blocks=TSM_BLOCKS) if mobile else released_shift(depth)
  inserts = (dataclasses.replace(sites, module=TSM(fold_div=8, bidirectional=not past)),)
  net = MobileNetV2(width_multiplier=1.0, inserts=inserts) if mobile else ResNet(depth, inserts=inserts)
  return described(net, "depth", "width_multiplier", "frozen_bn", "fold_div", "blocks")


def sampler(frames: int, dense: bool) -> dict[str, str | int]:
  """The frames of a clip, described: over the whole video, or out of a window of 64.

  Args:
    frames: of a clip.
    dense: take a window.
  """
  if dense:
    return {"make": "vidjax.data.sampling.Dense", "num_frames": frames, "stride": 64 // frames}
  return {"make": "vidjax.data.sampling.UniformSegments", "num_segments": frames, "frames_per_segment": 1}


def _train(rate: float, batch: int, decay: float) -> ConfigDict:
  c = default.get_config()
  c.model.dropout = 0.5
  c.optimizer.weight_decay = decay
  c.optimizer.clip_norm = 20.0
  c.optimizer.groups = described(TSN_GROUPS)
  c.schedule = {"make": "vidjax.train.schedules.steps", "learning_rate": rate, "at": (20.0, 40.0), "factor": 0.1}
  c.train.batch_size = batch
  c.train.epochs = 50.0
  return c


def _x3d(name: str, backbone: str, start: str) -> ConfigDict:
  c = default.get_config()
  variant = backbone.removeprefix("x3d_")
  frames, stride, *_ = x3d.VARIANTS[variant]
  if _sets.use(c, name).is_kinetics:
    c.sampler = {"make": "vidjax.data.sampling.Dense", "num_frames": frames, "stride": stride}
  else:
    c.sampler = sampler(frames, dense=False)
  c.transforms = (x3d.crops(c, variant), _sets.flip(name))
  c.model.backbone = _thesis.network(c, backbone)
  _thesis.train(c, _thesis.recipe(name, backbone, start))
  c.optimizer.groups = _thesis.groups()
  _thesis.start_from(c, "tsm", name, backbone, start, "classifier")
  return c
