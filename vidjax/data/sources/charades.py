"""Charades (Sigurdsson et al., ECCV 2016): 157 actions, any number of them a video, 9,848 videos.

    Charades_v1_480/ID.mp4 (or Charades_v1/ID.mp4)
    Charades_v1_train.csv, Charades_v1_test.csv    id,...,actions,length with "c092 11.90 21.20;c147 0.00 12.60"
    Charades_v1_classes.txt                        c000 Holding some clothes

The times of the actions are checked and not stored: a video has the classes of all its actions.
"""

import pathlib
import re

from vidjax.data.films import Film
from vidjax.data.official import Official, collect, files_below
from vidjax.data.place import Place

PLACE = Place(
  "charades",
  "https://prior.allenai.org/projects/charades",
  "ID.mp4 in any one folder and Charades_v1_{train.csv,test.csv,classes.txt}",
)
EXPECTED = {"train": 7985, "test": 1863}
_ACTION = re.compile(r"(c\d{3}) (\d+(?:\.\d+)?) (\d+(?:\.\d+)?)")


def read(source: pathlib.Path) -> Official:
  """Reads the lists; errors as `Place.find` and `collect`."""
  path = PLACE.find(source, "Charades_v1_classes.txt")
  classes = {code: name for _, text in PLACE.lines(path) for code, _, name in [text.partition(" ")]}
  listed = []
  for split in EXPECTED:
    table = PLACE.table(PLACE.find(source, f"Charades_v1_{split}.csv"))
    line, header = next(table, ("", []))
    if not {"id", "actions"} <= set(header):
      raise PLACE.error(f"{line or f'Charades_v1_{split}.csv'}: the header must have the columns id and actions")
    for line, row in table:
      values = dict(zip(header, row, strict=False))
      video, actions = values["id"], [part for part in values.get("actions", "").split(";") if part]
      found = [_ACTION.fullmatch(part) for part in actions]
      wrong = [part for part, match in zip(actions, found, strict=True) if not match or match[1] not in classes]
      if wrong or len(row) != len(header):
        raise PLACE.error(f"{line}: {wrong[0] if wrong else video!r} is no action such as c092 11.90 21.20")
      labels = tuple(dict.fromkeys(classes[match[1]] for match in found if match))
      listed.append(Film(pathlib.Path(f"{video}.mp4"), video, "", split, line, labels=labels))
  films, missing = collect(listed, files_below(source))
  return Official(films, list(classes.values()), 157, EXPECTED, missing=missing)
