"""THUMOS14's untrimmed videos with times (Jiang et al., 2014): 20 actions, 200 validation and 213 test videos.

    video_validation_0000051.mp4, video_test_0000004.mp4    in any folder
    annotation/CLASS_val.txt      video_validation_0000690  46.1 60.2
    annotation/CLASS_test.txt     the same for the test videos

A video has the classes of all its actions. Networks are trained on `validation`, as is usual: the official training
videos are those of UCF101. Ambiguous_val.txt and Ambiguous_test.txt name no class.
"""

import pathlib
import re

from vidjax.data.films import Film
from vidjax.data.official import Official, collect, files_below
from vidjax.data.place import Place

PLACE = Place(
  "thumos14",
  "https://www.crcv.ucf.edu/THUMOS14/download.html",
  "video_{validation,test}_*.mp4 in any folder and CLASS_{val,test}.txt of the temporal annotations",
)
EXPECTED = {"validation": 200, "test": 213}
ENDINGS = {"validation": "val", "test": "test"}
_SPAN = re.compile(r"(video_\w+_\d+)\s+(\d+(?:\.\d+)?)\s+(\d+(?:\.\d+)?)")


def read(source: pathlib.Path) -> Official:
  """Reads the spans; videos with ambiguous actions alone have no class. Errors as `Place.find` and `collect`."""
  spans: dict[str, dict[str, None]] = {}
  first: dict[str, str] = {}
  classes: dict[str, list[str]] = {}
  for split, ending in ENDINGS.items():
    paths = PLACE.find_all(source, f"*_{ending}.txt")
    classes[split] = [path.name.removesuffix(f"_{ending}.txt") for path in paths]
    if not paths:
      raise PLACE.error(f"{source} has no CLASS_{ending}.txt")
    for name, path in zip(classes[split], paths, strict=True):
      for line, text in PLACE.lines(path):
        match = _SPAN.fullmatch(text)
        if not match or not match[1].startswith(f"video_{split}_") or float(match[2]) >= float(match[3]):
          raise PLACE.error(f"{line}: {text!r} does not read video_{split}_NUMBER START END")
        first.setdefault(match[1], line)
        spans.setdefault(match[1], {})
        if name != "Ambiguous":
          spans[match[1]][name] = None
  names = sorted({name for found in classes.values() for name in found} - {"Ambiguous"})
  for split, found in classes.items():
    odd = [name for name in names if found.count(name) != 1]
    if odd:
      raise PLACE.error(
        f"{source} has {found.count(odd[0])} files {odd[0]}_{ENDINGS[split]}.txt where there should be one"
      )
  listed = [
    Film(pathlib.Path(f"{video}.mp4"), video, "", video.split("_")[1], first[video], labels=tuple(labels))
    for video, labels in spans.items()
  ]
  films, missing = collect(listed, files_below(source))
  return Official(films, names, 20, EXPECTED, missing=missing)
