"""The published data sets that the papers train on, as their tables call them."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class DataSet:
  """A data set.

  Attributes:
    source: its name for `vidjax.prepare`; prepared, it is folder/SOURCE.
    classes: their number.
    train: official training videos, of the first fold where there are folds.
  """

  source: str
  classes: int
  train: int


SETS = {
  "UCF101": DataSet("ucf101", 101, 9_537),
  "HMDB51": DataSet("hmdb51", 51, 3_570),
  "K400": DataSet("kinetics400", 400, 246_534),
  "Mini-Kinetics": DataSet("mini_kinetics200", 200, 80_000),
  "SSv1": DataSet("something_v1", 174, 86_017),
  "SSv2": DataSet("something_v2", 174, 168_913),
}
