"""Any input before any backbone, with any plug-ins and losses, at mini scale: what nobody has published, in one line.

  python -m vidjax.train --config=configs/mix.py:mbpm,backbone=x3d,plugins=tim+rnl,losses=diversity --workdir=runs/mix

The name is that of an input representation of `configs/inputs.py`, on 8 segments of `synthetic_actions/order`. Options
follow it; the first value is the default:

- `backbone=resnet|x3d|mobilenet|tdn|vit`, at 48 pixels, with three stages, res2 to res4. The ViT, that of
  `configs/vit.py:mini`, has four blocks as stages 2 to 5, and is trained as it; what an input makes is brought to one
  scale before it (`vidjax.inputs.input_norm`).
- `plugins=none`, or several joined by "+", in their order: before every block, in a MobileNet before those with a
  shortcut, as in TSM's released code, `tsm`, `tim`, `pem`, `mem`; behind block 0 of res3 and res4 `rnl`, `nl`, `cpa`,
  `se`, `cbam`, `gc`; behind the backbone `ett`; in the ViT alone `st_adapter`.
- `losses=none`, or several joined by "+", beside classification: `projection` of TSP and PWTP, `diversity` (TDRL's TD
  loss, at the last block of each stage), `reversal` (TTSN's TSS).
- `blend=weighted|mgda|pcgrad|cagrad|uncertainty`: how several losses are joined. MGDA, PCGrad and CAGrad join their
  gradients on what all of them train, the representation where the projection is one of them, and the backbone
  otherwise; the rest gets the sum of its own losses. But for "weighted", the TD loss is scaled by its weight there.

`python -m experiments.mix` trains many of them and ranks them.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import _options, _vit, inputs
from vidjax.backbones.mobilenet import MobileNetV2
from vidjax.backbones.resnet import MiniResNet
from vidjax.backbones.tdn import TDN
from vidjax.backbones.x3d import X3D
from vidjax.build import described
from vidjax.inputs.input_norm import InputNorm
from vidjax.inputs.series import Series
from vidjax.losses.projection import Projection
from vidjax.losses.reversal import Reversal
from vidjax.losses.temporal_diversity import TemporalDiversity
from vidjax.plugins.cbam import CBAM
from vidjax.plugins.cpa import CPA
from vidjax.plugins.ett import ETT
from vidjax.plugins.gc import GC
from vidjax.plugins.insert import Insert
from vidjax.plugins.mem import MEM
from vidjax.plugins.nonlocal_ import NonLocal
from vidjax.plugins.pem import PEM
from vidjax.plugins.rnl import RNL
from vidjax.plugins.se import SpaceTimeSE
from vidjax.plugins.st_adapter import st_adapters
from vidjax.plugins.temporal_diversity import TDLoss
from vidjax.plugins.tim import TIM
from vidjax.plugins.tsm import TSM
from vidjax.train.multitask import MGDA, CAGrad, PCGrad, Uncertainty, Weighted

STAGES = (2, 3, 4)
SHORTCUTS = (1,)
"""The blocks of each stage of the small MobileNet that have one."""
BEFORE = {"tsm": TSM(fold_div=8), "tim": TIM(fold_div=8), "pem": PEM(4), "mem": MEM(4)}
BEHIND = {
  "rnl": RNL((3, 7, 7)),
  "nl": NonLocal(sub_sample=True),
  "cpa": CPA(),
  "se": SpaceTimeSE(reduction=2),
  "cbam": CBAM(reduction=4),
  "gc": GC(reduction=4),
}
ERRORS = {"tsp": "projection_mae", "pwtp": "enopr"}
WEIGHTS = {"projection": 0.5, "temporal_diversity": 7.5e-3, "reversal": 0.1}
"""As in the mini configs of `dan`, `tdrl` and `ttsn`, that of classification being 1."""
BLENDS = "weighted", "mgda", "pcgrad", "cagrad", "uncertainty"
OPTIONS = {
  "backbone": ("resnet", "x3d", "mobilenet", "tdn", "vit"),
  "plugins": _options.Several((*BEFORE, *BEHIND, "ett", "st_adapter")),
  "losses": _options.Several(("projection", "diversity", "reversal")),
  "blend": BLENDS,
}


def get_config(arg: str = "rgb") -> ConfigDict:
  """`arg`: the name of an input, then options."""
  name, options = _options.parse("mix", arg, tuple(inputs.INPUTS), OPTIONS)
  plugins, losses = _options.parts(options["plugins"]), _options.parts(options["losses"])
  if "projection" in losses and name not in ERRORS:
    raise ValueError(f"configs/mix.py:{arg}: losses=projection is of {' and '.join(ERRORS)}: choose one of them")
  if options["blend"] != "weighted" and not losses:
    raise ValueError(f"configs/mix.py:{arg}: blend={options['blend']} joins several losses: add losses=")
  if "st_adapter" in plugins and options["backbone"] != "vit":
    raise ValueError(f"configs/mix.py:{arg}: st_adapter has its places in a ViT: choose backbone=vit")
  c = inputs.get_config(name)
  c.losses = c.losses[:1]  # classification alone: others are chosen
  stages = _vit.STAGES if options["backbone"] == "vit" else STAGES
  mobile = options["backbone"] == "mobilenet"
  c.model.backbone = _backbone(options["backbone"], _inserts(plugins, "diversity" in losses, stages, mobile))
  if options["backbone"] == "vit":
    _vit.train(c)
    _to_one_scale(c, name)
  if options["backbone"] == "tdn":
    _five_frames(c, name, arg)
  if "ett" in plugins or "reversal" in losses:
    c.model.make = "vidjax.networks.ttsn.TTSN"
    c.model.ett = described(ETT(compression=8)) if "ett" in plugins else None
    c.model.tss = "RR" if "reversal" in losses else None
    c.model.tss_width = 64
  elif options["backbone"] == "x3d":
    c.model.consensus = "features"
  scale = 1.0 if options["blend"] == "weighted" else WEIGHTS["temporal_diversity"]
  diversity = TemporalDiversity(scale=scale)
  made = {"projection": Projection(ERRORS.get(name, "")), "diversity": diversity, "reversal": Reversal()}
  c.losses = (*c.losses, *described(tuple(made[loss] for loss in losses), "error"))
  c.blend = _blend(options["blend"], tuple(loss.replace("diversity", "temporal_diversity") for loss in losses))
  return c


def _to_one_scale(c: ConfigDict, name: str) -> None:
  """A ViT's tokens are to be of one scale, see `InputNorm`."""
  if inputs.INPUTS[name] is not None:
    told = inputs.TOLD.get(name, ())
    c.model.representation = described(Series((inputs.INPUTS[name], InputNorm())), *told)


def _blend(name: str, losses: tuple[str, ...]) -> dict[str, Any]:
  if name == "weighted":
    return described(Weighted({loss: WEIGHTS[loss] for loss in losses}), "weights")
  if name == "uncertainty":
    return described(Uncertainty(("classification", *losses)), "losses")
  shared = "representation" if "projection" in losses else "backbone"  # what all of them train
  return described({"mgda": MGDA(shared), "pcgrad": PCGrad(shared), "cagrad": CAGrad(shared)}[name])


def _inserts(plugins: tuple[str, ...], diversity: bool, stages: tuple[int, ...], mobile: bool) -> tuple[Insert, ...]:
  blocks = SHORTCUTS if mobile else "all"
  before = [Insert(BEFORE[name], "before", blocks=blocks) for name in plugins if name in BEFORE]
  before += [Insert(TDLoss(share=0.5), "before", stages, "last")] if diversity else []
  before += st_adapters(width=32) if "st_adapter" in plugins else ()
  return (*before, *(Insert(BEHIND[name], "after", (3, 4), (0,)) for name in plugins if name in BEHIND))


def _backbone(name: str, inserts: tuple[Insert, ...]) -> dict[str, Any]:
  made = {
    "resnet": MiniResNet((24, 24, 48, 48), inserts),
    "x3d": X3D(1.0, 1.0, ((1, 16), (2, 24), (2, 48)), inserts=inserts),
    "mobilenet": MobileNetV2(0.5, ((1, 32, 1, 1), (4, 48, 2, 2), (4, 96, 2, 2)), inserts),
    "tdn": TDN(MiniResNet((24, 24, 48, 48), inserts), reduction=4),
    "vit": _vit.network(inserts),
  }[name]
  return described(made, "inserts")


def _five_frames(c: ConfigDict, name: str, arg: str) -> None:
  """TDN reads the differences of five frames of a segment; a clip has 24."""
  if name != "rgb":
    raise ValueError(f"configs/mix.py:{arg}: TDN makes its own input of five frames: choose rgb")
  c.sampler.num_segments, c.sampler.frames_per_segment = 4, 5
