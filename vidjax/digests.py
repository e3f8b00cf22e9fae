"""SHA-256 of files, stored beside them: a byte that changed on disk shows when they are read."""

import hashlib
import json
import pathlib
from collections.abc import Iterable

from vidjax.files import write_text

FILE = "digests.json"


def of_files(folder: pathlib.Path, names: Iterable[str]) -> dict[str, str]:
  """Name -> SHA-256 of files below a folder.

  Args:
    folder: where the files lie.
    names: their paths from the folder.
  """
  digests = {}
  for name in names:
    with (folder / name).open("rb") as file:
      digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
  return digests


def write(folder: pathlib.Path, digests: dict[str, str]) -> None:
  """Writes `digests.json`, whole or not at all.

  Args:
    folder: where it goes.
    digests: name -> SHA-256, from `of_files`.
  """
  write_text(folder / FILE, json.dumps(digests, indent=1) + "\n")


def read(folder: pathlib.Path) -> dict[str, str] | None:
  """The stored digests; None where there are none, as in folders of older versions.

  Raises:
    ValueError: the file is damaged.
  """
  if not (folder / FILE).is_file():
    return None
  digests = json.loads((folder / FILE).read_text(encoding="utf-8"))
  if not isinstance(digests, dict) or not all(isinstance(digest, str) for digest in digests.values()):
    raise ValueError(f"{FILE} holds something else")
  return digests


def check(folder: pathlib.Path, digests: dict[str, str]) -> None:
  """Compares files with their digests.

  Args:
    folder: where the files lie.
    digests: name -> SHA-256 as it was written.

  Raises:
    ValueError: a file is gone or not as it was written.
  """
  for name, digest in digests.items():
    if not (folder / name).is_file():
      raise ValueError(f"{name} is missing")
    if of_files(folder, [name])[name] != digest:
      raise ValueError(f"{name} is not as it was written")
