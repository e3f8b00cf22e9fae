"""Temporal Transformer Network with Self-supervision (TTSN) on videos of one's own: set --config.data.name.

`configs/ttsn.py:hmdb51`, `:ucf101` and `:ssv1` are ResNet-50, as the paper's text has it, on 8 frames;
`--config.sampler.num_segments=16` is its 16f. `:hmdb51_tdn` and so on have the backbone of the authors' code line,
TDN, which reads 5 frames of every segment; with 16 segments it wants `--config.model.backbone.share=0.25`. An 8f+16f
ensemble is `python -m vidjax.evaluate --workdir=RUN_8 --workdir=RUN_16`. Tests: one centre crop (paper IV-B).

Something-Something is not flipped, as in TSM's code. TDN's code flips it with labels exchanged:
`--config.transforms[1].probability=.5`.

TSS learns from the clips of the batch, without their labels; the paper's U-dagger, a set of its own, is
`--config.data.unlabelled=4 --config.losses[1].unlabelled=True`, and `--config.data.unlabelled_split=SPLIT`.

`:mini` is the quickstart's network at 48 pixels with both parts, `:mini_ett` and `:mini_tss` with one of them.
"""

from ml_collections import ConfigDict

from configs import default, quickstart
from vidjax.build import described
from vidjax.losses.reversal import Reversal
from vidjax.plugins.ett import ETT
from vidjax.train.optimizer import Group

RECIPES = {  # paper IV-B: learning rate, epochs, where it falls by 10, batch, theta2 (theta1 is 1)
  "hmdb51": (1.5e-4, 50.0, (25.0, 35.0), 4, 0.01),
  "ucf101": (1.5e-4, 50.0, (25.0, 35.0), 4, 0.1),
  "ssv1": (1.3e-3, 65.0, (30.0, 45.0, 55.0), 8, 0.1),
}
MIRRORED = {"ssv1": ((86, 87), (93, 94), (166, 167))}
"""Labels of Something-Something V1 that change places in a mirror (TDN's code: ops/models.py)."""


def get_config(arg: str = "hmdb51") -> ConfigDict:
  """`arg`: "hmdb51", "ucf101", "ssv1", each also with "_tdn"; "mini", "mini_ett" or "mini_tss"."""
  if arg in ("mini", "mini_ett", "mini_tss"):
    c = quickstart.get_config()
    c.model.make = "vidjax.networks.ttsn.TTSN"
    c.model.update(_parts(theta2=0.1, c=c, ett=arg != "mini_tss", tss=arg != "mini_ett", width=64))
    return c
  data, _, backbone = arg.partition("_")
  if data not in RECIPES or backbone not in ("", "tdn"):
    raise ValueError(f"configs/ttsn.py:{arg}: choose {', '.join(RECIPES)}, also with _tdn, mini, mini_ett or mini_tss")
  rate, epochs, at, batch, theta2 = RECIPES[data]
  c = default.get_config()
  c.sampler.num_segments = 8  # paper IV-B: 8f and 16f
  c.transforms = (
    {"make": "vidjax.data.augment.MultiScaleCrop", "size": 224, "scales": (1, 0.875, 0.75, 0.66)},  # TDN's code
    {
      "make": "vidjax.data.augment.Flip",
      "probability": 0.0 if data in MIRRORED else 0.5,
      "swap": MIRRORED.get(data, ()),
    },
  )
  c.model.make = "vidjax.networks.ttsn.TTSN"
  if backbone:
    c.sampler.frames_per_segment = 5  # TDN
    c.model.backbone = {"make": "vidjax.backbones.tdn.TDN", "backbone": c.model.backbone, "share": 0.5}
  c.model.update(_parts(theta2=theta2, c=c, ett=True, tss=True, width=2048))  # width: Table V's 12.59 M
  c.model.dropout = 0.8  # TDN's code, for small data sets
  c.init.new = ("classifier", "ett", "reversal_head")  # with --config.init.weights=FILE of ImageNet or Kinetics
  c.init.unused = ("fc",)
  groups = Group("bn[^/]*/(scale|bias)$", decay=0.0), Group("/bias$", rate=2.0, decay=0.0)
  c.optimizer.groups = described(groups)  # TDN's code: get_optim_policies
  c.optimizer.momentum = 0.9  # TDN's code
  c.optimizer.weight_decay = 5e-4  # TDN's code
  c.optimizer.clip_norm = 20.0  # TDN's code
  c.schedule = {"make": "vidjax.train.schedules.steps", "learning_rate": rate, "at": at, "factor": 0.1}
  c.train.batch_size = batch
  c.train.epochs = epochs
  return c


def _parts(theta2: float, c: ConfigDict, ett: bool, tss: bool, width: int) -> dict:
  """ETT and TSS of the model; sets the losses that go with them (Eq. 8)."""
  if tss:
    c.losses = (*c.losses, described(Reversal(unlabelled=False), "unlabelled"))
    c.blend.weights = {"classification": 1.0, "reversal": theta2}
  # l = 12544. Fig. 3: compression=1 with expansion=u is its "up-u".
  transformer = ETT(compression=8, tokens="frames", shared=False, position_sets=3, expansion=1)
  told = ("compression", "tokens", "shared", "position_sets", "expansion")
  more = {"tss": "RR", "tss_head": "clip", "tss_width": width} if tss else {"tss": None}  # RR: paper IV-B
  return {"ett": described(transformer, *told) if ett else None, **more}
