"""Diving48 (Li et al., ECCV 2018), the cleaned labels of version 2: 48 dives, 16,997 videos.

rgb/VIDEO.mp4
Diving48_V2_train.json, Diving48_V2_test.json    [{"vid_name": "...", "label": 26, "start_frame": 0, ...}]
Diving48_vocab.json                              [["Back", "15som", "05Twis", "FREE"], ...]
"""

import pathlib

from vidjax.data.films import Film
from vidjax.data.official import Official, collect, files_below
from vidjax.data.place import Place

PLACE = Place(
  "diving48",
  "http://www.svcl.ucsd.edu/projects/resound/dataset.html",
  "VIDEO.mp4 in any folder and Diving48_{V2_train,V2_test,vocab}.json",
)
EXPECTED = {"train": 15027, "test": 1970}


def read(source: pathlib.Path) -> Official:
  """Reads the lists of version 2; errors as `Place.find` and `collect`."""
  words = PLACE.json(PLACE.find(source, "Diving48_vocab.json"), list)
  names = [" ".join(word) if isinstance(word, list) else str(word) for word in words]
  listed = []
  for split in EXPECTED:
    path = PLACE.find(source, f"Diving48_V2_{split}.json")
    for number, entry in enumerate(PLACE.json(path, list)):
      line = f"{path.name}, entry {number}"
      try:
        video, label = entry["vid_name"], int(entry["label"])
        own = names[label] if label >= 0 else None
      except (KeyError, TypeError, ValueError, IndexError):
        own = None
      if own is None:
        raise PLACE.error(f"{line}: {str(entry)[:80]} has no vid_name or no label from 0 to {len(names) - 1}")
      listed.append(Film(pathlib.Path(f"{video}.mp4"), video, own, split, line))
  films, missing = collect(listed, files_below(source))
  return Official(films, names, 48, EXPECTED, missing=missing)
