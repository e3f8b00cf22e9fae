"""Temporal Transformer Network with Self-supervision (TTSN).

  python -m vidjax.train --config=configs/ttsn.py:hmdb51,pretrain=kinetics --workdir=runs/ttsn \\
    --config.init.weights=FILE

`configs/ttsn.py:hmdb51`, `:ucf101` and `:ssv1` are the data sets, `:mini` is the quickstart's network at 48 pixels.
Options follow the name, as in `configs/ttsn.py:ssv1,backbone=tdn,frames=16`; the first value is the default:

- `ett=on|off` and `tss=RR|RA|AR|AA|off`: the two parts (Tables VI and VII). Both off with `backbone=tdn` is the TDN row
  of Tables II to IV.
- `backbone=resnet50|tdn`: as the paper's text has it, or that of the authors' code line, which reads 5 frames of every
  segment.
- `pretrain=imagenet|kinetics`: what --config.init.weights, or --config.init.workdir, holds. From Kinetics, the
  classifier has larger rates [TDN's code].
- `frames=8|16`: the paper's 8f and 16f; an 8f+16f ensemble is
  `python -m vidjax.evaluate --workdir=RUN_8 --workdir=RUN_16`.

Tests: one centre crop (paper IV-B). The paper trains with centre crops, too; here are those of TDN's code.
`--config.transforms[0].make=vidjax.data.augment.CenterCrop --config.transforms[0].short_side=256` follows the paper.

Something-Something is not flipped, as in TSM's code. TDN's code flips it with labels exchanged:
`--config.transforms[1].probability=.5`.

TSS learns from the clips of the batch, without their labels; the paper's U-dagger, a set of its own, is
`--config.data.unlabelled=4 --config.losses[1].unlabelled=True`, and `--config.data.unlabelled_split=SPLIT`.
"""

from ml_collections import ConfigDict

from configs import _options, _sets, default, quickstart
from vidjax.build import described
from vidjax.losses.reversal import Reversal
from vidjax.plugins.ett import ETT
from vidjax.train.optimizer import TSN_GROUPS

RECIPES = {  # paper IV-B: learning rate, epochs, where it falls by 10, batch, theta2 (theta1 is 1)
  "hmdb51": (1.5e-4, 50.0, (25.0, 35.0), 4, 0.01),
  "ucf101": (1.5e-4, 50.0, (25.0, 35.0), 4, 0.1),
  "ssv1": (1.3e-3, 65.0, (30.0, 45.0, 55.0), 8, 0.1),
}
OPTIONS = {
  "ett": ("on", "off"),
  "tss": ("RR", "RA", "AR", "AA", "off"),  # RR: paper IV-B
  "backbone": ("resnet50", "tdn"),
  "pretrain": ("imagenet", "kinetics"),
  "frames": ("8", "16"),
}


def get_config(arg: str = "hmdb51") -> ConfigDict:
  """`arg`: "hmdb51", "ucf101", "ssv1" or "mini", then options."""
  name, options = _options.parse("ttsn", arg, (*RECIPES, "mini"), OPTIONS, {"mini": ("backbone", "pretrain")})
  mini, frames = name == "mini", int(options["frames"])
  c = quickstart.get_config() if mini else _full(name, options["backbone"], frames)
  c.sampler.num_segments = frames
  c.model.make = "vidjax.networks.ttsn.TTSN"
  ett, tss = options["ett"] == "on", None if options["tss"] == "off" else options["tss"]
  # l = 12544. Fig. 3: compression=1 with expansion=u is its "up-u".
  transformer = ETT(compression=8, tokens="frames", shared=False, position_sets=3, expansion=1)
  told = ("compression", "tokens", "shared", "position_sets", "expansion")
  c.model.ett = described(transformer, *told) if ett else None
  c.model.tss = tss
  if tss:
    c.model.tss_head, c.model.tss_width = "clip", 64 if mini else 2048  # Table V's 12.59 M, by frame
    c.losses = (*c.losses, described(Reversal(unlabelled=False), "unlabelled"))  # Eq. 8
    c.blend.weights = {"classification": 1.0, "reversal": 0.1 if mini else RECIPES[name][-1]}
  if not mini:
    parts = ("ett",) * ett + ("reversal_head",) * bool(tss)
    c.init.new = ("classifier", *parts)
    network = "tdn-resnet50" if options["backbone"] == "tdn" else "resnet50"
    kinetics = options["pretrain"] == "kinetics"
    c.init.pretrained = f"kinetics400/{network}" if kinetics else "imagenet/resnet50"
    # TDN's code: get_optim_policies, with the larger rates of the classifier (fc_lr5) from Kinetics.
    groups = TSN_GROUPS if kinetics else TSN_GROUPS[2:]
    c.optimizer.groups = described(groups)
  return c


def _full(name: str, backbone: str, frames: int) -> ConfigDict:
  rate, epochs, at, batch, _ = RECIPES[name]
  c = default.get_config()
  _sets.use(c, name)
  crop = {"make": "vidjax.data.augment.MultiScaleCrop", "size": 224, "scales": (1, 0.875, 0.75, 0.66)}  # TDN's code
  c.transforms = (crop, _sets.flip(name))
  if backbone == "tdn":
    c.sampler.frames_per_segment = 5
    share = 0.5 if frames == 8 else 0.25
    c.model.backbone = {"make": "vidjax.backbones.tdn.TDN", "backbone": c.model.backbone, "share": share}
  c.model.dropout = 0.8  # TDN's code, for small data sets
  c.optimizer.momentum = 0.9  # TDN's code
  c.optimizer.weight_decay = 5e-4  # TDN's code
  c.optimizer.clip_norm = 20.0  # TDN's code
  c.schedule = {"make": "vidjax.train.schedules.steps", "learning_rate": rate, "at": at, "factor": 0.1}
  c.train.batch_size = batch
  c.train.epochs = epochs
  return c
