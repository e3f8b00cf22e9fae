"""Something-Something V1 (Goyal et al., ICCV 2017): 174 classes, 108,499 videos as frames at 12 a second.

    20bn-something-something-v1/NUMBER/00001.jpg
    something-something-v1-train.csv, -validation.csv     100218;Something falling like a feather or paper
    something-something-v1-test.csv                       1420
    something-something-v1-labels.csv                     one class a line

Classes are in alphabetical order, as in the released networks of TSM and TDN; the file of labels has another one.
"""

import pathlib
from collections.abc import Mapping

from vidjax.data.films import Film
from vidjax.data.official import Official, collect, folders_below, mirrored
from vidjax.data.place import Place

PLACE = Place(
  "something_v1",
  "https://www.qualcomm.com/developer/artificial-intelligence/datasets",
  "20bn-something-something-v1/NUMBER/00001.jpg and something-something-v1-{train,validation,test,labels}.csv",
)
CLASSES = 174
EXPECTED = {"train": 86017, "validation": 11522, "test": 10960}


def read(source: pathlib.Path) -> Official:
  """Reads the lists; errors as `Place.find` and `collect`."""
  return read_lists(PLACE, source, "something-something-v1", EXPECTED, CLASSES)


def read_lists(
  place: Place, source: pathlib.Path, stem: str, expected: Mapping[str, int], num_classes: int
) -> Official:
  """A data set of TwentyBN's first lists: numbered folders of frames, semicolons.

  Args:
    place: of the data set.
    source: the folder.
    stem: begins the lists' names.
    expected: official number of videos of every split.
    num_classes: official number of classes.
  """
  path = place.find(source, f"{stem}-labels.csv", "labels.csv")
  given = [text for _, text in place.lines(path)]
  names = sorted(set(given))
  if len(names) < len(given):
    raise place.error(f"{path.name} names {next(name for name in names if given.count(name) > 1)!r} twice")
  listed = []
  for split in expected:
    path = place.find(source, f"{stem}-{split}.csv", f"{split}.csv")
    for line, text in place.lines(path):
      video, _, label = text.partition(";")
      if not video.isdecimal() or (label not in names and (label or split != "test")):
        raise place.error(f"{line}: {text!r} is no NUMBER;CLASS with a class of {stem}-labels.csv")
      listed.append(Film(pathlib.Path(video), video, label, split, line))
  films, missing = collect(listed, folders_below(source))
  return Official(films, names, num_classes, expected, mirrored=mirrored(names), missing=missing, fps=12)
