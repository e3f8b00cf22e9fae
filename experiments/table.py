"""A table of trainings: every row is a config and flags, trained by the real command with several seeds."""

import dataclasses
import json
import math
import pathlib
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from absl import flags

from vidjax.console import say
from vidjax.errors import InputError
from vidjax.run.folder import run_folder

Measure = Callable[[pathlib.Path], Mapping[str, float]]
"""A run's folder -> named numbers, the columns of the table."""


@dataclasses.dataclass(frozen=True)
class Row:
  """A training.

  Attributes:
    name: of the row, and of the folders of its runs.
    config: as `--config` of vidjax.train.
    flags: of the command.
  """

  name: str
  config: str
  flags: Sequence[str] = ()


def top1(folder: pathlib.Path, report: str = "validation") -> dict[str, float]:
  """The accuracy in a report of a run, in per cent; after training there is that of the best checkpoint."""
  return {"top-1 %": 100 * json.loads((run_folder(folder) / "evaluation" / f"{report}.json").read_text())["top1"]}


def last_mean(folder: pathlib.Path, key: str, count: int = 5) -> float:
  """Mean of the last logged values of a training metric."""
  lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
  return statistics.mean([line[key] for line in lines if key in line][-count:])


def define_flags(epochs: float) -> None:
  """The flags every table has."""
  flags.DEFINE_string("out", None, "Folder for the runs and the table.")
  flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds of the trainings.")
  flags.DEFINE_float("epochs", epochs, "Epochs of each.")
  flags.DEFINE_string("data_dir", "data", "Where data sets lie.")
  flags.DEFINE_list("rows", [], "Names of the rows to run (default: all).")


def run_rows(rows: Sequence[Row], measure: Measure = top1) -> dict[str, list[dict[str, float]]]:
  """Trains what is not trained yet; row -> the numbers of each seed. Also writes and prints the table."""
  values = flags.FLAGS
  if not values.out:
    raise InputError("--out=DIR is needed")
  if not values.seeds or not all(seed.isdecimal() for seed in values.seeds):
    raise InputError(f"--seeds={','.join(values.seeds)}: must be numbers from 0 on, as in --seeds=0,1,2")
  unknown = set(values.rows) - {row.name for row in rows}
  if unknown:
    raise InputError(f"--rows names {', '.join(sorted(unknown))}; there are {', '.join(row.name for row in rows)}")
  results: dict[str, list[dict[str, float]]] = {}
  for row in rows:
    if values.rows and row.name not in values.rows:
      continue
    for seed in values.seeds:
      folder = pathlib.Path(values.out) / f"{row.name.replace(' ', '_')}_{seed}"
      command = ["-m", "vidjax.train", f"--config={row.config}", f"--workdir={folder}", f"--config.seed={seed}"]
      command += [f"--config.data.dir={values.data_dir}", f"--config.train.epochs={values.epochs}", *row.flags]
      run(command)
      results.setdefault(row.name, []).append(dict(measure(folder)))
      write_table(pathlib.Path(values.out), results)
  say(write_table(pathlib.Path(values.out), results))
  return results


def run(command: Sequence[str]) -> None:
  """Runs a vidjax command; InputError where it fails."""
  if code := subprocess.run([sys.executable, *command], check=False).returncode:
    raise InputError(f"{' '.join(command)} ended with code {code}: mend what it says above, and this resumes there")


def write_table(out: pathlib.Path, results: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
  """Writes `table.json` and `table.md`, mean and range over the seeds (NaN: nothing to measure); returns the latter."""
  columns = list(next(iter(results.values()))[0])
  lines = [f"| | {' | '.join(columns)} | seeds |", "|---" * (len(columns) + 2) + "|"]
  for name, runs in results.items():
    cells = []
    for column in columns:
      numbers = [run[column] for run in runs]
      spread = f" ({min(numbers):.4g} to {max(numbers):.4g})" if len(numbers) > 1 else ""
      cells.append("" if math.isnan(numbers[0]) else f"{statistics.mean(numbers):.4g}{spread}")
    lines.append(f"| {name} | {' | '.join(cells)} | {len(runs)} |")
  (out / "table.json").write_text(json.dumps(results, indent=2) + "\n")
  text = "\n".join(lines) + "\n"
  (out / "table.md").write_text(text)
  return text
