"""HMDB51 (Kuehne et al., ICCV 2011): 51 classes, 6,766 videos, three folds of 70 and 30 videos a class.

    hmdb51_org/CLASS/VIDEO.avi                               the .rar files, unpacked; any folder
    testTrainMulti_7030_splits/CLASS_test_split{1,2,3}.txt   VIDEO.avi 1

The flag is 1 for train, 2 for test and 0 for a video that the fold does not use.
"""

import pathlib

from vidjax.data.films import Film
from vidjax.data.official import STORED, Official, collect, files_below
from vidjax.data.place import Place

PLACE = Place(
  "hmdb51",
  "https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database",
  "hmdb51_org/CLASS/*.avi and testTrainMulti_7030_splits/CLASS_test_split{1,2,3}.txt",
)
CLASSES, VIDEOS = 51, 6766
"""Official counts; a fold uses 5,100 of the videos."""
_SPLITS = {"0": "", "1": "train", "2": "test"}


def read(source: pathlib.Path) -> Official:
  """Reads the flags of the three folds; errors as `Place.find` and `collect`."""
  paths = {fold: PLACE.find_all(source, f"*_test_split{fold}.txt") for fold in (1, 2, 3)}
  classes = {fold: [path.name.rpartition("_test_split")[0] for path in found] for fold, found in paths.items()}
  names = sorted({name for found in classes.values() for name in found})
  if not names:
    raise PLACE.error(f"{source} has no CLASS_test_split1.txt")
  listed: dict[str, Film] = {}
  folds: dict[int, dict[str, str]] = {}
  for fold, found in paths.items():
    lacking = [name for name in names if classes[fold].count(name) != 1]
    if lacking:
      count = classes[fold].count(lacking[0])
      raise PLACE.error(f"{source} has {count or 'no'} {lacking[0]}_test_split{fold}.txt where there should be one")
    folds[fold] = given = {}
    for label, path in zip(classes[fold], found, strict=True):
      for line, text in PLACE.lines(path):
        name, _, flag = text.rpartition(" ")
        name = f"{label}/{name.strip()}"
        if flag not in _SPLITS or name == f"{label}/":
          raise PLACE.error(f"{line}: {text!r} is no VIDEO.avi with a flag 0, 1 or 2")
        if name in given:
          raise PLACE.error(f"{line}: {name} is listed twice in fold {fold}")
        given[name] = _SPLITS[flag]
        listed.setdefault(name, Film(pathlib.Path(name), name, label, STORED, line))
  films, missing = collect(listed.values(), files_below(source))
  there = {film.name for film in films}
  used = {
    fold: {name: split for name, split in given.items() if split and name in there} for fold, given in folds.items()
  }
  expected = {f"{fold}/{split}": count for fold in folds for split, count in (("train", 3570), ("test", 1530))}
  return Official(films, names, CLASSES, expected, used, missing=missing)
