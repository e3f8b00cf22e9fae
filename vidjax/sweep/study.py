"""The study of a sweep: Optuna's journal in a folder that several commands may share, and which trial is whose."""

import contextlib
import dataclasses
import fcntl
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vidjax.build import nearest
from vidjax.errors import InputError
from vidjax.run.folder import FREE, flatten, make_folder, told
from vidjax.sweep.space import Dimension

NAME = "sweep"
STARTUP = 4
"""Trials that end before the first one is pruned."""


def optuna() -> Any:
  """The library; InputError where it is not installed."""
  try:
    import optuna
  except ModuleNotFoundError as error:
    raise InputError(f"sweeps need {error.name}: pip install -e '.[sweep]'") from None
  optuna.logging.set_verbosity(optuna.logging.WARNING)
  return optuna


@dataclasses.dataclass(frozen=True)
class Claimed:
  """A trial that this process alone runs, until `lock` is closed.

  Attributes:
    number: of the trial, from 0.
    trial: of Optuna.
    values: key -> value.
    folder: of its run.
    resumed: it was begun before.
    lock: held.
  """

  number: int
  trial: Any
  values: Mapping[str, Any]
  folder: pathlib.Path
  resumed: bool
  lock: Any


class Study:
  """A study in a folder, made where there is none.

  Args:
    out: the folder.
    space: what is tried.
    metric: name of a validation's number, with "-" before it where less is better.
    prune: whether hopeless trials are stopped.
    seed: of the choice of values.

  Raises:
    InputError: Optuna is missing.
  """

  def __init__(self, out: pathlib.Path, space: Sequence[Dimension], metric: str, prune: bool, seed: int):
    self.out, self.space, self.metric, self.prune, self.seed = out, space, metric, prune, seed
    self._optuna = optuna()
    make_folder(out / "trials")
    from optuna.storages.journal import JournalFileBackend

    self._storage = self._optuna.storages.JournalStorage(JournalFileBackend(str(out / "journal.log")))
    with self._alone():
      self.load(0, create=True)

  def load(self, number: int = 0, create: bool = False) -> Any:
    """Optuna's study, whose next values depend on the seed, this number and the trials so far.

    Args:
      number: of the trial to come.
      create: make it where there is none.
    """
    pruner = self._optuna.pruners.MedianPruner(STARTUP) if self.prune else self._optuna.pruners.NopPruner()
    seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
    more = {"direction": "minimize" if self.metric.startswith("-") else "maximize", "load_if_exists": True}
    call = self._optuna.create_study if create else self._optuna.load_study
    sampler = self._optuna.samplers.TPESampler(seed=seed)
    return call(study_name=NAME, storage=self._storage, sampler=sampler, pruner=pruner, **(more if create else {}))

  def next(self, total: int) -> Claimed | None:
    """A trial that was begun and that nobody runs, or else a new one; None where there are enough.

    Args:
      total: of all trials.
    """
    with self._alone():
      study = self.load()
      trials = study.get_trials(deepcopy=False)
      for frozen in trials:
        if frozen.state == self._optuna.trial.TrialState.RUNNING:
          lock = self._hold(frozen.number)
          if lock is not None:
            trial = self._optuna.trial.Trial(study, frozen._trial_id)
            return self._claimed(frozen.number, trial, True, lock)
      if len(trials) >= total:
        return None
      lock = self._hold(len(trials))  # before it is anybody's
      if lock is None:
        raise InputError(f"{self._lock(len(trials))} is held by another program: end it")
      try:
        trial = self.load(len(trials)).ask()
        return self._claimed(trial.number, trial, False, lock)
      except BaseException:
        lock.close()
        raise

  def _claimed(self, number: int, trial: Any, resumed: bool, lock: Any) -> Claimed:
    values = {dimension.key: dimension.suggest(trial) for dimension in self.space}
    return Claimed(number, trial, values, self.out / "trials" / f"{number:04d}", resumed, lock)

  def tell(self, claimed: Claimed, value: float | None, state: str, why: str = "") -> None:
    """Stores how a trial ended, and lets go of it.

    Args:
      claimed: the trial.
      value: of the metric; None where it has none.
      state: "COMPLETE", "PRUNED" or "FAIL".
      why: for the table.
    """
    if why:
      claimed.trial.set_user_attr("why", why)
    self.load().tell(claimed.number, value, self._optuna.trial.TrialState[state])
    claimed.lock.close()

  def _lock(self, number: int) -> pathlib.Path:
    return self.out / "trials" / f"{number:04d}.lock"

  def _hold(self, number: int) -> Any:
    """The open lock of a trial; None where another process, or thread, holds it."""
    lock = self._lock(number).open("w")
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      lock.close()
      return None
    return lock

  @contextlib.contextmanager
  def _alone(self) -> Iterator[None]:
    """A block that one process, and one thread, enters at a time."""
    with (self.out / ".lock").open("w") as lock:
      fcntl.flock(lock, fcntl.LOCK_EX)
      yield


def claim_folder(out: pathlib.Path, config: Mapping[str, Any], space: Sequence[Dimension], **rest: Any) -> None:
  """Writes what a folder's sweep is, or compares it with what was written.

  Args:
    out: the folder.
    config: of all trials.
    space: what is tried.
    **rest: further settings that all commands on the folder must share.

  Raises:
    InputError: another sweep lies in the folder; the message says in what it differs.
  """
  make_folder(out)
  new = {**rest, "space": {dimension.key: str(dimension) for dimension in space}, "config": dict(config)}
  path = out / "sweep.json"
  with (out / ".lock").open("w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not path.exists():
      partial = path.with_suffix(".partial")
      partial.write_text(json.dumps(new, indent=1) + "\n", encoding="utf-8")
      partial.replace(path)
      return
  try:
    old = json.loads(path.read_text(encoding="utf-8"))
  except ValueError as error:
    raise InputError(f"{path} is damaged ({error}): choose another --out") from error
  was, now = (flatten(one) for one in (old, json.loads(json.dumps(new))))
  free = tuple(f"config.{key}" for key in FREE)
  changed = [key for key in {**was, **now} if was.get(key) != now.get(key) and not key.startswith(free)]
  if changed:
    raise InputError(f"{out} holds another sweep ({told(was, now, changed)}): choose another --out")


def metric_missing(metric: str, found: Sequence[str]) -> InputError:
  """The error for a metric that a validation lacks.

  Args:
    metric: as `--metric` names it.
    found: the names it has.
  """
  hint = nearest(metric.lstrip("-"), found)
  return InputError(f"--metric={metric}: the run reports {', '.join(found)}{hint or ':'} choose another --out for it")
