"""Jester (Materzynska et al., ICCVW 2019): 27 gestures, 148,092 videos as frames at 12 a second.

    20bn-jester-v1/NUMBER/00001.jpg
    jester-v1-train.csv, jester-v1-validation.csv     34870;Drumming Fingers
    jester-v1-test.csv                                1420
    jester-v1-labels.csv                              one class a line

Classes are in alphabetical order, as in the released networks of TSM; the file of labels has another one.
"""

import pathlib

from vidjax.data.official import Official
from vidjax.data.place import Place
from vidjax.data.sources.something_v1 import read_lists

PLACE = Place(
  "jester",
  "https://www.qualcomm.com/developer/software/jester-dataset",
  "20bn-jester-v1/NUMBER/00001.jpg and jester-v1-{train,validation,test,labels}.csv",
)
EXPECTED = {"train": 118562, "validation": 14787, "test": 14743}


def read(source: pathlib.Path) -> Official:
  """Reads the lists; errors as `Place.find` and `collect`."""
  return read_lists(PLACE, source, "jester-v1", EXPECTED, 27)
