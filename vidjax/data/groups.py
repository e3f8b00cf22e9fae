"""Groups: which video files come from one recording and so must stay in one split.

Three naming schemes of published data sets are recognised: UCF101's (`v_Segway_g01_c04.avi`), HMDB51's
(`FILM_wave_u_cm_np1_fr_med_3.avi`) and Kinetics' (`YOUTUBE-ID_000012_000022.mp4`).
"""

import collections
import pathlib
import re
from collections.abc import Iterable

from vidjax.errors import InputError

_UCF101 = re.compile(r"(.+[_-]g\d+)[_-]c\d+")
_HMDB51 = re.compile(r"(.+)_[fhlu]_(?:cm|nm)_np\d+_(?:fr|ba|le|ri)_(?:goo|med|bad)_\d+")
_KINETICS = re.compile(r"([\w-]{11})_\d{6}_\d{6}")
_MARKS = re.compile(r"(?<![^\W\d_])(?:part|pt|clip|cut|segment|seg|scene|take|raw|c|p|s)(?![^\W\d_])")
_PLAIN = {"video", "vid", "clip", "film", "movie", "sample", "example", "img", "mov", "mvi", "dsc", "gopr", "output"}


def compile_group(pattern: str) -> re.Pattern[str]:
  """The regular expression of `--group`.

  Raises:
    InputError: it is none.
  """
  try:
    return re.compile(pattern)
  except re.error as error:
    raise InputError(f"--group={pattern} is no regular expression ({error})") from error


def group_of(name: str, label: str, pattern: re.Pattern[str] | None = None) -> str:
  """The group of a file, "" where its name tells none.

  Args:
    name: its path below the folder, with "/".
    label: its class; HMDB51's names hold it between the film's name and the rest.
    pattern: its first capture, or all it matches where it has none, is the group. It is searched in the file's name,
      then in the whole path.
  """
  path = pathlib.PurePosixPath(name)
  if pattern:
    match = pattern.search(path.name) or pattern.search(name)
    return "" if not match else (match[1] if pattern.groups else match[0]) or ""
  stem = path.stem
  if match := _UCF101.fullmatch(stem) or _KINETICS.fullmatch(stem):
    return match[1]
  if match := _HMDB51.fullmatch(stem):
    return re.sub(rf"_{re.escape(label.replace(' ', '_'))}$", "", match[1], flags=re.IGNORECASE)
  return ""


def numbered_cuts(names: Iterable[tuple[str, str]]) -> list[list[str]]:
  """Files that look like numbered cuts of one recording, as `party_1.mp4` and `party_2.mp4`: only digits differ.

  Args:
    names: path and class of every file without a group. Cuts lie in one folder. A stem that is the name of the class, a
      usual word such as "video" or a single letter numbers the files of a class, not the cuts of a recording.

  Returns:
    The names of each recording that has two or more.
  """
  found: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
  for name, label in names:
    path = pathlib.PurePosixPath(name)
    shape = re.sub(r"\d+", "#", path.stem.casefold())
    word = _letters(_MARKS.sub("", shape))
    if "#" in shape and len(word) > 1 and word not in {*_PLAIN, _letters(label.casefold())}:
      found[str(path.parent), shape].append(name)
  return [sorted(cuts) for cuts in found.values() if len(cuts) > 1]


def _letters(text: str) -> str:
  return re.sub(r"[\W\d_]+", "", text)


def unite(groups: Iterable[tuple[str, str]]) -> dict[str, str]:
  """Joins groups that share a member.

  Args:
    groups: pairs of groups that belong together.

  Returns:
    group -> the group that stands for it, for all that occur.
  """
  parents: dict[str, str] = {}

  def root(group: str) -> str:
    while parents.setdefault(group, group) != group:
      group = parents[group]
    return group

  for one, other in groups:
    first, second = root(one), root(other)
    parents[max(first, second)] = min(first, second)
  return {group: root(group) for group in parents}
