"""The training loop: one for every network. It receives what it works on and names none of it."""

import contextlib
import math
import os
import signal
import threading
import time
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from vidjax.apply.processes import gather_rows
from vidjax.apply.sharding import put_batch
from vidjax.errors import EXIT_NOT_FINITE, EXIT_TERMINATED, InputError, Terminated, TrainingStopped, tidy_at_sigterm
from vidjax.recipe import Recipe
from vidjax.run.checkpoint import Checkpoints
from vidjax.train.log import MetricsLog, Progress
from vidjax.train.plateau import set_factor
from vidjax.train.trainer import Trainer
from vidjax.types import State


class Loader(Protocol):
  """Endless batches by number, as `vidjax.data.loader.TrainLoader`."""

  @property
  def batches_per_epoch(self) -> int:
    """Whole batches in an epoch."""
    ...

  def batches(self, start: int = 0) -> Generator[Mapping[str, np.ndarray], None, None]:
    """Batches from number `start` on."""
    ...

  def names(self, batch: Mapping[str, np.ndarray]) -> list[str]:
    """The ids of a batch's videos."""
    ...


class Validation(NamedTuple):
  """What is measured on the validation split.

  Attributes:
    numbers: by name; "top1" chooses the best checkpoint.
    pictures: uint8 `[H, W, 3]` by name.
  """

  numbers: Mapping[str, float]
  pictures: Mapping[str, np.ndarray] = {}


class Step(NamedTuple):
  """A step of training that was given to the device.

  Attributes:
    number: updates done with it, from 1.
    state: behind it; valid until the next step is asked for, which donates its arrays.
    metrics: named numbers, which may still be computing.
    batch: on the host.
    waited: seconds the loader took for it.
  """

  number: int
  state: State
  metrics: Mapping[str, jax.Array]
  batch: Mapping[str, np.ndarray]
  waited: float


def steps(
  trainer: Trainer, state: State, loader: Loader, change: Callable[[State, int], State] = lambda state, _: state
) -> Generator[Step, None, None]:
  """Trains from the step of a state to the last one, step by step; close it to stop the loader.

  Args:
    trainer: from `make_trainer`.
    state: fresh (`trainer.init()`) or restored; its arrays are donated.
    loader: of training batches; batch i is that of step i + 1.
    change: called with the state and the number of updates done before each step, gives the state to train from.
  """
  start = int(state.step)
  with contextlib.closing(loader.batches(start)) as batches:
    for number in range(start + 1, trainer.total + 1):
      before = time.perf_counter()
      host = next(batches)
      waited = time.perf_counter() - before
      batch = put_batch({name: host[name] for name in trainer.reads}, trainer.mesh)
      state, metrics = trainer.step(change(state, number - 1), batch, trainer.key)
      yield Step(number, state, metrics, host, waited)


def fit(
  trainer: Trainer,
  state: State,
  loader: Loader,
  recipe: Recipe,
  *,
  checkpoints: Checkpoints,
  log: MetricsLog,
  history: list[dict[str, float]],
  evaluate: Callable[[State], Validation],
  show_batch: Callable[[Mapping[str, np.ndarray]], None] | None = None,
  refresh: Callable[[State], State] | None = None,
) -> State:
  """Runs `steps` with log, validation and checkpoints.

  A run that was stopped when its state was due for validation is validated first.

  Args:
    trainer: from `make_trainer`.
    state: fresh or restored; its arrays are donated to the train step.
    loader: of training batches.
    recipe: whose settings say when to validate, to save and to log; its config is stored in every checkpoint.
    checkpoints: where the state goes.
    log: where the numbers go.
    history: the validations so far, for `train.stop`; those to come are added.
    evaluate: validates a state; its numbers are logged under "validation/".
    show_batch: called with the first batch on the host.
    refresh: changes the state before the first step of every epoch.

  Raises:
    TrainingStopped: after SIGTERM, once the state is saved; or at a loss that is not finite, with nothing saved since.
  """
  settings, per_epoch = recipe.settings, loader.batches_per_epoch
  start, total, plateau = int(state.step), trainer.total, recipe.plateau
  factor = 1.0  # of the learning rate, by the validations so far
  trained_with: float | None = None
  pending: Step | None = None

  def lowered(state: State) -> State:
    return state if plateau is None or factor == trained_with else set_factor(state, factor)

  def change(state: State, done: int) -> State:
    nonlocal trained_with
    state, trained_with = lowered(state), factor
    return refresh(state) if refresh is not None and done % per_epoch == 0 else state

  with (
    _Termination() as terminated,
    Progress(total, start, jax.process_index() == 0) as progress,
    contextlib.closing(steps(trainer, state, loader, change)) as running,
  ):

    def judge(state: State, step: int) -> Mapping[str, float]:
      validation, pictures = evaluate(state)
      log.write(step, {f"validation/{name}": float(value) for name, value in validation.items()})
      for name, picture in pictures.items():
        log.picture(step, name, picture)
      history.append({name: float(value) for name, value in validation.items()})
      shown = "  ".join(f"{name} {value:.4g}" for name, value in validation.items())
      progress.say(f"epoch {step / per_epoch:.4g}  validation  {shown}")
      follow()
      return validation

    def follow() -> None:
      nonlocal factor
      factor = 1.0 if plateau is None else plateau.scale(history, recipe.task.metric)

    def ends(step: int) -> bool:
      if settings.stop is None or not settings.stop(history):
        return False
      progress.say(f"train.stop: {settings.stop} ends the training after step {step} of {total}")
      return True

    follow()

    if start and settings.validates(start, per_epoch) and not checkpoints.judged(start):
      checkpoints.judge(start, judge(state, start))
      if ends(start):
        return state
    waited, since, since_step = 0.0, time.perf_counter(), start
    for one in running:
      step, state = one.number, one.state
      waited += one.waited
      if step == start + 1 and show_batch is not None:
        show_batch(one.batch)
      if pending is not None:
        _read(pending, loader)  # one step behind, so that the device always has work
      pending = one._replace(state=None, batch={name: one.batch[name] for name in ("index", "mask")})

      stop = terminated(step)
      validate = settings.validates(step, per_epoch)
      checkpoint = validate or stop or (settings.checkpoint_every and step % settings.checkpoint_every == 0)
      if step % settings.log_every == 0 or step == total or step == start + 1 or checkpoint:
        numbers = _read(pending, loader)
        numbers["batch_crc32"] = _fingerprint(pending.batch)
        pending = None
        now = time.perf_counter()
        numbers["epoch"] = step / per_epoch
        numbers["learning_rate"] = float(np.asarray(trainer.schedule(step - 1))) * factor
        if step == start + 1:
          speed = f"compiled and done in {now - since:.0f} s"
        else:
          numbers["clips_per_second"] = (step - since_step) * settings.batch_size / (now - since)
          numbers["data_wait"] = waited / (now - since)
          speed = f"{numbers['clips_per_second']:.0f} clips/s  data wait {numbers['data_wait']:.0%}"
        log.write(step, numbers)
        short = "  ".join(f"{name} {numbers[name]:.3g}" for name in ("loss", recipe.task.metric) if name in numbers)
        progress.note(step, f"{short}  {speed}")
        waited, since, since_step = 0.0, now, step
      progress.step(step)

      validation = None
      if validate and not stop:
        try:
          validation = judge(state, step)
        except InputError:  # a record that cannot be read costs no step
          checkpoints.save(state, step, recipe.config, None)
          checkpoints.close()
          raise
        stop = terminated.alone()  # the validation took long
      if checkpoint:
        checkpoints.save(lowered(state), step, recipe.config, validation)
        waited, since, since_step = 0.0, time.perf_counter(), step
      if validation is not None and ends(step):
        break
      if stop:
        checkpoints.close()
        raise TrainingStopped(
          f"stopped by {stop} after step {step} of {total}; saved: the same command resumes it", EXIT_TERMINATED
        )
  return state


def _fingerprint(batch: Mapping[str, np.ndarray]) -> int:
  """The CRC-32 of the record numbers of a batch of all processes, in the order in which one would read them."""
  index, mask = gather_rows(batch["index"]), gather_rows(batch["mask"])
  return zlib.crc32(np.concatenate([index[mask], index[~mask]]).astype(np.int32).tobytes())


def _read(step: Step, loader: Loader) -> dict[str, float]:
  """Waits for a step and returns its numbers; raises TrainingStopped where a loss is not finite."""
  numbers = {name: float(value) for name, value in step.metrics.items()}
  for name, value in numbers.items():
    if name.startswith(("loss", "gradient_norm")) and not math.isfinite(value):
      raise TrainingStopped(
        f"{name} is {value} at step {step.number}, on the videos {', '.join(loader.names(step.batch))}; the last"
        " checkpoint is unharmed. Look at these videos; in a new --workdir lower schedule.learning_rate or set"
        " optimizer.clip_norm (--config.init.workdir=RUN starts from this run)",
        EXIT_NOT_FINITE,
      )
  return numbers


@contextlib.contextmanager
def stops_at_sigterm(when: str) -> Iterator[None]:
  """A block before or behind the loop that SIGTERM leaves at once, by a TrainingStopped.

  Of several processes JAX's own handler notes the signal, and all stop after the next step.

  Args:
    when: of the message, as "before the first step".
  """
  if jax.process_count() > 1:
    yield
    return
  try:
    with tidy_at_sigterm():
      yield
  except Terminated:
    raise TrainingStopped(f"stopped by SIGTERM {when}: the same command resumes it", EXIT_TERMINATED) from None


class _Termination:
  """Notes SIGTERM or Ctrl-C while training runs: the loop stops between two steps, in every process at the same one.

  A second Ctrl-C stops at once, and saves nothing.
  """

  def __init__(self):
    self._noted = ""
    self._previous: dict[signal.Signals, Any] = {}
    self._several = jax.process_count() > 1
    self._main = threading.current_thread() is threading.main_thread()

  def __call__(self, step: int) -> str:
    """The name of the signal that asks to stop, or an empty string."""
    if self._several:
      from jax.experimental import multihost_utils

      return (self._noted or "SIGTERM") if multihost_utils.reached_preemption_sync_point(step) else ""
    return self._noted

  def alone(self) -> str:
    """The name of the signal that has asked the only process to stop; several ask each other at the next step."""
    return "" if self._several else self._noted

  def __enter__(self) -> "_Termination":
    if self._main:  # of several processes JAX's own handler of SIGTERM tells the others
      for number in (signal.SIGINT,) if self._several else (signal.SIGTERM, signal.SIGINT):
        self._previous[number] = signal.signal(number, self._note)
    return self

  def _note(self, number: int, _frame: Any) -> None:
    self._noted = signal.Signals(number).name
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if self._several:
      os.kill(os.getpid(), signal.SIGTERM)

  def __exit__(self, *_: Any) -> None:
    for number, handler in self._previous.items():
      signal.signal(number, handler)
