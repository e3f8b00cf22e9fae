"""Names of the classes: their order, a file that gives it, and labels that are numbers into it."""

import json
import pathlib
import re
from collections.abc import Collection, Sequence

from vidjax.errors import InputError


def order(labels: Collection[str]) -> list[str]:
  """The class names in their order: by number where all are whole numbers, else by their text."""
  if all(re.fullmatch(r"-?\d+", label, re.ASCII) for label in labels):
    return sorted(set(labels), key=lambda label: (int(label), label))
  return sorted(set(labels))


def read(path: pathlib.Path) -> dict[str, str]:
  """The classes of a file in its order: number, as a label may give it -> name.

  One name a line, numbered from 0 on, or all lines as "NUMBER NAME" with numbers from 0 or 1 on (UCF101's
  classInd.txt); or JSON, a list of names or a mapping of names to numbers (Something-Something's labels).

  Raises:
    InputError: no such file, nothing in it, numbers with gaps, or a name twice.
  """
  try:
    text = path.read_text(encoding="utf-8-sig")
  except (OSError, UnicodeDecodeError) as error:
    reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
    raise InputError(f"--classes={path} cannot be read ({reason}): name a file with one class name a line") from error
  found = _from_json(path, text) if path.suffix.lower() == ".json" else _from_lines(text)
  names = list(found.values())
  twice = sorted({name for name in names if names.count(name) > 1})
  if not names or twice:
    raise InputError(f"--classes={path} {f'names {twice[0]!r} twice' if twice else 'holds no class name'}")
  return found


def numbered(names: Sequence[str], first: int = 0) -> dict[str, str]:
  """Number -> name, the numbers as text.

  Args:
    names: in their order.
    first: the number of the first one.
  """
  return {str(number): name for number, name in enumerate(names, first)}


def _from_lines(text: str) -> dict[str, str]:
  lines = [line.strip() for line in text.splitlines() if line.strip()]
  matches = [match for line in lines if (match := re.fullmatch(r"(\d+)[\s,;]+(\S.*)", line))]
  numbers = [int(match[1]) for match in matches]
  for first in (0, 1):
    if matches and numbers == list(range(first, first + len(lines))):
      return numbered([match[2] for match in matches], first)
  return numbered(lines)


def _from_json(path: pathlib.Path, text: str) -> dict[str, str]:
  try:
    found = json.loads(text)
    if isinstance(found, dict):
      names = {int(number): name for name, number in found.items()}
      if sorted(names) != list(range(len(found))):
        raise ValueError("the numbers must run from 0 on without a gap")
      return numbered([names[number] for number in range(len(found))])
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
      raise ValueError("neither a list of names nor a mapping of names to numbers")
    return numbered(found)
  except (ValueError, TypeError) as error:
    raise InputError(f"--classes={path}: {error}") from error
