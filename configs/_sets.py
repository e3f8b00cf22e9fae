"""The papers' data sets as configs name them: what `python -m vidjax.prepare NAME` stores, and what is read of it."""

from typing import Any, NamedTuple

from ml_collections import ConfigDict


class DataSet(NamedTuple):
  """One of them.

  Attributes:
    name: of the prepared data set.
    validation: the split to validate on.
    fold: the first of its folds; `--config.data.fold=2` names another one.
    mirrored: labels that change places in a mirror.
  """

  name: str
  validation: str = "validation"
  fold: int | None = None
  mirrored: tuple[tuple[int, int], ...] = ()

  @property
  def is_something(self) -> bool:
    """Whether it is Something-Something, sampled over the whole video by all papers, and not flipped."""
    return bool(self.mirrored)

  @property
  def is_kinetics(self) -> bool:
    """Whether it is Kinetics or a part of it, which the thesis samples densely."""
    return "kinetics" in self.name


LEFT_RIGHT = ((86, 87), (93, 94), (166, 167))
"""Of Something-Something, both versions, with classes in alphabetical order (TDN's code: ops/models.py)."""

SETS = {
  "ucf101": DataSet("folder/ucf101", "test", 1),
  "hmdb51": DataSet("folder/hmdb51", "test", 1),
  "kinetics400": DataSet("folder/kinetics400"),
  "mini_kinetics200": DataSet("folder/mini_kinetics200"),
  "ssv1": DataSet("folder/something_v1", mirrored=LEFT_RIGHT),
  "ssv2": DataSet("folder/something_v2", mirrored=LEFT_RIGHT),
}
SMALL = ("ucf101", "hmdb51")
"""Those that are fine-tuned from Kinetics."""


def use(c: ConfigDict, name: str) -> DataSet:
  """Has a config read a data set; returns what is known of it.

  Args:
    c: the config, changed in place.
    name: a key of SETS.
  """
  chosen = SETS[name]
  c.data.name, c.data.validation_split = chosen.name, chosen.validation
  if chosen.fold is not None:
    c.data.fold = chosen.fold
  return chosen


def flip(name: str) -> dict[str, Any]:
  """The mirror flip of a data set: half of the clips, none of Something-Something (code of TSM and BQN, thesis 3.6.1).

  `--config.transforms[1].probability=.5` flips Something-Something with labels exchanged, as TDN's code does.
  """
  swap = SETS[name].mirrored
  return {"make": "vidjax.data.augment.Flip", "probability": 0.0 if swap else 0.5, "swap": swap}
