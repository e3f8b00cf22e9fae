"""TSM on videos of one's own, as `python -m vidjax.prepare folder` stores them: set --config.data.name.

`configs/folder.py` is ResNet-50 at 224 pixels, from ImageNet's weights (--config.init.weights) or from scratch. Its
numbers are those with which TSM's code (mit-han-lab/temporal-shift-module, README and opts.py) trains on
Something-Something from ImageNet, but for three: a cosine in place of steps at 20 and 40 epochs; dropout .8, which that
code takes for small data sets; no larger rate for the classifier, which the code gives 5 times (its bias 10 times) the
rate.

`configs/folder.py:finetune` is that code's recipe for small data sets, which fine-tunes Kinetics' weights on UCF101
(`scripts/finetune_tsm_ucf101_rgb_8f.sh`): a tenth of the rate, 25 epochs, partial BN, the larger rates of the
classifier. The weights are `--config.init.weights=FILE`, or `--config.init.workdir=RUN` of one's own. `configs/tsm.py`
has that code's recipes for the published data sets.

`configs/folder.py:mini` is the quickstart's network at 48 pixels, for a first look on a CPU. Its numbers are ours.
"""

from ml_collections import ConfigDict

from configs import default, quickstart
from vidjax.build import described
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM
from vidjax.train.optimizer import TSN_GROUPS


def get_config(arg: str = "resnet50") -> ConfigDict:
  """`arg`: "resnet50", "finetune" or "mini"."""
  if arg == "mini":
    c = quickstart.get_config()
    c.data.name = "folder/NAME"
    c.transforms = (
      {"make": "vidjax.data.augment.MultiScaleCrop", "size": 48},
      {"make": "vidjax.data.augment.Flip", "probability": 0.5, "swap": ()},
    )
    c.test.short_side = 54
    c.model.dropout = 0.5
    c.schedule.learning_rate = 0.02
    c.train.batch_size = 8
    c.train.epochs = 30.0
    return c
  if arg not in ("resnet50", "finetune"):
    raise ValueError(f"configs/folder.py:{arg}: choose resnet50, finetune or mini")
  c = default.get_config()
  c.model.backbone.inserts = described((Insert(TSM(fold_div=8), "before"),), "fold_div")
  c.model.dropout = 0.8
  c.schedule.learning_rate = 0.01
  c.optimizer.weight_decay = 5e-4
  c.optimizer.clip_norm = 20.0
  c.train.batch_size = 64
  c.train.epochs = 50.0
  return _finetune(c) if arg == "finetune" else c


def _finetune(c: ConfigDict) -> ConfigDict:
  """What the recipe for small data sets sets otherwise; the rest is the same."""
  c.model.backbone.frozen_bn = "all_but_first"  # partial BN: the script has no --npb
  c.init.pretrained, c.init.new = "kinetics400/tsm-resnet50", ("classifier",)
  c.optimizer.groups = described(TSN_GROUPS)  # get_optim_policies with fc_lr5
  c.schedule = {"make": "vidjax.train.schedules.steps", "learning_rate": 0.001, "at": (10.0, 20.0), "factor": 0.1}
  c.train.epochs = 25.0
  return c
