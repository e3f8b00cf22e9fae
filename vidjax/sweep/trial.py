"""One trial: the training command in a process of its own, watched by its `metrics.jsonl`."""

import math
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vidjax.errors import EXIT_INTERRUPTED, EXIT_NOT_FINITE, EXIT_SIGTERM, EXIT_TERMINATED
from vidjax.run.children import POLL, Stop, end_process, in_use
from vidjax.run.folder import read_phases
from vidjax.run.metrics import read_history
from vidjax.sweep.study import Claimed, metric_missing

DEATHS = 2
"""Times that a training may be killed before its trial counts as failed."""


class Ended(NamedTuple):
  """How a trial ended.

  Attributes:
    state: "COMPLETE", "PRUNED", "FAIL" or "STOPPED", which the same command resumes.
    value: the best of its validations, None where it has none.
    why: in words, "" of a complete one.
  """

  state: str
  value: float | None
  why: str = ""


def run_trial(
  claimed: Claimed, command: Sequence[str], metric: str, environment: Mapping[str, str], stop: Stop
) -> Ended:
  """Runs a trial to its end, or to where it is pruned or stopped.

  Args:
    claimed: the trial.
    command: of the training.
    metric: see `Study`.
    environment: of its process.
    stop: ends it early.

  Raises:
    InputError: the training does not report the metric; it is ended.
  """
  log = claimed.folder.with_suffix(".log")
  while in_use(claimed.folder):  # by the training of a sweep that was killed
    if stop.asked.wait(POLL):
      return Ended("STOPPED", None)
  for death in range(1, DEATHS + 1):
    with log.open("a", encoding="utf-8") as file:
      file.write(f"$ {' '.join(command)}\n")
      file.flush()
      process = subprocess.Popen(command, stdout=file, stderr=file, env=dict(environment), start_new_session=True)
    try:
      pruned = _watch(process, claimed, metric, stop)
    finally:
      end_process(process, stop)
    code, values = process.returncode, validations(claimed.folder, metric)
    best = max(values, key=lambda x: -x if metric.startswith("-") else x, default=None)
    if pruned and code == EXIT_TERMINATED:
      return Ended("PRUNED", None, f"pruned after {len(values)} validations")
    if code == 0 and best is not None:
      return Ended("COMPLETE", best)
    if code == EXIT_NOT_FINITE or code == 0:
      return Ended("PRUNED", None, "diverged: the loss is not finite")
    if stop.asked.is_set() or code in (EXIT_TERMINATED, EXIT_INTERRUPTED, EXIT_SIGTERM):
      return Ended("STOPPED", None)
    if code > 0 or death == DEATHS:
      break
  last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-1]
  return Ended("FAIL", None, f"code {code}: {last}")


def _watch(process: subprocess.Popen, claimed: Claimed, metric: str, stop: Stop) -> bool:
  """Waits for a training and reports its validations to the study; whether it should be pruned."""
  known = max(claimed.trial.storage.get_trial(claimed.trial._trial_id).intermediate_values, default=0)
  while True:
    over = process.poll() is not None
    values = validations(claimed.folder, metric)
    for number, value in enumerate(values[known:], start=known + 1):
      claimed.trial.report(value, number)
      known = number
      if not over and claimed.trial.should_prune():
        return True
    if over or stop.asked.wait(POLL):
      return False


def validations(folder: pathlib.Path, metric: str) -> list[float]:
  """The finite values of a metric in the validations of a run, of a training in phases those of its last phase.

  Args:
    folder: of the run.
    metric: see `Study`.

  Raises:
    InputError: the validations have no such number.
  """
  phases = read_phases(folder)
  history = read_history(folder / phases[-1] if phases else folder)
  name = metric.removeprefix("-")
  if history and name not in history[-1]:
    raise metric_missing(metric, sorted(history[-1]))
  return [one[name] for one in history if name in one and math.isfinite(one[name])]


def training(config: str, flags: Sequence[str], folder: pathlib.Path) -> list[str]:
  """The command that trains a trial.

  Args:
    config: "FILE.py[:argument]".
    flags: of the config and of the training.
    folder: of the run.
  """
  alone = "--num_processes=1"  # the tasks of a scheduler are sweeps that share a folder, not one training
  return [sys.executable, "-m", "vidjax.train", f"--config={config}", f"--workdir={folder}", alone, *flags]
