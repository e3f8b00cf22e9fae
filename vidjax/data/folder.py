"""Which videos a folder or a list names, with their labels and splits.

- class sub-folders (`walk/a.avi`), or the same below top folders called train, validation (or val) and test;
- a CSV or JSON-lines file of path, label and, optionally, split; paths are relative to that file.
"""

import collections
import csv
import dataclasses
import hashlib
import itertools
import json
import os
import pathlib
import re
from collections.abc import Collection, Iterator, Mapping

from vidjax.errors import InputError

GIVEN_SPLITS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
DEFAULT_FRACTIONS = {"train": 0.8, "validation": 0.2}
COLUMNS = ("path", "label", "split")


@dataclasses.dataclass(frozen=True)
class Film:
  """One video file.

  Attributes:
    path: where it lies.
    name: its path as the folder or the list gives it, the stem of its video ids.
    label: name of its class.
    split: name of its split, "" where none is given.
  """

  path: pathlib.Path
  name: str
  label: str
  split: str = ""


def find_films(videos: pathlib.Path, fractions: Mapping[str, float] | None = None) -> list[Film]:
  """All films of a folder or a list, in an order that depends on their names alone.

  Args:
    videos: a folder, or a .csv or .jsonl file.
    fractions: share of every split, for videos that come without; see `split_sequence`.

  Raises:
    InputError: nothing there, a line that cannot be read, an empty label, labels that differ in case only, a film named
      twice, too few films for a split to have every class, or fractions for videos that come with splits.
  """
  if videos.is_dir():
    films = list(_in_folder(videos))
  elif videos.is_file():
    films = list(_in_list(videos))
  else:
    raise InputError(f"{videos} does not exist: pass --videos=FOLDER, or a .csv or .jsonl file")
  if not films:
    raise InputError(f"{videos} names no video")
  _check_labels(films)
  bare = [film for film in films if not film.split]
  if bare and len(bare) < len(films):
    raise InputError(f"{videos} gives {len(films) - len(bare)} videos a split but not {bare[0].name}: give all or none")
  if fractions and not bare:
    raise InputError(f"{videos} comes with splits of its own: leave --split out")
  if not bare:
    pairs = {(film.split, film.label) for film in films}
    check_splits(pairs, pairs, f"{videos} gives")
  splits = fractions or DEFAULT_FRACTIONS
  for label, count in collections.Counter(film.label for film in bare).items():
    if count < len(splits):
      raise InputError(
        f"class {label!r} has {count} video for the splits {', '.join(splits)}: add videos, or pass --split"
      )
  return sorted(films, key=lambda film: (film.label, hashlib.sha256(os.fsencode(film.name)).digest()))


def split_sequence(fractions: Mapping[str, float] | None = None) -> Iterator[str]:
  """The splits of a class's first, second, ... film: one film each, then to whichever lags most behind its share."""
  fractions = fractions or DEFAULT_FRACTIONS
  counts = dict.fromkeys(fractions, 0)
  for total in itertools.count(1):
    lag = {split: (count == 0, fractions[split] * total - count) for split, count in counts.items()}
    split = max(lag, key=lag.__getitem__)
    counts[split] += 1
    yield split


def parse_fractions(text: str) -> dict[str, float]:
  """Reads "train:.8,validation:.2".

  Raises:
    InputError: it does not follow the pattern, or the fractions do not sum to 1.
  """
  fractions = {}
  for part in text.split(","):
    name, _, value = part.strip().partition(":")
    if not re.fullmatch(r"[a-z]\w*", name) or name in fractions or not re.fullmatch(r"\d*\.?\d+|\d+\.", value):
      raise InputError(f"--split={text}: {part!r} does not read NAME:FRACTION, as in train:.8,validation:.2")
    fractions[name] = float(value)
  if not all(fractions.values()) or abs(sum(fractions.values()) - 1) > 1e-6:
    raise InputError(f"--split={text}: the fractions must be positive and sum to 1")
  return fractions


def check_splits(pairs: Collection[tuple[str, str]], wanted: Collection[tuple[str, str]], giver: str) -> None:
  """Raises an InputError unless `pairs` of split and label has every split and every label of `wanted` combined."""
  for split, label in itertools.product(sorted({split for split, _ in wanted}), sorted({label for _, label in wanted})):
    if (split, label) not in pairs:
      raise InputError(f"{giver} split {split!r} no video of class {label!r}: every split needs every class")


def stray_files(videos: pathlib.Path) -> list[str]:
  """Names of the files of a folder that lie outside any class folder."""
  if not videos.is_dir():
    return []
  files = [path for parent in {videos, *_class_parents(videos)} for path in _visible(parent) if path.is_file()]
  return sorted(path.relative_to(videos).as_posix() for path in files)


def _visible(folder: pathlib.Path) -> list[pathlib.Path]:
  return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _class_parents(root: pathlib.Path) -> dict[pathlib.Path, str]:
  """The folders that hold class folders, and the split they stand for."""
  tops = [path for path in _visible(root) if path.is_dir()]
  if tops and all(top.name in GIVEN_SPLITS and any(path.is_dir() for path in _visible(top)) for top in tops):
    return {top: GIVEN_SPLITS[top.name] for top in tops}
  return {root: ""}


def _in_folder(root: pathlib.Path) -> Iterator[Film]:
  for parent, split in _class_parents(root).items():
    classes = [path for path in _visible(parent) if path.is_dir()]
    if not classes:
      raise InputError(f"{parent} has no class folders: put the videos of each class into a folder of its name")
    for folder in classes:
      paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
      if not paths:
        raise InputError(f"class folder {folder} is empty: add videos or remove it")
      for path in paths:
        yield Film(path, path.relative_to(root).as_posix(), folder.name, split)


def _in_list(videos: pathlib.Path) -> Iterator[Film]:
  readers = {".csv": _csv_rows, ".jsonl": _json_rows, ".json": _json_rows}
  if videos.suffix.lower() not in readers:
    raise InputError(f"{videos} is neither a folder nor a .csv or .jsonl file")
  try:
    text = videos.read_text(encoding="utf-8-sig")
  except UnicodeDecodeError as error:
    raise InputError(f"{videos} is not UTF-8 text ({error})") from error
  for number, row in readers[videos.suffix.lower()](videos, text):
    unknown = sorted(map(str, set(row) - set(COLUMNS)))
    if unknown or not {"path", "label"} <= set(row):
      raise InputError(f"{videos}, line {number}: wants path, label[, split], has {', '.join(map(str, row))}")
    path, label, split = ("" if row.get(name) is None else str(row[name]).strip() for name in COLUMNS)
    if not path or not re.fullmatch(r"([a-z]\w*)?", split):
      raise InputError(f"{videos}, line {number}: {'the path is empty' if not path else f'{split!r} is no split name'}")
    yield Film(videos.parent / path, path, label, GIVEN_SPLITS.get(split, split))


def _csv_rows(videos: pathlib.Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
  """Rows as dicts; the header line may be absent."""
  reader = csv.reader(text.splitlines())
  columns = COLUMNS
  for row in reader:
    cells = [cell.strip() for cell in row]
    if reader.line_num == 1 and "path" in cells:
      columns = tuple(cells)
    elif any(cells):
      if len(cells) > len(columns) or len(cells) < 2:
        raise InputError(f"{videos}, line {reader.line_num}: {len(cells)} cells where path,label[,split] is wanted")
      yield reader.line_num, dict(zip(columns, cells, strict=False))


def _json_rows(videos: pathlib.Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
  for number, line in enumerate(text.splitlines(), 1):
    if line.strip():
      try:
        row = json.loads(line)
      except json.JSONDecodeError as error:
        raise InputError(f"{videos}, line {number}: not JSON ({error})") from error
      if not isinstance(row, dict):
        raise InputError(f'{videos}, line {number}: wants an object, as in {{"path": "a.mp4", "label": "walk"}}')
      yield number, row


def _check_labels(films: list[Film]) -> None:
  names = collections.Counter(film.name for film in films)
  spellings: dict[str, str] = {}
  for film in films:
    if not film.label:
      raise InputError(f"{film.name} has an empty label")
    if names[film.name] > 1:
      raise InputError(f"{film.name} is named {names[film.name]} times")
    other = spellings.setdefault(film.label.casefold(), film.label)
    if other != film.label:
      raise InputError(f"labels {other!r} and {film.label!r} differ in case only: make them one")
