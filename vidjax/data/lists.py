"""Annotation lists: which videos a CSV, text or JSON file names, as vidjax and other tools write them.

Text has one video a line: path, label and optionally split and group, separated by commas, semicolons, tabs or spaces.
A column `labels` in place of `label` gives a video any number of classes, "run; jump" or in JSON a list.
A header line may name the columns, in any order and beside others. JSON is an array of objects, one object a line, or a
mapping of ids to objects (Kinetics). Ids without an ending, as Kinetics and Something-Something have them, find the
file of that name below the list's folder.
"""

import contextlib
import csv
import dataclasses
import functools
import io
import json
import os
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vidjax.data import frame_folder
from vidjax.data.span import COLUMNS as TIMES
from vidjax.data.span import Span, of_row
from vidjax.data.splits import known_split
from vidjax.errors import InputError

ENDINGS = (".csv", ".tsv", ".txt", ".json", ".jsonl")
COLUMNS = ("path", "label", "split", "group")
_NAMES = {
  "path": ["path", "filepath", "file_path", "video_path", "clip_path", "relative_path", "filename", "file_name"],
  "label": [
    "label",
    "labels",
    "class",
    "class_name",
    "category",
    "action",
    "action_name",
    "label_name",
    "activity",
    "template",
  ],
  "split": ["split", "subset", "set", "partition"],
  "group": ["group", "group_id"],
}
_NAMES["path"] += ["file", "video_file", "video", "video_name", "clip", "clip_name", "name", "video_id"]
_NAMES["path"] += ["youtube_id", "id"]
_NAMES["label"] += ["template", "label_id", "class_id"]
"""What other tools call our columns; the first that a list has counts."""
_LIKE_A_SPLIT = ("fold", "is_train", "is_test", "train", "test", "phase", "usage", "mode")
_SOMETHING = {"id", "template", "placeholders"}
_WANTED = (
  "path,label[,split[,group]], separated by commas, semicolons, tabs or spaces, and in quotes where one holds one"
)


@dataclasses.dataclass(frozen=True)
class Row:
  """What a list says of one video; "" where it says nothing.

  Attributes:
    path: relative to the list's folder, with "/".
    label: name of its class.
    labels: names of its classes where it may have several, None where it has one.
    split: name of its split.
    group: of videos that stay in one split.
    line: where it says so, as "list.csv, line 3".
    span: the part of the film, None for all of it.
  """

  path: str
  label: str
  split: str
  group: str
  line: str
  labels: tuple[str, ...] | None = None
  span: Span | None = None


@dataclasses.dataclass(frozen=True)
class Listing:
  """A list, read.

  Attributes:
    rows: in their order.
    note: which columns were read as what, where they are not called so; "" otherwise.
  """

  rows: list[Row]
  note: str


def read_list(path: pathlib.Path) -> Listing:
  """Reads a list.

  Raises:
    InputError: not text, a row that cannot be read, columns that cannot be told, or a label that is no name: a list,
      a number with a decimal point, true or false.
  """
  text = _text(path)
  if path.suffix.lower() in (".json", ".jsonl"):
    return _rows(path, list(_json_rows(path, text)))
  return _rows(path, _table_rows(path, text))


def _text(path: pathlib.Path) -> str:
  content = path.read_bytes()
  try:
    return content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
  except UnicodeDecodeError as error:
    raise InputError(f"{path} is not UTF-8 text ({error}): save it as UTF-8") from error


def _rows(path: pathlib.Path, found: Sequence[tuple[str, Mapping[str, Any]]]) -> Listing:
  """Rows of (place, {column: value})."""
  rows: list[Row] = []
  note = ""
  files = functools.cache(lambda: _by_stem(path.parent))
  for line, values in found:
    values = {re.sub(r"[\s-]+", "_", str(key).strip().casefold()): value for key, value in values.items()}
    columns = _columns(line, values)
    several = columns.get("label") == "labels"
    labels = _labels(line, values["labels"]) if several else None
    cells = {role: _cell(line, name, values[name]) for role, name in columns.items() if name != "labels"}
    label = cells.get("label", "")
    if values.keys() >= _SOMETHING and columns.get("label") == "template":
      label = re.sub(r"\[(.*?)\]", r"\1", label)
    name, split = cells["path"], cells.get("split", "")
    if not name or "\0" in name:
      raise InputError(f"{line}: {'the path holds a NUL character' if name else 'the path is empty'}")
    if not re.fullmatch(r"([a-z]\w*)?", split.casefold(), re.ASCII) and not known_split(split):
      raise InputError(f"{line}: {split!r} is no split name: use letters, digits and '_'")
    name = _found(path, line, name, values, files) if columns["path"] in ("youtube_id", "video_id", "id") else name
    part = None if columns["path"] == "youtube_id" else of_row(line, values)  # Kinetics' files are cut
    rows.append(Row(name, label, known_split(split) or split.casefold(), cells.get("group", ""), line, labels, part))
    note = note or _note(path, columns, {key: value for key, value in values.items() if not part or key not in TIMES})
    if any("," in name for name in labels or ()) and not note.startswith("warning"):
      note = f"warning: {line}: the label {next(name for name in labels or () if ',' in name)!r} holds a comma; ; or |"
      note += " stands between several labels"
  split_like = [name for _, values in found[:1] for name in values if str(name).casefold() in _LIKE_A_SPLIT]
  if split_like and not any(row.split for row in rows):
    note = f"warning: {path}: the column {split_like[0]!r} is not read; if it says the split, call it split"
  return Listing(rows, note)


def _note(path: pathlib.Path, columns: Mapping[str, str], values: Mapping[str, Any]) -> str:
  """Which columns are read as what, and which are not used; "" where they are called as ours and all are used."""
  unused = [name for name in values if name and name not in columns.values()]
  if any(name not in (role, "labels") for role, name in columns.items()):
    read = ", ".join(f"{name!r} as the {role}" for role, name in columns.items())
    return f"{path}: column {read}" + (f"; not used: {', '.join(unused)}" if unused else "")
  return f"{path}: columns not used: {', '.join(unused)}" if unused else ""


def _columns(line: str, values: Mapping[str, Any]) -> dict[str, str]:
  """Role -> the column that has it."""
  columns = {role: next((name for name in names if name in values), "") for role, names in _NAMES.items()}
  if values.keys() >= _SOMETHING:
    columns["label"] = "template"  # the label beside it has the placeholders filled in
  columns = {role: name for role, name in columns.items() if name}
  if {"label", "labels"} <= set(values):
    raise InputError(f"{line}: there are the columns label and labels: keep one of them")
  others = [name for name in values if name and name not in (*columns.values(), *TIMES)]
  if "path" not in columns or ("label" not in columns and others):
    lacking = "label" if "path" in columns else "path"
    raise InputError(
      f"{line}: no column is called {lacking} (or {', '.join(_NAMES[lacking][1:6])}); the columns are "
      f"{', '.join(map(str, values)) or 'none'}: name them path,label[,split[,group]] in a header line"
    )
  return columns


def _labels(line: str, value: Any) -> tuple[str, ...]:
  """The classes of a video, none of them twice; a cell of text has ";" or "|" between them."""
  parts = value if isinstance(value, (list, tuple)) else re.split(r"[;|]", "" if value is None else str(value))
  names = [_cell(line, "labels", part) for part in parts]
  if isinstance(value, (list, tuple)) and not all(names):
    raise InputError(f"{line}: labels is {value}: leave the empty one out")
  return tuple(dict.fromkeys(name for name in names if name))


def _cell(line: str, name: str, value: Any) -> str:
  """The text of a value; InputError for what is never a name."""
  if value is None:
    return ""
  text = str(value).strip()
  if isinstance(value, (list, tuple, dict)) or re.match(r"\[\s*(['\"\d]|\])", text):
    if name == "labels":
      raise InputError(f"{line}: labels holds {text[:60]}: give names, with ; between them or in JSON as a list")
    several = ", or call the column labels, where a video may have several" if name in _NAMES["label"] else ""
    raise InputError(f"{line}: {name} is {text[:60]}, and a video has one: give it one {name}{several}")
  if isinstance(value, (bool, float)) or (name in _NAMES["label"] and re.fullmatch(r"[-+]?\d+\.\d*(e\d+)?", text)):
    raise InputError(
      f"{line}: {name} is {text}: give a name or a whole number (pandas writes 1.0 for 1 where a cell is empty)"
    )
  return text


def _by_stem(folder: pathlib.Path) -> dict[str, list[str]]:
  """Paths of all files below a folder by their names without ending."""
  found: dict[str, list[str]] = {}
  for parent, _, names in os.walk(folder):
    for name in names:
      path = pathlib.PurePath(os.path.relpath(os.path.join(parent, name), folder)).as_posix()
      if not name.lower().endswith((*ENDINGS, ".srt")):
        found.setdefault(os.path.splitext(name)[0], []).append(path)
  return found


def _found(path: pathlib.Path, line: str, name: str, values: Mapping[str, Any], files: Any) -> str:
  """The path of a file of which a list gives the id, and Kinetics its start and end in seconds."""
  if (path.parent / name).exists():
    return name
  stems = [name]
  if {"time_start", "time_end"} <= values.keys():
    try:
      stems.insert(0, f"{name}_{int(float(values['time_start'])):06d}_{int(float(values['time_end'])):06d}")
    except (TypeError, ValueError):
      raise InputError(f"{line}: time_start and time_end must be seconds") from None
  for stem in stems:
    paths = sorted(files().get(stem, []))
    if len(paths) > 1:
      raise InputError(f"{line}: {stem} is {paths[0]} or {paths[1]}: remove one, or give the path")
    if paths:
      return paths[0]
  return name


Table = list[tuple[int, list[str]]]
"""Number and cells of every line that has any."""


def _table_rows(path: pathlib.Path, text: str) -> list[tuple[str, dict[str, str]]]:
  """Rows of a text with separators, of those that fit all lines the one whose first column names most files."""
  text = re.sub(r"\r\n?", "\n", text)
  told = re.match(r"\"?sep=(.)\"?\n", text, re.IGNORECASE)
  text = re.sub(r"\A.*", "", text) if told else text

  def comment(match: re.Match[str]) -> str:
    names = [match[0], *(match[0].partition(mark)[0] for mark in ",;\t "), match[0].rpartition(" ")[0]]
    return match[0] if any(_is_video(path.parent / name) for name in names) else ""

  text = re.sub(r"^#.*", comment, text, flags=re.MULTILINE)
  separators = told[1] if told else ",;\t"
  tables = [_cells(path, text, separator) for separator in separators]
  fitting = [table for table in tables if table and _fits(path, table)]
  if not told:
    separated = bool(re.search(r"[,;\t]", text))
    with contextlib.suppress(InputError) if separated else contextlib.nullcontext():
      spaced = _spaced(path, text)
      fitting += [spaced] if spaced and (not separated or _files_named(path, spaced)) else []
  table = max(fitting, key=lambda table: _files_named(path, table), default=tables[0])
  columns = COLUMNS[:3]
  if table and _is_header(path, table[0][1]):
    columns = tuple(table.pop(0)[1])
  elif table and not _files_named(path, table) and _files_named(path, [(n, cells[1:2]) for n, cells in table]):
    columns = ("label", "path", "split")
  rows = []
  for number, cells in table:
    if not min(2, len(columns)) <= len(cells) <= len(columns):
      raise InputError(
        f"{path}, line {number}: {len(cells)} {'cells' if len(cells) > 1 else 'cell'} where {_WANTED}, is required"
      )
    rows.append((f"{path}, line {number}", dict(zip(columns, cells, strict=False))))
  return rows


def _cells(path: pathlib.Path, text: str, separator: str) -> Table:
  reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
  try:
    rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
  except csv.Error as error:
    raise InputError(f"{path}, line {reader.line_num}: {error}; is a quote left open?") from error
  return [(number, cells) for number, cells in rows if any(cells)]


def _is_header(path: pathlib.Path, cells: Sequence[str]) -> bool:
  """Whether a line names columns: one a path and, unless it stands alone, another something else that we know."""
  names = [re.sub(r"[\s-]+", "_", cell.casefold()) for cell in cells]
  if any(_is_video(path.parent / cell) for cell in cells if cell):
    return False
  known = [role for role, columns in _NAMES.items() if any(name in columns for name in names)]
  return "path" in names or "label" in names or ("path" in known and (len(known) > 1 or len(cells) == 1))


def _fits(path: pathlib.Path, table: Table) -> bool:
  widths = {len(cells) for _, cells in table}
  most = len(table[0][1]) if _is_header(path, table[0][1]) else len(COLUMNS) - 1
  return min(widths) >= 2 and max(widths) <= most


def _files_named(path: pathlib.Path, table: Table) -> int:
  """How many of the first lines begin with a file that is there."""
  return sum(_is_video(path.parent / cells[0]) for _, cells in table[:50] if cells and cells[0])


def _is_video(path: pathlib.Path) -> bool:
  """Whether a file or a folder of frames is there."""
  return path.is_file() or (path.is_dir() and frame_folder.is_one(path))


def _spaced(path: pathlib.Path, text: str) -> Table | None:
  """Rows of path and label with spaces between, as SlowFast and mmaction2 write them; None where a line has none.

  A path may hold spaces, too, where it names a file that is there. Of a folder of frames their number stands between
  path and label, as TSN and mmaction2 write it.
  """
  lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
  if any(len(line.split()) == 1 for _, line in lines):
    return None
  table: Table = []
  for number, line in lines:
    words = line.split()
    first, last = line.rsplit(maxsplit=1)
    if len(words) == 3 and known_split(last):
      table.append((number, words))
    elif len(words) == 2 or _is_video(path.parent / first):
      table.append((number, [first, last]))
    elif words[-2].isdecimal():
      table.append((number, [_of_frames(path, f"{path}, line {number}", first), last]))
    else:
      raise InputError(f"{path}, line {number}: {len(words)} words where {_WANTED}, is required")
  return table


def _of_frames(path: pathlib.Path, line: str, text: str) -> str:
  """The folder of "folder number", whose frames are counted."""
  name, count = text.rsplit(maxsplit=1)
  folder = path.parent / name
  if not folder.is_dir():
    raise InputError(
      f"{line}: {len(text.split()) + 1} words where {_WANTED}, is required, and there is no folder {name} of {count}"
      f" frames in {path.parent}"
    )
  found = len(frame_folder.files(folder))
  if found != int(count):
    raise InputError(f"{line}: {name} holds {found} frames, and the list says {count}")
  return name


def _json_rows(path: pathlib.Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
  """Rows of an array, of one object a line, or of a mapping of ids to objects."""
  try:
    whole = json.loads(text)
  except json.JSONDecodeError as error:
    whole = None
    if path.suffix.lower() == ".json" and text.lstrip()[:1] == "[":
      raise InputError(f"{path} is not JSON ({error})") from error
  if isinstance(whole, dict) and any(isinstance(value, (list, dict)) for value in whole.values()):
    mixed = [key for key, value in whole.items() if not isinstance(value, dict)]
    if mixed and "path" not in whole:
      raise InputError(
        f"{path} is an object with the key {mixed[0]!r}: a list of objects, one for each video, is required"
      )
  if isinstance(whole, dict) and whole and all(isinstance(value, dict) for value in whole.values()):
    for name, value in whole.items():
      yield f"{path}, {name!r}", {"youtube_id" if "annotations" in value else "id": name, **_flat(value)}
  elif isinstance(whole, list) and (path.suffix.lower() == ".json" or len(whole) != 1):
    for number, row in enumerate(whole, 1):
      yield f"{path}, entry {number}", _object(f"{path}, entry {number}", row)
  else:
    for number, line in enumerate(text.split("\n"), 1):
      if line.strip():
        try:
          row = json.loads(line)
        except json.JSONDecodeError as error:
          raise InputError(f"{path}, line {number}: not JSON ({error})") from error
        yield f"{path}, line {number}", _object(f"{path}, line {number}", row)


def _object(line: str, row: Any) -> dict[str, Any]:
  if not isinstance(row, dict):
    raise InputError(f'{line}: wants an object, as in {{"path": "a.mp4", "label": "walk"}}')
  return row


def _flat(value: Mapping[str, Any]) -> dict[str, Any]:
  """Kinetics: {"annotations": {"label": ..., "segment": [start, end]}, "subset": ...} as columns of the CSV."""
  annotations = value.get("annotations")
  if not isinstance(annotations, dict):
    return dict(value)
  start, end = (annotations.get("segment") or (None, None))[:2]
  return {"label": annotations.get("label"), "split": value.get("subset"), "time_start": start, "time_end": end}
