"""Published numbers of trainings, derived again: their own commands in a fresh folder, and both numbers side by side.

`experiments/results/results.csv` has a line for each number, with its command, seed and commit, and the digest of its
manifest in `manifests.json` beside it.
"""

import csv
import json
import pathlib
import shlex
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from vidjax.errors import InputError
from vidjax.run.folder import run_folder

RESULTS = pathlib.Path("experiments/results/results.csv")
NUMBER = "top-1 %"
"""The number that a report of any training holds; others, such as "training top-1 %", need the table's own command."""
ROUNDING = 0.05
"""Points by which two accuracies may differ as they are written."""
WORKDIR = "--workdir="
PLACES = (WORKDIR, "--config.data.dir=")
"""How flags begin that say where things lie."""
START = ("python", "-m")
NEXT = "&&"


class Published(NamedTuple):
  """A published number.

  Attributes:
    name: table, row and column, as `python -m vidjax.verify` takes it.
    seed: of the training.
    number: the accuracy in per cent.
    commit: that was trained.
    manifest: the digest of what it was measured on, "" where there is none.
    commands: module and flags of each, one after the other.
  """

  name: str
  seed: str
  number: float
  commit: str
  manifest: str
  commands: list[list[str]]


def command_line(parts: Sequence[Sequence[str]]) -> str:
  """Commands as `results.csv` has them, for a shell.

  Args:
    parts: module and flags of each, one after the other.
  """
  return f" {NEXT} ".join(shlex.join([*START, *part]) for part in parts)


def commands(line: str) -> list[list[str]]:
  """Module and flags of each command in a line of `command_line`."""
  found: list[list[str]] = [[]]
  for part in shlex.split(line):
    if part == NEXT:
      found.append([])
    else:
      found[-1].append(part)
  return [one[len(START) :] for one in found]


def read(path: pathlib.Path) -> list[Published]:
  """The numbers of single trainings in a file of results. Averaged scores and folds need their table's command.

  Raises:
    InputError: there is no such file, or it is another one.
  """
  try:
    with path.open(newline="", encoding="utf-8") as file:
      rows = list(csv.DictReader(file))
    trained = [
      row for row in rows if row["status"].startswith("trained") and row["column"].rpartition(", ")[2] == NUMBER
    ]
    stated = [
      Published(_name(row), row["seed"], float(row["number"]), row["commit"], row["manifest"], commands(row["command"]))
      for row in trained
    ]
  except FileNotFoundError as error:
    raise InputError(f"{path} is not there: name a file of results by --results=FILE") from error
  except (KeyError, ValueError) as error:
    raise InputError(f"{path} is no file of results ({error}): name another by --results=FILE") from error
  return [
    one for one in stated if len({flag for line in one.commands for flag in line if flag.startswith(WORKDIR)}) == 1
  ]


def _name(row: dict[str, str]) -> str:
  column = row["column"].removesuffix(NUMBER).rstrip(", ")
  return ": ".join(filter(None, (row["table"], row["row"], column)))


def spread(numbers: Sequence[Published], name: str) -> float | None:
  """The largest number of a name less the smallest, over its seeds; None where one seed alone is published.

  Args:
    numbers: all of them.
    name: of a row.
  """
  own = [one.number for one in numbers if one.name == name]
  return max(own) - min(own) if len(own) > 1 else None


def again(one: Published, folder: pathlib.Path, data_dir: str) -> tuple[float, dict[str, Any]]:
  """Runs the commands of a number, and returns the number and the manifest that they give.

  Args:
    one: the published number.
    folder: where to train; it may hold the same training, begun or finished.
    data_dir: where data sets lie.

  Raises:
    InputError: a command fails, such as for want of its data; its last line is repeated.
  """
  for module, *given in one.commands:
    if module not in ("vidjax.train", "vidjax.evaluate"):
      raise InputError(f"{one.name}: {module} is no command that is run here")
    flags = [flag for flag in given if not flag.startswith(PLACES)]
    data = [f"--config.data.dir={data_dir}"] if module == "vidjax.train" else []
    line = [sys.executable, "-m", module, f"{WORKDIR}{folder}", *flags, *data]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
      last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
      raise InputError(f"{shlex.join(line[1:])} ended with code {done.returncode}: {' '.join(last)}")
  reports = sorted((run_folder(folder) / "evaluation").glob("*.json"), key=lambda path: path.stat().st_mtime)
  found = json.loads(reports[-1].read_text(encoding="utf-8"))
  return 100 * found["top1"], found["runs"][0]["manifest"]


def differences(path: pathlib.Path, digest: str, manifest: dict[str, Any]) -> list[str]:
  """The parts of a manifest, but for the parameters, that are not those of the published one.

  Args:
    path: `manifests.json`.
    digest: of the published one; "" where it has none.
    manifest: of now.
  """
  if not digest or not path.is_file():
    return []
  before = json.loads(path.read_text(encoding="utf-8")).get(digest, {})
  return [key for key in before if key not in ("parameters", "vidjax") and before[key] != manifest.get(key)]
