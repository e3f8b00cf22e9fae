"""Finished trainings of a `results.csv`, so that a sweep goes on where one on another machine ended."""

import csv
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from vidjax.errors import InputError
from vidjax.verify.published import PLACES, command_line, commands

ACCURACY = re.compile(r"(?:.*, )?(top-[15] %)")
"""A number of `measures.top1`, in any column."""


def _trained(lines: Sequence[Sequence[str]]) -> list[list[str]]:
  """Commands without what says where things lie, which does not change what is trained."""
  return [[part for part in line if not part.startswith(PLACES)] for line in lines]


class Known:
  """The trainings of a folder with `results.csv` and `manifests.json`."""

  def __init__(self, folder: pathlib.Path):
    """Reads them.

    Args:
      folder: such as `experiments/results`.

    Raises:
      InputError: it has no such files, or files of another form.
    """
    try:
      with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        self._lines = [one for one in csv.DictReader(file) if one["status"].startswith("trained")]
      self._commands = [command_line(_trained(commands(one["command"]))) for one in self._lines]
      self._manifests = json.loads((folder / "manifests.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
      raise InputError(f"--known={folder}: {error.filename} is not there") from error
    except (KeyError, ValueError) as error:
      raise InputError(f"--known={folder} has no results of this version: {error}") from error

  def find(self, wanted: Mapping[str, Any], names: str, elsewhere: bool = False) -> dict[str, Any] | None:
    """What a sweep stores of a finished training, or None where it is not known, or by another command.

    Args:
      wanted: table, row, column, scale, seed and command of it.
      names: what comes before the names of its numbers in `results.csv`: the column and ", ", or "".
      elsewhere: where it is not known, take the accuracies of a row of any table by the same command.
    """
    status, command = f"trained {wanted['scale']}", command_line(_trained(wanted["command"]))
    lines = zip(self._lines, self._commands, strict=True)
    alike = [one for one, own in lines if own == command and one["status"] == status]
    here = {"table": wanted["table"], "row": wanted["row"], "seed": str(wanted["seed"])}
    found = {
      one["column"].removeprefix(names): one
      for one in alike
      if here.items() <= one.items() and one["column"].startswith(names)
    }
    own = bool(found)
    if not own and elsewhere:
      lines = [(match[1], one) for one in alike if (match := ACCURACY.fullmatch(one["column"]))]
      found = {name: one for name, one in lines if all(one[key] == lines[0][1][key] for key in ("table", "row"))}
    if not found:
      return None
    first = next(iter(found.values()))
    return {
      **wanted,
      "numbers": {name: float(one["number"]) for name, one in found.items()},
      "manifest": self._manifests.get(first["manifest"], {}),
      "commit": first["commit"],
      "machine": first["machine"],
      "seconds": int(first["seconds"]) if own and first.get("seconds") else None,  # elsewhere they count already
      "cores": int(first["cores"]) if first.get("cores") else 1,
      "date": first["date"],
    }
