"""Temporal Distinct Representation Learning (Weng et al., ECCV 2020).

  python -m vidjax.train --config=configs/tdrl.py:ssv1 --workdir=runs/tdrl --config.init.weights=resnet50.pth

`configs/tdrl.py:ssv1`, `:ssv2` and `:kinetics400` are ResNet-50 with PEM and TIM before conv1 of every block, and the
TD loss right after TIM in the last block of the last three stages; `:mini` is the quickstart's network with the same,
which runs on `synthetic_actions/order`. The first three start from ImageNet (--config.init.weights).

Options follow the name, as in `configs/tdrl.py:ssv1,frames=16,tm=tsm`; the first value is the paper's choice:

- `frames=8|16`.
- `tm=tim|tsm|none`: the temporal module (Table 4, Table 3, TSN).
- `enhance=pem|pem_after|mem|none`: PEM before or after the temporal module (Table 6), TEINet's MEM (Table 4).
- `td=after|before|none`: the TD loss after or before the temporal module (Table 6).

Values are plain flags. Tables 5 and 7 are of TIM and the TD loss without PEM: their 48.4% is the TD row of Table 4. The
TD loss is inserts[1] there; with PEM it is inserts[2].

- Table 5: `--config=configs/tdrl.py:ssv1,enhance=none --config.model.backbone.inserts[1].module.share=.25`, 0 to 1.
- Table 7: `--config=configs/tdrl.py:ssv1,enhance=none --config.blend.weights.temporal_diversity=1e-4`.
- Section 4.2: `--config=configs/tdrl.py:ssv1 --config.model.backbone.inserts[0].module.memory=zeros`, or first (d_1),
  last (d_{T-1}), of PEM.
- `--config.transforms[1].probability=.5` flips Something-Something with labels exchanged, as TDN's code does.

Tests: one centre crop; `python -m vidjax.evaluate --workdir=A --views=2x3` (Something-Something) and `--views=10x3`
(Kinetics) where the tables have several clips; `--workdir=A --workdir=B` averages 8f and 16f.
"""

from ml_collections import ConfigDict

from configs import _options, _sets, default, quickstart
from vidjax.build import described
from vidjax.losses.temporal_diversity import TemporalDiversity
from vidjax.plugins.insert import Insert
from vidjax.plugins.mem import MEM
from vidjax.plugins.pem import PEM
from vidjax.plugins.temporal_diversity import TDLoss
from vidjax.plugins.tim import TIM
from vidjax.plugins.tsm import TSM

OPTIONS = {
  "frames": ("8", "16"),
  "tm": ("tim", "tsm", "none"),
  "enhance": ("pem", "pem_after", "mem", "none"),
  "td": ("after", "before", "none"),
}
RECIPES = {  # section 4.2: epochs, and those at which the rate falls to a tenth
  "ssv1": (50.0, (30.0, 40.0, 45.0)),
  "ssv2": (50.0, (30.0, 40.0, 45.0)),
  "kinetics400": (100.0, (50.0, 75.0, 90.0)),
}


def get_config(arg: str = "ssv1") -> ConfigDict:
  """`arg`: "ssv1", "ssv2", "kinetics400" or "mini", then options, separated by commas."""
  name, options = _options.parse("tdrl", arg, (*RECIPES, "mini"), OPTIONS)
  frames = int(options["frames"])
  if options["tm"] == "none" and options["td"] == "before":
    raise ValueError(f"configs/tdrl.py:{arg}: tm=none leaves td=before nothing to stand before: leave td out")
  if options["tm"] == options["td"] == "none" and options["enhance"] == "pem_after":
    raise ValueError(f"configs/tdrl.py:{arg}: there is nothing for PEM to stand after: choose enhance=pem")
  if name == "mini":
    c = quickstart.get_config()
    c.sampler.num_segments = frames
    c.model.backbone.inserts = inserts(options, last_stages=(2, 3, 4), reduction=4)
    # 48 regularised channels where the paper's network has 1792 (256, 512 and 1024): the same weight for their mean.
    weight = 7.5e-3
  else:
    epochs, drops = RECIPES[name]
    c = default.get_config()
    if _sets.use(c, name).is_kinetics:  # "uniformly sample 8 or 16 frames from the consecutive 64 frames"
      c.sampler = {"make": "vidjax.data.sampling.Dense", "num_frames": frames, "stride": 64 // frames}
    else:  # "from the whole video"
      c.sampler.num_segments = frames
    c.transforms = (  # "scale-jittering", "resized to 224x224"; flips are not in the paper: those of TSM's code
      {"make": "vidjax.data.augment.MultiScaleCrop", "size": 224},
      _sets.flip(name),
    )
    c.test = {"make": "vidjax.data.augment.TestCrops", "size": 224, "short_side": 256}  # 4.2, "Inference"
    # The paper does not give PEM's reduction: 8, as MEM's in TEINet.
    c.model.backbone.inserts = inserts(options, last_stages=(3, 4, 5), reduction=8)
    c.model.dropout = 0.5  # not in the paper: TSN's
    c.init.pretrained, c.init.new = "imagenet/resnet50", ("classifier",)  # 4.2
    c.optimizer.momentum = 0.9  # 4.2, "Training", as all that follows
    c.optimizer.weight_decay = 1e-4
    c.schedule = {"make": "vidjax.train.schedules.steps", "learning_rate": 0.01, "at": drops, "factor": 0.1}
    c.train.batch_size = 64
    c.train.epochs = epochs
    weight = 2e-4  # lambda of Eq. 2
  if options["td"] != "none":
    c.losses = (*c.losses, described(TemporalDiversity()))
    c.blend.weights = {"temporal_diversity": weight}
  return c


def inserts(options: dict[str, str], last_stages: tuple[int, ...], reduction: int) -> tuple[dict, ...]:
  """What stands before conv1 of the blocks, in its order."""
  enhance, tm, td = (), (), ()
  if options["enhance"].startswith("pem"):
    enhance = (Insert(PEM(reduction, gamma="scalar", memory="last"), "before"),)
  elif options["enhance"] == "mem":
    enhance = (Insert(MEM(reduction), "before"),)
  if options["tm"] != "none":
    tm = (Insert({"tim": TIM, "tsm": TSM}[options["tm"]](fold_div=8), "before"),)
  if options["td"] != "none":  # 4.2: half of the channels
    td = (Insert(TDLoss(share=0.5), "before", last_stages, "last"),)
  temporal = (*td, *tm) if options["td"] == "before" else (*tm, *td)
  all_of_them = (*temporal, *enhance) if options["enhance"] == "pem_after" else (*enhance, *temporal)
  return described(all_of_them, "reduction", "gamma", "memory", "fold_div", "share")
