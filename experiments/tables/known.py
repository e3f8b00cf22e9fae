"""Finished trainings of a `results.csv`, so that a sweep goes on where one on another machine ended."""

import csv
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from vidjax.errors import InputError

PLACES = re.compile(r" --(workdir|config\.data\.dir)=\S+")
"""Flags that say where things lie; they do not change what is trained."""


def line(commands: Sequence[Sequence[str]]) -> str:
  """Commands as `results.csv` has them.

  Args:
    commands: one after the other.
  """
  return "; ".join("python -m " + " ".join(command) for command in commands)


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
      self._manifests = json.loads((folder / "manifests.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
      raise InputError(f"--known={folder}: {error.filename} is not there") from error
    except (KeyError, ValueError) as error:
      raise InputError(f"--known={folder} has no results of this version: {error}") from error

  def find(self, wanted: Mapping[str, Any], names: str) -> dict[str, Any] | None:
    """What a sweep stores of a finished training, or None where it is not known, or by another command.

    Args:
      wanted: table, row, column, scale, seed and command of it.
      names: what comes before the names of its numbers in `results.csv`: the column and ", ", or "".
    """
    here = {"table": wanted["table"], "row": wanted["row"], "status": f"trained {wanted['scale']}"}
    here |= {"seed": str(wanted["seed"])}
    command = PLACES.sub("", line(wanted["command"]))
    found = [
      one
      for one in self._lines
      if here.items() <= one.items() and one["column"].startswith(names) and PLACES.sub("", one["command"]) == command
    ]
    if not found:
      return None
    first = found[0]
    return {
      **wanted,
      "numbers": {one["column"].removeprefix(names): float(one["number"]) for one in found},
      "manifest": self._manifests.get(first["manifest"], {}),
      "commit": first["commit"],
      "machine": first["machine"],
      "seconds": int(first["seconds"]) if first.get("seconds") else None,
      "cores": int(first["cores"]) if first.get("cores") else 1,
      "date": first["date"],
    }
