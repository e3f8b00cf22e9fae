"""What a run was trained on, kept in its folder, and which videos of another split are among it.

Files are the same where their bytes are, whatever they are called; where a data set was prepared before it stored that,
where they have the same name in the same data set.
"""

import json
import pathlib
from collections.abc import Mapping

from vidjax.errors import InputError
from vidjax.files import write_text

FILE = "trained_on.json"

Trained = dict[str, dict[str, str]]
"""Data set -> file -> its SHA-256, "" where that is not known."""


def join(*parts: Trained) -> Trained:
  """All that several were trained on."""
  joined: Trained = {}
  for part in parts:
    for name, films in part.items():
      joined[name] = joined.get(name, {}) | films
  return joined


def overlap(trained: Trained, name: str, films: Mapping[str, str]) -> list[str]:
  """The files of a split that are among those trained on.

  Args:
    trained: what was trained on.
    name: data set of the split.
    films: its files, as in `Dataset.films`.
  """
  digests = {digest for known in trained.values() for digest in known.values() if digest}
  names = {film for film, digest in trained.get(name, {}).items() if not digest}
  old = {film for film in trained.get(name, {})}
  return [film for film, digest in films.items() if digest in digests or film in (names if digest else old)]


def read(workdir: str | pathlib.Path) -> Trained | None:
  """What the run of a folder was trained on; None where an older version trained it.

  Raises:
    InputError: the file is damaged.
  """
  path = pathlib.Path(workdir) / FILE
  if not path.is_file():
    return None
  try:
    trained = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(trained, dict) or not all(isinstance(films, dict) for films in trained.values()):
      raise ValueError("it holds something else")
    return trained
  except ValueError as error:
    raise InputError(f"{path} is damaged ({error}): remove it, and overlaps cannot be told any more") from error


def write(workdir: pathlib.Path, trained: Trained) -> None:
  """Writes the file `FILE` of a run's folder, whole or not at all.

  Args:
    workdir: the folder.
    trained: data set -> its files, each with its digest.
  """
  write_text(workdir / FILE, json.dumps(trained) + "\n")
