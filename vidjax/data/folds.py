"""Folds: one stored copy of the records, and which of them are the splits of each fold (folds.json)."""

import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from vidjax.errors import InputError

FILE = "folds.json"
"""Beside the records: fold -> split -> numbers of the records."""

Folds = dict[str, dict[str, list[int]]]


def write(folder: pathlib.Path, kept: Sequence[Mapping[str, Any]]) -> None:
  """Writes `FILE`.

  Args:
    folder: of the records.
    kept: the films of the one stored split in their order: `clips`, the number of its records, and `folds`,
      fold -> split.
  """
  found: Folds = {}
  first = 0
  for entry in kept:
    numbers = range(first, first + entry["clips"])
    first = numbers.stop
    for fold, split in entry["folds"].items():
      found.setdefault(fold, {}).setdefault(split, []).extend(numbers)
  ordered = {fold: dict(sorted(found[fold].items(), key=lambda pair: pair[0] != "train")) for fold in sorted(found)}
  (folder / FILE).write_text(json.dumps(ordered) + "\n", encoding="utf-8")


def read(folder: pathlib.Path) -> Folds:
  """What `write` wrote; empty for a data set without folds."""
  path = folder / FILE
  return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def choose(name: str, folds: Folds, fold: int | None) -> dict[str, list[int]]:
  """The splits of a fold, empty for a data set without folds.

  Args:
    name: of the data set.
    folds: of it.
    fold: the one that is asked for.

  Raises:
    InputError: there is no such fold, or none is named and there are several.
  """
  known = ", ".join(folds)
  if fold is None and folds:
    raise InputError(f"{name} has the folds {known}: name one, as in --config.data.fold={next(iter(folds))}")
  if fold is not None and str(fold) not in folds:
    there = f"it has {known}" if folds else "it has no folds, so leave data.fold out"
    raise InputError(f"{name} has no fold {fold}: {there}")
  return folds[str(fold)] if folds else {}


def digest(stored: str, numbers: Sequence[int]) -> str:
  """SHA-256 of what the split of a fold holds.

  Args:
    stored: that of the stored split.
    numbers: of its records.
  """
  return hashlib.sha256(f"{stored} {list(numbers)}".encode()).hexdigest()
