"""UCF101 (Soomro et al., 2012): 101 classes, 13,320 videos of 25 groups a class, three folds.

UCF-101/CLASS/v_CLASS_g01_c01.avi
ucfTrainTestlist/classInd.txt               1 ApplyEyeMakeup
ucfTrainTestlist/trainlist0{1,2,3}.txt      ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1
ucfTrainTestlist/testlist0{1,2,3}.txt       ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi
"""

import pathlib

from vidjax.data.films import Film
from vidjax.data.official import STORED, Official, collect, files_below
from vidjax.data.place import Place

PLACE = Place(
  "ucf101",
  "https://www.crcv.ucf.edu/data/UCF101.php",
  "UCF-101/CLASS/v_*.avi and ucfTrainTestlist/{classInd,trainlist01,testlist01,trainlist02,...,testlist03}.txt",
)
CLASSES = 101
FOLDS = {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}
"""Videos of train and test of every fold."""


def read(source: pathlib.Path) -> Official:
  """Reads the lists of the three folds; errors as `Place.find` and `collect`."""
  names = _classes(source)
  listed: dict[str, Film] = {}
  folds: dict[int, dict[str, str]] = {}
  for fold in FOLDS:
    folds[fold] = given = {}
    for split in ("train", "test"):
      for line, text in PLACE.lines(PLACE.find(source, f"{split}list{fold:02}.txt")):
        name, *number = text.split()
        label = name.partition("/")[0]
        if label not in names or number not in ([], [str(names.index(label) + 1)]):
          raise PLACE.error(f"{line}: {text!r} is no CLASS/VIDEO with a class and its number in classInd.txt")
        if name in given:
          raise PLACE.error(f"{line}: {name} is listed twice in fold {fold}, first for {given[name]}")
        given[name] = split
        listed.setdefault(name, Film(pathlib.Path(name), name, label, STORED, line))
  films, missing = collect(listed.values(), files_below(source))
  there = {film.name for film in films}
  expected = {
    f"{fold}/{split}": n for fold, counts in FOLDS.items() for split, n in zip(("train", "test"), counts, strict=True)
  }
  folds = {fold: {name: split for name, split in given.items() if name in there} for fold, given in folds.items()}
  return Official(films, names, CLASSES, expected, folds, missing=missing)


def _classes(source: pathlib.Path) -> list[str]:
  names = []
  for line, text in PLACE.lines(PLACE.find(source, "classInd.txt")):
    number, _, name = text.partition(" ")
    if number != str(len(names) + 1) or not name or name in names:
      raise PLACE.error(f"{line}: {text!r} is no number and class, the next number being {len(names) + 1}")
    names.append(name)
  return names
