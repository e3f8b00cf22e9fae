"""Kinetics-400 (Kay et al., 2017): 400 classes, videos of 10 seconds from YouTube, of which some are gone.

    train.csv, val.csv, test.csv     label,youtube_id,time_start,time_end,split
    ID_000012_000022.mp4 or ID.mp4   in class folders, split folders or flat

The lists may be called kinetics_train.csv, kinetics-400_train.csv, validate.csv and the like. The test list is read
where it is there. The paper counts 306,245 videos; the lists name 305,125.
"""

import pathlib
from collections.abc import Iterator, Sequence

from vidjax.data.films import Film
from vidjax.data.official import VIDEOS, Official, collect, files_below
from vidjax.data.place import Place

PLACE = Place(
  "kinetics400",
  "https://github.com/cvdfoundation/kinetics-dataset",
  "train.csv, val.csv[, test.csv] and ID_000012_000022.mp4 or ID.mp4 in any folder",
)
CLASSES = 400
EXPECTED = {"train": 246534, "validation": 19906, "test": 38685}
_LISTS = {"train": ("train",), "validation": ("val", "validate", "validation"), "test": ("test",)}


def read(source: pathlib.Path) -> Official:
  """Reads the lists; videos that are not there are counted. Errors as `Place.find` and `collect`."""
  listed = [film for split in EXPECTED for film in rows(PLACE, source, split)]
  names = sorted({film.label for film in listed} - {""})
  found, missing = collect(listed, files_below(source), file_names)
  return Official(found, names, CLASSES, EXPECTED, missing=missing, may_lack=True)


def rows(place: Place, source: pathlib.Path, split: str) -> Iterator[Film]:
  """The videos that the list of a split names; the test list may be missing, and may be without labels.

  Args:
    place: of the data set.
    source: the folder of the lists.
    split: "train", "validation" or "test".
  """
  stems = [f"{start}{name}.csv" for start in ("", "kinetics_", "*_") for name in _LISTS[split]]
  if split == "test" and not place.find_all(source, *stems):
    return
  table = place.table(place.find(source, *stems))
  line, header = next(table, ("", []))
  try:
    video, start, end = map(header.index, ("youtube_id", "time_start", "time_end"))
    label = header.index("label") if split != "test" or "label" in header else None
  except ValueError:
    raise place.error(f"{line or stems[0]}: the header must be label,youtube_id,time_start,time_end,split") from None
  for line, row in table:
    try:
      name = f"{row[video]}_{int(float(row[start])):06}_{int(float(row[end])):06}"
      group, own = row[video], "" if label is None else row[label]
    except (ValueError, IndexError):
      raise place.error(f"{line}: {','.join(row)!r} does not read label,youtube_id,time_start,time_end") from None
    if not own and split != "test":
      raise place.error(f"{line}: {name} has no label")
    yield Film(pathlib.Path(f"{name}.mp4"), name, own, split, line, group=group)


def file_names(film: Film) -> Sequence[str]:
  """What the file of a video may be called."""
  return [f"{stem}{ending}" for stem in (film.name, film.group) for ending in (".mp4", *set(VIDEOS) - {".mp4"})]
