"""The sizes of prepared data sets beside the official ones, as thesis Table 2.1 gives them."""

import collections
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vidjax.data.dataset import Dataset, folds_of, open_dataset
from vidjax.data.schema import Record
from vidjax.errors import InputError

_HEADER = ("data set", "classes", "official", "split", "videos", "official", "mean seconds", "frames")


class Size(NamedTuple):
  """The size of a split.

  Attributes:
    videos: its records.
    seconds: mean length of a record.
    frames: of all of them.
  """

  videos: int
  seconds: float
  frames: int


def size_of(dataset: Dataset, split: str) -> Size:
  """The size of a split by the report of its preparation, or else by reading every record, without decoding any.

  Args:
    dataset: the data set.
    split: its name.
  """
  kept = dataset.kept(split)
  if kept and all("seconds" in entry for entry in kept):
    count = dataset.splits[split]
    return Size(count, sum(entry["seconds"] for entry in kept) / count, sum(entry["frames"] for entry in kept))
  source = dataset.source(split)
  frames, seconds = 0, 0.0
  for number in range(len(source)):
    record = Record.parse(source[number])
    frames += record.num_frames
    seconds += record.num_frames / record.fps if record.fps > 0 else 0.0
  return Size(len(source), seconds / len(source), frames)


def table(names: Sequence[str], data_dir: str) -> list[str]:
  """A line for every split of every data set, its folds one after the other, in columns.

  Args:
    names: of the data sets.
    data_dir: where they lie.

  Raises:
    InputError: no such data set, or one given twice.
  """
  twice = [name for name, count in collections.Counter(names).items() if count > 1]
  if twice:
    raise InputError(f"--data={twice[0]} is given twice: name each data set once")
  rows = [_HEADER, *(row for name in names for row in _rows(name, data_dir))]
  widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
  return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _rows(name: str, data_dir: str) -> Iterator[tuple[str, ...]]:
  for fold in folds_of(name, data_dir) or [None]:
    dataset = open_dataset(name, data_dir, fold)
    known = dataset.official
    for split in dataset.splits:
      size = size_of(dataset, split)
      wanted = known.get("expected", {}).get(f"{fold}/{split}" if fold else split)
      yield (
        name,
        str(len(dataset.class_names)),
        str(known.get("classes", "")),
        split if fold is None else f"{split} of fold {fold}",
        f"{size.videos:,}",
        "" if wanted is None else f"{wanted:,}",
        f"{size.seconds:.2f}",
        f"{size.frames:,}",
      )
