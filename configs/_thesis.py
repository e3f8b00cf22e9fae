"""Training recipes of the thesis, chapters 3 and 5 (3.6.1, 5.5.1, 5.5.2), which DAN, BQN and their inputs share."""

from typing import NamedTuple

from ml_collections import ConfigDict

from configs import _sets, x3d
from vidjax.backbones.resnet import ResNet
from vidjax.build import described
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM
from vidjax.train.optimizer import Group

BACKBONES = ("resnet50", "resnet101", "x3d_m", "x3d_xs")


class Recipe(NamedTuple):
  """One of them.

  Attributes:
    rate: learning rate for `batch` clips.
    batch: of all GPUs together.
    epochs: of the training.
    decay: weight decay.
    dropout: before the classifier.
  """

  rate: float
  batch: int
  epochs: float
  decay: float
  dropout: float


FINE_TUNING = Recipe(0.001, 64, 10.0, 1e-4, 0.8)  # 3.6.1 and 5.5.1, from Kinetics, with partial BN
RESNET = {  # 3.6.1 and 5.5.1, from ImageNet; 64 GPUs for Kinetics, 32 for Something-Something, 16 for fine-tuning
  "kinetics400": Recipe(0.08, 512, 100.0, 2e-4, 0.5),
  "mini_kinetics200": Recipe(0.08, 512, 100.0, 2e-4, 0.5),  # ours: not said, so that of Kinetics
  "ssv1": Recipe(0.12, 256, 50.0, 8e-4, 0.8),
  "ssv2": Recipe(0.12, 256, 50.0, 8e-4, 0.8),  # ours: not said, so that of V1
  "ucf101": FINE_TUNING,
  "hmdb51": FINE_TUNING,
}
X3D = {  # 3.6.1 and 5.5.1; 32 or 16 GPUs
  "kinetics400": Recipe(0.4, 256, 256.0, 5e-5, 0.5),
  "mini_kinetics200": Recipe(0.4, 256, 256.0, 5e-5, 0.5),  # ours: not said, so that of Kinetics
  "ssv1": Recipe(0.12, 256, 50.0, 4e-4, 0.8),  # 3.6.1, from Kinetics; 5.5.1 says the same, but 60 epochs
  "ssv2": Recipe(0.12, 256, 50.0, 4e-4, 0.8),  # ours: not said, so that of V1
  "ucf101": FINE_TUNING,  # ours: said of ResNet-50 alone
  "hmdb51": FINE_TUNING,
}
FROM_SCRATCH = Recipe(0.2, 256, 100.0, 5e-5, 0.5)  # 5.5.1, X3D-M on Something-Something V1
INPUTS = {**RESNET, "ucf101": Recipe(0.01, 64, 80.0, 1e-4, 0.5)}  # 5.5.2, Table 5.1, from ImageNet


def is_x3d(backbone: str) -> bool:
  """Whether a backbone is an X3D, which shifts no channels and has a head of its own."""
  return backbone.startswith("x3d")


def recipe(data: str, backbone: str, start: str = "pretrained") -> Recipe:
  """The recipe of 3.6.1 and 5.5.1.

  Args:
    data: a key of `_sets.SETS`.
    backbone: one of BACKBONES.
    start: "scratch" for an X3D that starts from nothing; on Kinetics all X3D do.
  """
  if not is_x3d(backbone):
    return RESNET[data]
  return FROM_SCRATCH if start == "scratch" and not _sets.SETS[data].is_kinetics else X3D[data]


def check_start(config: str, data: str, backbone: str, start: str) -> None:
  """Raises ValueError where `start=scratch` says nothing, or what no recipe is given for.

  Args:
    config: with its argument, for the message.
    data: a key of `_sets.SETS`.
    backbone: one of BACKBONES, or another network that is no X3D.
    start: "pretrained" or "scratch".
  """
  if start == "scratch" and not is_x3d(backbone):
    raise ValueError(f"{config}: start=scratch goes with an X3D: {backbone} starts from ImageNet or Kinetics")
  if start == "scratch" and _sets.SETS[data].is_kinetics:
    raise ValueError(f"{config}: on Kinetics an X3D always starts from nothing: leave start out")


def network(c: ConfigDict, name: str) -> ConfigDict | dict:
  """A backbone with its shift, described; of an X3D, the config gets normalisation and head, too.

  Args:
    c: the config, changed in place.
    name: one of BACKBONES.
  """
  if is_x3d(name):
    return x3d.network(c, name.removeprefix("x3d_"))
  inserts = (Insert(TSM(fold_div=8), "before"),)  # of ResNet-101, too, in all blocks, as BQN's code has it
  return described(ResNet(int(name.removeprefix("resnet")), inserts=inserts), "depth", "fold_div", "frozen_bn")


def train(c: ConfigDict, chosen: Recipe) -> None:
  """Has a config train by a recipe: SGD with momentum .9, and a cosine after seven epochs of linear warm-up.

  The warm-up is said of ResNet-50; that X3D has it, too, and fine-tuning none, is ours.

  Args:
    c: the config with its backbone, changed in place.
    chosen: the recipe.
  """
  c.model.dropout = chosen.dropout
  c.optimizer.weight_decay = chosen.decay
  c.schedule.learning_rate = chosen.rate
  c.schedule.warmup_epochs = 0.0 if chosen == FINE_TUNING else 7.0
  c.train.batch_size = chosen.batch
  c.train.epochs = chosen.epochs
  if chosen == FINE_TUNING:
    c.model.backbone.frozen_bn = "all_but_first"


def start_from(c: ConfigDict, config: str, data: str, backbone: str, start: str, *classifiers: str) -> None:
  """Says what a training starts from: ResNets from ImageNet, small sets and X3D from the same config on Kinetics.

  Args:
    c: the config, changed in place.
    config: its name, such as "dan".
    data: a key of `_sets.SETS`.
    backbone: one of BACKBONES, or another network that is no X3D.
    start: "pretrained" or "scratch".
    *classifiers: the parts that keep fresh values.
  """
  if start == "scratch" or (is_x3d(backbone) and _sets.SETS[data].is_kinetics):
    return
  kinetics = is_x3d(backbone) or data in _sets.SMALL
  c.init.pretrained = f"kinetics400/{config}-{backbone}" if kinetics else f"imagenet/{backbone}"
  c.init.new = classifiers


def groups(without_decay: str = "/(bias|scale)$") -> tuple[dict, ...]:
  """3.6.1: L2 on convolutions and the classifier, which has five times their rate and decay.

  Args:
    without_decay: pattern of what has no decay.
  """
  found = (
    Group("^classifier/kernel$", rate=5.0, decay=5.0),
    Group("^classifier/bias$", rate=5.0, decay=0.0),
    Group(without_decay, decay=0.0),
  )
  return described(found)
