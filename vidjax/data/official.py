"""What the official files of a published data set say, and the films of theirs that are on disk.

A source, `vidjax/data/sources/NAME.py`, has a constant PLACE (`vidjax.data.place.Place`) and a function
`read(source) -> Official`.
"""

import collections
import dataclasses
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from vidjax.data.films import Film
from vidjax.errors import InputError

STORED = "videos"
"""The one stored split of a data set with folds."""
VIDEOS = (".avi", ".mp4", ".webm", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg")
_SIDES = {"left": "right", "clockwise": "counterclockwise"}


@dataclasses.dataclass(frozen=True)
class Official:
  """What a source read.

  Attributes:
    films: those on disk, each with its split; STORED where there are folds.
    class_names: in the official order.
    num_classes: their official number.
    expected: official number of videos of every split, "1/train" of fold 1.
    folds: fold -> name of a film -> its split; a film that is in none is not used in that fold.
    mirrored: pairs of classes that change places in a mirror, for `vidjax.data.augment.Flip.swap`.
    missing: the films that are listed and not on disk.
    may_lack: whether films are known to be missing everywhere, as those of YouTube are.
    fps: frames a second of folders of frames, None where the films tell.
    notes: what else the user should know.
  """

  films: list[Film]
  class_names: list[str]
  num_classes: int
  expected: Mapping[str, int]
  folds: Mapping[int, Mapping[str, str]] = dataclasses.field(default_factory=dict)
  mirrored: Sequence[tuple[str, str]] = ()
  missing: Sequence[Film] = ()
  may_lack: bool = False
  fps: float | None = None
  notes: Sequence[str] = ()


def files_below(source: pathlib.Path, endings: Sequence[str] = VIDEOS) -> dict[str, list[pathlib.Path]]:
  """All files with one of the endings: name in small letters -> where files of that name lie.

  Args:
    source: the folder.
    endings: with their points.
  """
  found: dict[str, list[pathlib.Path]] = {}
  for folder, _, names in os.walk(source):
    for name in names:
      if name.lower().endswith(tuple(endings)) and not name.startswith("."):
        found.setdefault(name.lower(), []).append(pathlib.Path(folder, name))
  return found


def folders_below(source: pathlib.Path, depth: int = 3) -> dict[str, list[pathlib.Path]]:
  """The folders whose names are numbers, as those of frames are: name -> where such folders lie.

  Args:
    source: the folder.
    depth: folders that are looked into, one in another.
  """
  found: dict[str, list[pathlib.Path]] = {}
  with os.scandir(source) as entries:
    for entry in sorted(entries, key=lambda entry: entry.name):
      if entry.name.isdecimal() and entry.is_dir():
        found.setdefault(entry.name, []).append(pathlib.Path(entry.path))
      elif depth > 1 and entry.is_dir() and not entry.name.startswith("."):
        for name, paths in folders_below(pathlib.Path(entry.path), depth - 1).items():
          found.setdefault(name, []).extend(paths)
  return found


def collect(
  listed: Iterable[Film],
  files: Mapping[str, list[pathlib.Path]],
  names: Callable[[Film], Sequence[str]] = lambda film: [film.path.name],
) -> tuple[list[Film], list[Film]]:
  """The listed films that are on disk, and the others.

  Args:
    listed: in any order, `path` as the list gives it.
    files: from `files_below` or `folders_below`.
    names: what a film's file may be called, the likeliest name first.

  Raises:
    InputError: a film is listed twice, or two files could be it.
  """
  films: list[Film] = []
  missing: list[Film] = []
  first: dict[str, Film] = {}
  for film in listed:
    if first.setdefault(film.name, film) is not film:
      raise InputError(
        f"{film} is listed twice, first in {first[film.name].line}: the lists are damaged; download them again"
      )
    found = next((paths for name in names(film) if (paths := files.get(name.lower()))), [])
    if len(found) > 1:
      raise InputError(f"{film}: both {found[0]} and {found[1]} are called so: move one of them out of --source")
    if found:
      films.append(dataclasses.replace(film, path=found[0]))
    else:
      missing.append(film)
  return films, missing


def mirrored(class_names: Sequence[str]) -> list[tuple[str, str]]:
  """Pairs of classes that change places in a mirror: their names with left and right, or clockwise, exchanged."""
  both = _SIDES | {there: here for here, there in _SIDES.items()}
  known = set(class_names)

  def other(match: re.Match[str]) -> str:
    word = both[match[0].lower()]
    return word.capitalize() if match[0][0].isupper() else word

  pattern = re.compile(rf"\b({'|'.join(sorted(both, key=len, reverse=True))})\b", re.IGNORECASE)
  pairs = ((name, pattern.sub(other, name)) for name in class_names)
  order = {name: rank for rank, name in enumerate(class_names)}
  return [(one, two) for one, two in pairs if two in known and order[one] < order[two]]


def differences(official: Official) -> list[str]:
  """One sentence for every number of the lists that is not the official one."""
  found: dict[str, int] = dict.fromkeys(official.expected, 0)
  splits = [film.split for film in official.films]
  if official.folds:
    splits = [f"{fold}/{split}" for fold, given in official.folds.items() for split in given.values()]
  for split in splits:
    found[split] = found.get(split, 0) + 1
  told = []
  if len(official.class_names) != official.num_classes:
    told.append(f"there are {len(official.class_names)} classes; officially {official.num_classes}")
  for split, count in found.items():
    wanted = official.expected.get(split)
    if wanted != count:
      fold, _, name = split.rpartition("/")
      where = f"split {name!r}" + f" of fold {fold}" * bool(fold)
      told.append(f"{where} has {count:,} videos; officially {wanted or 0:,}")
  return told


def missing_by_class(official: Official) -> str:
  """Of which classes most videos are missing, as "'zumba' 3 of 9, 'abseiling' 1 of 8"."""
  lost = collections.Counter(name for film in official.missing for name in film.classes)
  there = collections.Counter(name for film in official.films for name in film.classes)
  parts = [f"{name!r} {count:,} of {count + there[name]:,}" for name, count in lost.most_common(5) if name]
  return ", ".join(parts) + ", ..." * (len(lost) > 5)
