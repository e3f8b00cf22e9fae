"""Attention in TSM-ResNet (thesis ch. 4): non-local, region-based non-local, pyramid, chains and their rivals.

  python -m vidjax.train --config=configs/attention.py:ssv1,attention=rnl --workdir=runs/rnl

`configs/attention.py:kinetics400` and `:ssv1` are the data sets, `:mini` the quickstart's network with a block in each
of its last two stages, on `synthetic_actions/order`. Options follow the name; the first value is the default:

- `attention=se+rnl|rnl|se+cpa|cpa|nl|se|cbam|gc|none` (Table 4.6): behind blocks of ResNet.
- `blocks=5|1`: behind blocks 0 and 2 of res3 and 0, 2 and 4 of res4 (with `depth=101` 6, 13 and 20 of res4: ours), or
  behind block 0 of res3 alone (Tables 4.2 to 4.4; which block is unsaid: ours).
- `frames=8|16`, `depth=50|101` (Table 4.8).
- `source=text|code|table`: `text` is chapter 4's. `code` is the released repository: RNL's region of 3x3x3 in res4, SE
  behind block 0 of res3 alone, with attention pooling; crops as TSN, larger rates of the classifier, and on Kinetics
  the recipe of Table 4.7. `table` is `text` with what Table 4.6's parameters require: RNL as released, and in the SE a
  reduction of 16 and biases. The table counts RNL's mask, too (`.aggregation=grouped` below). Modules without RNL and
  SE are the same in all three. `experiments/thesis` takes `table` for five blocks.

Recipe: section 4.6. Kinetics is sampled densely, 8 or 16 frames out of 64. Networks start from ImageNet
(--config.init.weights). Other values are plain flags, `[1]` being the block in res3 and `[2]` that in res4:

- Table 4.2: `:kinetics400,attention=rnl,blocks=1 --config.model.backbone.inserts[1].module.kernel="(7,7,7)"`; 1x1x1 is
  no F_theta, and so an `.aggregation=average` of one place.
- Table 4.3: `.aggregation=average` or `=max`. Table 4.4: `.form=dot` or `=cosine` (of `blocks=5`, of both blocks).
- Table 4.5: `attention=cpa --config.model.backbone.inserts[1].module.kernels="((3,3,3),(3,7,7))"`, and of `[2]`.
- Table 4.7: `--config.train.epochs=100.`, and `python -m vidjax.evaluate --views=10x3 --size=256 --short_side=256`;
  `--workdir=A --workdir=B` averages 8 and 16 frames, and R101 with R50. Table 4.8: `--views=2x3`.
"""

from ml_collections import ConfigDict

from configs import _options, _sets, default, quickstart, tsm, x3d
from vidjax.build import described
from vidjax.plugins.cbam import CBAM
from vidjax.plugins.chain import Chain
from vidjax.plugins.cpa import CPA
from vidjax.plugins.gc import GC
from vidjax.plugins.insert import Insert
from vidjax.plugins.nonlocal_ import NonLocal
from vidjax.plugins.rnl import RNL
from vidjax.plugins.se import SpaceTimeSE
from vidjax.train.optimizer import TSN_GROUPS

OPTIONS = {
  "attention": ("se+rnl", "rnl", "se+cpa", "cpa", "nl", "se", "cbam", "gc", "none"),
  "blocks": ("5", "1"),
  "frames": ("8", "16"),
  "depth": ("50", "101"),
  "source": ("text", "code", "table"),
}
RECIPES = {  # section 4.6: learning rate, weight decay, dropout
  "kinetics400": (0.01, 1e-4, 0.5),
  "ssv1": (0.02, 8e-4, 0.8),
}
TOLD = ("reduction", "pool", "bias", "kernel", "form", "aggregation", "sub_sample", "kernels")
SE = {
  "text": SpaceTimeSE(reduction=2),  # Eq. 4.12-4.14
  "code": SpaceTimeSE(reduction=2, pool="attention", bias=True, momentum=0.99),
  "table": SpaceTimeSE(reduction=16, bias=True),
}


def get_config(arg: str = "ssv1") -> ConfigDict:
  """`arg`: "kinetics400", "ssv1" or "mini", then options."""
  name, options = _options.parse("attention", arg, ("ssv1", "kinetics400", "mini"), OPTIONS, {"mini": ("depth",)})
  kind, source, depth = options["attention"], options["source"], int(options["depth"])
  if kind == "none" and options["blocks"] == "1":
    raise ValueError(f"configs/attention.py:{arg}: attention=none stands behind no block: leave blocks out")
  if name == "mini":
    c, sites = quickstart.get_config(), {3: (0,), 4: (0,)}
    c.sampler.num_segments = int(options["frames"])
  else:
    c = _full(name, depth, int(options["frames"]), source)
    sites = {3: (0, 2), 4: (0, 2, 4) if depth == 50 else (6, 13, 20)}
  if options["blocks"] == "1":
    sites = {3: (0,)}
  inserts = [insert for stage, blocks in sites.items() for insert in _behind(kind, source, stage, blocks)]
  c.model.backbone.inserts = (*c.model.backbone.inserts, *described(tuple(inserts), *TOLD))
  return c


def _behind(kind: str, source: str, stage: int, blocks: tuple[int, ...]) -> list[Insert]:
  """The attention behind the blocks of a stage."""
  if kind == "none":
    return []
  spatial = 7 if source == "text" or stage == 3 else 3  # the text has one size everywhere
  second = {
    "rnl": RNL((3, spatial, spatial)),
    "cpa": CPA(),
    "nl": NonLocal(sub_sample=True),  # as TSM's code; Table 4.6's 49.38 GFLOPs require it
    "se": SE[source],
    "cbam": CBAM(),
    "gc": GC(),
  }[kind.removeprefix("se+")]
  if not kind.startswith("se+"):
    return [Insert(second, "after", (stage,), blocks)]
  chain = Chain((SE[source], second))
  if source != "code":
    return [Insert(chain, "after", (stage,), blocks)]
  gated, rest = tuple(b for b in blocks if (stage, b) == (3, 0)), tuple(b for b in blocks if (stage, b) != (3, 0))
  return [Insert(module, "after", (stage,), there) for module, there in ((chain, gated), (second, rest)) if there]


def _full(name: str, depth: int, frames: int, source: str) -> ConfigDict:
  c = default.get_config()
  data = _sets.use(c, name)
  rate, decay, dropout = RECIPES[name]
  c.sampler = tsm.sampler(frames, dense=data.is_kinetics)
  crop = {"make": "vidjax.data.augment.MultiScaleCrop", "size": 224} if source == "code" else x3d.crops(c, "m")
  c.transforms = (crop, _sets.flip(name))  # the text: those of non-local nets, short sides of 256 to 320
  c.model.backbone = tsm.network(f"resnet{depth}")
  c.model.dropout = dropout
  c.init.pretrained, c.init.new = f"imagenet/resnet{depth}", ("classifier",)
  c.optimizer.weight_decay = decay
  c.schedule.learning_rate = rate  # a cosine
  c.train.batch_size = 64
  c.train.epochs = 50.0
  if source == "code":
    c.optimizer.groups = described(TSN_GROUPS)
    if data.is_kinetics:  # the recipe of Table 4.7
      c.schedule.learning_rate, c.optimizer.weight_decay, c.schedule.warmup_epochs = 0.02, 2e-4, 5.0
      c.train.epochs = 100.0
  return c
