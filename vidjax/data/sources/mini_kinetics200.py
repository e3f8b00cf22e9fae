"""Mini-Kinetics-200 (Xie et al., ECCV 2018): 200 classes of Kinetics-400, 400 training and 25 validation videos each.

    train_ytid_list.txt, val_ytid_list.txt   one YouTube id a line
    train.csv, val.csv                       those of Kinetics-400
    ID_000012_000022.mp4 or ID.mp4           in class folders, split folders or flat

Lists train.csv and val.csv of these videos alone do without the lists of ids.
"""

import pathlib

from vidjax.data.films import Film
from vidjax.data.official import Official, collect, files_below
from vidjax.data.place import Place
from vidjax.data.sources.kinetics400 import file_names, rows

PLACE = Place(
  "mini_kinetics200",
  "https://github.com/s9xie/Mini-Kinetics-200",
  "{train,val}_ytid_list.txt, Kinetics-400's {train,val}.csv and ID_000012_000022.mp4 or ID.mp4 in any folder",
)
EXPECTED = {"train": 80000, "validation": 5000}


def read(source: pathlib.Path) -> Official:
  """Reads the lists; videos that are not there are counted. Errors as `Place.find` and `collect`."""
  listed, missing = [], []
  for split, stem in (("train", "train"), ("validation", "val")):
    films = list(rows(PLACE, source, split))
    paths = PLACE.find_all(source, f"{stem}_ytid_list.txt")
    if paths:
      wanted = {text: line for line, text in PLACE.lines(PLACE.find(source, f"{stem}_ytid_list.txt"))}
      films = [film for film in films if film.group in wanted]
      unknown = wanted.keys() - {film.group for film in films}
      missing += [Film(pathlib.Path(video), video, "", split, wanted[video]) for video in wanted if video in unknown]
    listed += films
  names = sorted({film.label for film in listed})
  if len(names) > 200:
    raise PLACE.error(f"the lists of {source} name {len(names)} classes: train_ytid_list.txt is missing")
  found, gone = collect(listed, files_below(source), file_names)
  return Official(found, names, 200, EXPECTED, missing=[*missing, *gone], may_lack=True)
