"""Which videos a folder or a list names, with their labels and splits.

- class sub-folders (`walk/a.avi`), or the same below top folders called train, validation (or val) and test;
- a CSV (or semicolon- or tab-separated) or JSON-lines file of path, label and, optionally, split; paths are relative to
  that file.
"""

import collections
import csv
import dataclasses
import hashlib
import io
import itertools
import json
import os
import pathlib
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping

from vidjax.errors import InputError

GIVEN_SPLITS = {name: name for name in ("train", "validation", "test")} | {"val": "validation", "valid": "validation"}
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
    line: the line of a list that names it, as "list.csv, line 3"; "" in a folder.
    copy_of: name of the first film whose file has the same bytes, "" for that one and for all others.
  """

  path: pathlib.Path
  name: str
  label: str
  split: str = ""
  line: str = ""
  copy_of: str = ""

  def __str__(self) -> str:
    """What messages call it."""
    return f"{self.line}: {self.name}" if self.line else self.name


def find_films(videos: pathlib.Path, fractions: Mapping[str, float] | None = None) -> list[Film]:
  """All films of a folder or a list, in an order that depends on their names alone.

  Args:
    videos: a folder, or a .csv or .jsonl file.
    fractions: share of every split, for videos that come without; see `split_sequence`.

  Raises:
    InputError: nothing there, a line that cannot be read, an empty label, labels that differ in case only, a film named
      twice, equal files in two classes (one label is wrong, and only the user knows which), too few films for a split
      to have every class, or fractions for videos that come with splits.
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
  films.sort(key=lambda film: (film.label, hashlib.sha256(os.fsencode(film.name)).digest()))
  films = _find_copies(films)
  bare = [film for film in films if not film.split]
  if bare and len(bare) < len(films):
    raise InputError(f"{videos} gives {len(films) - len(bare)} videos a split but not {bare[0]}: give all or none")
  if fractions and not bare:
    raise InputError(f"{videos} comes with splits of its own: leave --split out")
  if not bare:
    pairs = {(film.split, film.label) for film in films}
    check_splits(pairs, pairs, f"{videos} gives")
  splits = list(fractions or DEFAULT_FRACTIONS)
  counts = collections.Counter(film.label for film in bare if not film.copy_of)
  label, count = min(counts.items(), key=lambda item: item[1], default=("", len(splits)))
  if count < len(splits):
    raise InputError(
      f"class {label!r} has {count} {'video' if count == 1 else 'different videos'}, too few for the splits"
      f" {', '.join(splits)} to have one each: add videos to the class, remove it, or run the same command with"
      f" --split={splits[0]}:1, which puts every video into {splits[0]}"
    )
  return films


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
      raise InputError(
        f"{giver} split {split!r} no video of class {label!r}: every split needs every class, so add one there, or"
        " remove the class or the split"
      )


def stray_files(videos: pathlib.Path) -> list[str]:
  """Names of the files of a folder that lie outside any class folder."""
  if not videos.is_dir():
    return []
  files = [path for parent in {videos, *_class_parents(videos)} for path in _visible(parent) if not path.is_dir()]
  return sorted(path.relative_to(videos).as_posix() for path in files)


def _visible(folder: pathlib.Path) -> list[pathlib.Path]:
  return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _class_parents(root: pathlib.Path) -> dict[pathlib.Path, str]:
  """The folders that hold class folders, and the split they stand for."""
  tops = [path for path in _visible(root) if path.is_dir()]
  splits = {top: GIVEN_SPLITS[top.name.lower()] for top in tops if top.name.lower() in GIVEN_SPLITS}
  if not any(path.is_dir() for top in splits for path in _visible(top)) or len(splits) < min(len(tops), 2):
    return {root: ""}
  others = [top.name for top in tops if top not in splits]
  if others:
    names = ", ".join(sorted(top.name for top in splits))
    raise InputError(f"{root} has the split folders {names}, and beside them {', '.join(others)}: move the latter out")
  return splits


def _in_folder(root: pathlib.Path) -> Iterator[Film]:
  for parent, split in _class_parents(root).items():
    classes = [path for path in _visible(parent) if path.is_dir()]
    if not classes:
      raise InputError(f"{parent} has no class folders: put the videos of each class into a folder of its name")
    for folder in classes:
      paths = sorted(_files_below(folder))
      if not paths:
        raise InputError(f"class folder {folder} is empty: add videos or remove it")
      for path in paths:
        yield Film(path, path.relative_to(root).as_posix(), folder.name.strip(), split)


def _files_below(folder: pathlib.Path, above: frozenset[str] = frozenset()) -> Iterator[pathlib.Path]:
  """All visible files, links to files and dangling links; follows links to folders, unless in a circle."""
  above |= {os.path.realpath(folder)}
  for path in _visible(folder):
    if not path.is_dir():
      yield path
    elif os.path.realpath(path) not in above:
      yield from _files_below(path, above)


def _in_list(videos: pathlib.Path) -> Iterator[Film]:
  readers = {".csv": _csv_rows, ".tsv": _csv_rows, ".jsonl": _json_rows, ".json": _json_rows}
  if videos.suffix.lower() not in readers:
    raise InputError(f"{videos} is neither a folder nor a .csv or .jsonl file")
  try:
    text = videos.read_text(encoding="utf-8-sig")
  except UnicodeDecodeError as error:
    raise InputError(f"{videos} is not UTF-8 text ({error}): save it as UTF-8") from error
  for number, row in readers[videos.suffix.lower()](videos, text):
    line = f"{videos}, line {number}"
    unknown = sorted(map(str, set(row) - set(COLUMNS)))
    if unknown or not {"path", "label"} <= set(row):
      raise InputError(f"{line}: wants path, label[, split], has {', '.join(map(str, row))}")
    path, label, split = ("" if row.get(name) is None else str(row[name]).strip() for name in COLUMNS)
    split = split.lower()
    if not path or "\0" in path:
      raise InputError(f"{line}: {'the path holds a NUL character' if path else 'the path is empty'}")
    if not re.fullmatch(r"([a-z]\w*)?", split, re.ASCII):
      raise InputError(f"{line}: {split!r} is no split name: use letters, digits and '_'")
    yield Film(videos.parent / path, path, label, GIVEN_SPLITS.get(split, split), line)


def _csv_rows(videos: pathlib.Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
  """Rows as dicts; the header line may be absent, and the separator is the first of , ; tab that fits all lines."""
  tables = [_cells(videos, text, separator) for separator in (",", ";", "\t")]
  fitting = (table for table in tables if all(2 <= len(cells) <= len(COLUMNS) for _, cells in table))
  table = next(fitting, tables[0])
  columns = COLUMNS
  if table and {"path", "label"} & {cell.lower() for cell in table[0][1]}:
    columns = tuple(cell.lower() for cell in table.pop(0)[1])
  for number, cells in table:
    if not 2 <= len(cells) <= len(columns):
      raise InputError(
        f"{videos}, line {number}: {len(cells)} {'cells' if len(cells) > 1 else 'cell'} where path,label[,split] is"
        " wanted, separated by commas, semicolons or tabs, and in quotes where it contains one"
      )
    yield number, dict(zip(columns, cells, strict=False))


def _cells(videos: pathlib.Path, text: str, separator: str) -> list[tuple[int, list[str]]]:
  """Number and cells of every line that has any."""
  reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
  try:
    rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
  except csv.Error as error:
    raise InputError(f"{videos}, line {reader.line_num}: {error}; is a quote left open?") from error
  return [(number, cells) for number, cells in rows if any(cells)]


def _json_rows(videos: pathlib.Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
  for number, line in enumerate(text.split("\n"), 1):
    if line.strip():
      try:
        row = json.loads(line)
      except json.JSONDecodeError as error:
        raise InputError(f"{videos}, line {number}: not JSON ({error})") from error
      if not isinstance(row, dict):
        raise InputError(f'{videos}, line {number}: wants an object, as in {{"path": "a.mp4", "label": "walk"}}')
      yield number, row


def _check_labels(films: list[Film]) -> None:
  first: dict[str, Film] = {}
  spellings: dict[str, Film] = {}
  for film in films:
    if not film.label:
      raise InputError(f"{film} has an empty label")
    if film.label.splitlines() != [film.label] or "\0" in film.label:
      raise InputError(f"{film} has the label {film.label!r}: use one line of text")
    if film.label.encode(errors="replace").decode() != film.label:
      raise InputError(f"{film} has the label {film.label!r}, which is not UTF-8 text: give the class another name")
    other = first.setdefault(os.path.abspath(film.path), film)
    if other is not film:
      raise InputError(f"{film} is named twice, first as {other}: remove one of the two")
    other = spellings.setdefault(unicodedata.normalize("NFKC", film.label).casefold(), film)
    if other.label != film.label:
      raise InputError(
        f"labels {other.label!r} and {film.label!r} differ in case or Unicode form only ({other}; {film}): unite them"
      )


def _find_copies(films: list[Film]) -> list[Film]:
  """The films, those whose file has the same bytes as an earlier one's marked; only files of one size are read."""
  sizes = collections.Counter(map(_size, films))
  first: dict[bytes, Film] = {}
  found, clashes = [], []
  for film in films:
    digest = _digest(film.path) if _size(film) and sizes[_size(film)] > 1 else b""
    other = first.setdefault(digest, film) if digest else film
    if other.label != film.label:
      clashes.append(f"{other} and {film} are the same file")
    found.append(film if other is film else dataclasses.replace(film, copy_of=other.name))
  if clashes:
    more = f", and {len(clashes) - 3} more" if len(clashes) > 3 else ""
    raise InputError(f"{'; '.join(clashes[:3])}{more}: a video has one class, so remove the wrong ones")
  return found


def _size(film: Film) -> int:
  try:
    return film.path.stat().st_size
  except OSError:
    return 0  # decoding tells why


def _digest(path: pathlib.Path) -> bytes:
  try:
    with path.open("rb") as file:
      return hashlib.file_digest(file, "sha256").digest()
  except OSError:
    return b""
