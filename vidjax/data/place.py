"""Where a published data set comes from, and its annotation files, found and read with errors that say so."""

import csv
import dataclasses
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from vidjax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Place:
  """Where a data set comes from, and how its files lie.

  Attributes:
    name: of the data set.
    url: the official page.
    layout: the files below --source, in words.
  """

  name: str
  url: str
  layout: str

  def error(self, what: str) -> InputError:
    """The error that something is missing or wrong, with the layout and where to get it."""
    return InputError(f"{what}; {self.name} is read from {self.layout} below --source: see {self.url}")

  def find(self, source: pathlib.Path, *names: str) -> pathlib.Path:
    """The file that has one of these names, at most two folders below `source`, the first name first.

    Args:
      source: the folder.
      names: the file's names, with wildcards.

    Raises:
      InputError: there is none, or there are two of one name.
    """
    found = self.find_all(source, *names)
    if not found:
      raise self.error(f"{source} has no {' or '.join(names)}")
    if len(found) > 1:
      raise self.error(f"{found[0]} and {found[1]} are the same annotations twice: move one of them out")
    return found[0]

  def find_all(self, source: pathlib.Path, *names: str) -> list[pathlib.Path]:
    """All files of the first of these names that any has, those at the least depth.

    Args:
      source: the folder.
      names: the files' names, with wildcards.
    """
    if not source.is_dir():
      raise self.error(f"--source={source} is no folder")
    for name in names:
      for depth in ("", "*/", "*/*/"):  # a folder of frames for each video: 100,000 at the second depth
        found = [path for path in sorted(source.glob(depth + name)) if path.is_file()]
        if found:
          return found
    return []

  def lines(self, path: pathlib.Path) -> Iterator[tuple[str, str]]:
    """The lines of a text file that are not blank, each with its place, as ("list.txt, line 3", "a.avi 1")."""
    for number, line in enumerate(self._text(path).splitlines(), 1):
      if line.strip():
        yield f"{path.name}, line {number}", line.strip()

  def table(self, path: pathlib.Path, separator: str = ",") -> Iterator[tuple[str, list[str]]]:
    """The rows of a CSV file, each with its place.

    Args:
      path: the file.
      separator: of its columns.
    """
    reader = csv.reader(self._text(path).splitlines(), delimiter=separator)
    for row in reader:
      if any(cell.strip() for cell in row):
        yield f"{path.name}, line {reader.line_num}", [cell.strip() for cell in row]

  def json(self, path: pathlib.Path, kind: type) -> Any:
    """What a JSON file holds.

    Args:
      path: the file.
      kind: list or dict.

    Raises:
      InputError: it is no JSON, as after half a download, or of another kind.
    """
    try:
      found = json.loads(self._text(path))
    except ValueError as error:
      raise self.error(f"{path} is damaged ({error}): download it again") from error
    if not isinstance(found, kind):
      raise self.error(f"{path} holds a {type(found).__name__}, not a {kind.__name__}")
    return found

  def _text(self, path: pathlib.Path) -> str:
    try:
      return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
      raise self.error(f"{path} cannot be read ({error}): download it again") from error
