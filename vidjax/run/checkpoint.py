"""Checkpoints (Orbax): written while training runs, the last and the best kept, and read back with clear errors."""

import contextlib
import errno
import json
import math
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import traverse_util
from jax.experimental import multihost_utils
from orbax.checkpoint import checkpoint_managers

from vidjax import digests
from vidjax.errors import ConfigError, InputError
from vidjax.run.transfer import check_shapes, shapes
from vidjax.types import State, Tree

METRICS = "metrics/metrics"
"""The file of a checkpoint that holds what it was validated with."""


class Checkpoints:
  """The `checkpoints/` folder of a run, for the processes that train it.

  Each checkpoint holds `state` (a State), `data` (the loader's position) and `config`; half-written ones are ignored.
  """

  def __init__(self, workdir: str | pathlib.Path, keep_best: int = 1, metric: str = "top1"):
    """Opens or creates `workdir/checkpoints`, where the last and the best are kept.

    Args:
      workdir: the run's folder.
      keep_best: how many of the best.
      metric: the number of a validation that chooses them, see `types.Task`.
    """

    def best(metrics: Mapping[str, float]) -> float:
      return metrics[metric]

    self._metric = metric
    self._saving: int | None = None
    if jax.process_index() == 0:
      _clean(_folder(workdir))
    for step in _complete(_folder(workdir)):
      with _reading(_folder(workdir) / str(step)):  # Orbax reads the metrics of all, now
        _metrics(_folder(workdir) / str(step))
    keep = checkpoint_managers.AnyPreservationPolicy(
      [
        checkpoint_managers.LatestN(1),
        checkpoint_managers.BestN(get_metric_fn=best, n=keep_best, keep_checkpoints_without_metrics=False),
      ]
    )
    self._manager = ocp.CheckpointManager(
      _folder(workdir),
      options=ocp.CheckpointManagerOptions(
        best_fn=best,
        preservation_policy=keep,
        async_options=ocp.options.AsyncOptions(post_finalization_callback=self._digest),
      ),
      item_handlers={
        "state": ocp.StandardCheckpointHandler(),
        "data": ocp.JsonCheckpointHandler(),
        "config": ocp.JsonCheckpointHandler(),
      },
    )

  @property
  def latest_step(self) -> int | None:
    """The newest complete checkpoint, None where there is none."""
    return max(_complete(pathlib.Path(self._manager.directory)), default=None)

  def save(
    self, state: State, next_batch: int, config: Mapping[str, Any], metrics: Mapping[str, float] | None = None
  ) -> None:
    """Starts writing a checkpoint; training may continue at once. A step already saved is left as it is.

    Args:
      state: to be saved, under its step.
      next_batch: number of the batch that training resumes with.
      config: of the run.
      metrics: numbers of the validation at this step, or None; `judge` adds them later.

    Raises:
      InputError: the disk is full; complete checkpoints stay as they are.
    """
    step = int(state.step)
    if step == self.latest_step:
      return
    needed, free = sum(x.nbytes for x in jax.tree.leaves(state)), shutil.disk_usage(self._manager.directory).free
    if free < needed:
      raise _full(self._manager.directory, f"{free / 1e6:.2f} MB are free, {needed / 1e6:.2f} needed")
    with _writing(self._manager.directory):
      self._manager.wait_until_finished()  # before the next step has its name noted
      self._saving = step
      self._manager.save(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardSave(state),
          data=ocp.args.JsonSave({"next_batch": next_batch}),
          config=ocp.args.JsonSave(dict(config)),
        ),
        metrics=None if metrics is None else {self._metric: self._score(metrics)},
      )

  def _digest(self) -> None:
    """Stores the digests of a checkpoint that is written but has not its final name; Orbax calls it in its thread."""
    if jax.process_index() > 0:
      return
    (folder,) = pathlib.Path(self._manager.directory).glob(f"{self._saving}.orbax-checkpoint-tmp*")
    digests.write(folder, digests.of_files(folder, _files(folder)))

  def _score(self, metrics: Mapping[str, float]) -> float:
    """The number by which the best is chosen, higher is better; one that is not a number is the worst."""
    name = self._metric.removeprefix("-")
    if name not in metrics:
      raise ConfigError(f"task.metric={self._metric!r}: a validation has {', '.join(metrics)}")
    value = float(metrics[name]) * (-1 if name != self._metric else 1)
    return -math.inf if math.isnan(value) else value

  def judged(self, step: int) -> bool:
    """Whether a checkpoint has its validation metrics."""
    return self._manager.metrics(step) is not None

  def judge(self, step: int, metrics: Mapping[str, float]) -> None:
    """Adds the validation metrics of a checkpoint that was saved without them, whole or not at all.

    Args:
      step: of the checkpoint.
      metrics: numbers of the validation; the task's metric must be among them.
    """
    if jax.process_index() == 0:
      partial = pathlib.Path(self._manager.directory) / str(step) / ".metrics"
      shutil.rmtree(partial, ignore_errors=True)
      partial.mkdir()
      (partial / "metrics").write_text(json.dumps({self._metric: self._score(metrics)}))
      partial.rename(partial.with_name("metrics"))
      found = digests.read(partial.parent) or {}
      names = [METRICS] if found else _files(partial.parent)
      digests.write(partial.parent, {**found, **digests.of_files(partial.parent, names)})
    if jax.process_count() > 1:
      multihost_utils.sync_global_devices(f"judged {step}")
    self._manager.reload()

  def restore(self, abstract: State) -> tuple[State, int]:
    """The newest state, laid out as the shapes and shardings of `abstract` say, and the next batch's number.

    Raises:
      InputError: the checkpoint is of another model or optimizer; names each parameter and both shapes.
    """
    step = self.latest_step
    if step is None:
      raise InputError("there is no complete checkpoint to resume from")
    with _reading(self._manager.directory / str(step)):
      _verify(pathlib.Path(self._manager.directory) / str(step))
      saved = shapes(self._manager.item_metadata(step)["state"].tree)
    check_shapes(saved, shapes(abstract), f"checkpoint {step}")
    with _reading(self._manager.directory / str(step)):
      restored = self._manager.restore(
        step, args=ocp.args.Composite(state=ocp.args.StandardRestore(abstract), data=ocp.args.JsonRestore())
      )
      return restored["state"], restored["data"]["next_batch"]

  def close(self) -> None:
    """Waits until everything is written."""
    with _writing(self._manager.directory):
      self._manager.wait_until_finished()
      self._manager.close()


def load_variables(workdir: str | pathlib.Path, checkpoint: str | int = "best") -> tuple[Mapping[str, Tree], int]:
  """Reads what a network needs from a run's checkpoint: `{"params", "batch_stats"}`, the averaged ones if it has them.

  Args:
    workdir: the run's folder.
    checkpoint: "best" (by validation top-1; the last where none was validated), "last", or a step.

  Returns:
    Host arrays, and the step of the checkpoint.
  """
  folder = _folder(workdir)
  while True:
    steps = _complete(folder)
    if not steps:
      raise InputError(f"{folder} holds no complete checkpoint: train first, or name another --workdir")
    step = _choose(folder, steps, checkpoint)
    try:
      return _load(folder / str(step)), step
    except InputError:
      if step in _complete(folder):
        raise  # else the training that runs has deleted it: choose again


def _load(folder: pathlib.Path) -> Mapping[str, Tree]:
  """The variables of a checkpoint."""
  rest = dict.fromkeys(("data", "config", "metrics"), ocp.JsonCheckpointHandler())  # Orbax warns of what none reads
  handler = ocp.CompositeCheckpointHandler(state=ocp.PyTreeCheckpointHandler(), **rest)
  with _reading(folder), ocp.Checkpointer(handler) as reader:
    _verify(folder)
    saved = reader.metadata(folder).item_metadata["state"].tree
    plain = traverse_util.flatten_dict({root: saved.get(root) or {} for root in ("params", "batch_stats")})
    averaged = traverse_util.flatten_dict(saved.get("ema") or {})
    wanted = {path: x for path, x in plain.items() if path not in averaged}  # what is frozen has no average
    wanted |= {("ema", *path): x for path, x in averaged.items()}
    wanted = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), traverse_util.unflatten_dict(wanted))
    args = ocp.args.PyTreeRestore(
      wanted,
      restore_args=jax.tree.map(lambda x: ocp.RestoreArgs(restore_type=np.ndarray), wanted),
      partial_restore=True,
    )
    restored: Any = reader.restore(folder, args=ocp.args.Composite(state=args))["state"]
  roots = {root: restored.get(root, {}) for root in ("params", "batch_stats")}
  flat = traverse_util.flatten_dict(roots) | traverse_util.flatten_dict(restored.get("ema", {}))
  return {"batch_stats": {}, **traverse_util.unflatten_dict(flat)}


def latest_step(workdir: str | pathlib.Path) -> int | None:
  """The step of the newest complete checkpoint of a run, None where there is none."""
  return max(_complete(_folder(workdir)), default=None)


def has_checkpoint(workdir: str | pathlib.Path) -> bool:
  """Whether there is a complete checkpoint to resume from."""
  return latest_step(workdir) is not None


def _complete(folder: pathlib.Path) -> list[int]:
  """The steps of the checkpoints, but for halves: what a run that was killed while deleting left of an older one."""
  steps = sorted(int(path.name) for path in folder.glob("*") if path.name.isdecimal())
  whole = [step for step in steps if _is_whole(folder / str(step))]
  return [step for step in steps if step in whole or step > max(whole, default=-1)]  # a newer one is damaged, not half


def _is_whole(folder: pathlib.Path) -> bool:
  """Whether a checkpoint has all its files."""
  try:
    names = digests.read(folder) or {"state/_METADATA": "", "state/manifest.ocdbt": ""}
  except ValueError:
    names = {}  # damaged, as reading it will tell
  return all((folder / name).is_file() for name in ("_CHECKPOINT_METADATA", *names))


def _clean(folder: pathlib.Path) -> None:
  """Removes halves."""
  steps = _complete(folder)
  for path in folder.glob("*"):
    if path.name.isdecimal() and int(path.name) not in steps:
      shutil.rmtree(path)


def _metrics(folder: pathlib.Path) -> float | None:
  """The metric by which a checkpoint is chosen, None where it was not validated."""
  if not (folder / METRICS).exists():
    return None
  _verify(folder, METRICS)
  return float(json.loads((folder / METRICS).read_text()).popitem()[1])


def _files(folder: pathlib.Path) -> list[str]:
  """The files of a checkpoint, but for the digests and what Orbax writes when all else is there."""
  marks = ("commit_success.txt", "_CHECKPOINT_METADATA", digests.FILE, f".{digests.FILE}")
  files = (path for path in folder.rglob("*") if path.is_file() and path.name not in marks)
  return sorted(path.relative_to(folder).as_posix() for path in files)


def _verify(folder: pathlib.Path, name: str | None = None) -> None:
  """Raises a ValueError where a file of a checkpoint, or the one named, is not as it was written.

  Checkpoints of older versions have no digests, and pass; so do metrics before `Checkpoints.judge` has noted theirs.
  """
  found = digests.read(folder)
  if found is not None:
    digests.check(folder, {own: digest for own, digest in found.items() if name in (None, own)})


@contextlib.contextmanager
def _reading(path: Any) -> Iterator[None]:
  """Turns whatever Orbax and JSON raise on a damaged checkpoint into an error that names it."""
  try:
    yield
  except InputError:
    raise
  except Exception as error:  # TensorStore raises that very class, too
    if isinstance(error, PermissionError) or "permission denied" in str(error).lower():
      raise InputError(f"the checkpoint {path} may not be read: permission denied") from error
    raise InputError(
      f"the checkpoint {path} is damaged ({str(error)[:200]}): remove it to use an earlier one, or train again"
    ) from error


@contextlib.contextmanager
def _writing(folder: Any) -> Iterator[None]:
  """Turns what Orbax raises on a full disk into an error that says so."""
  try:
    yield
  except (ValueError, RuntimeError, OSError) as error:
    for reason in (os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)):
      if reason in str(error):
        raise _full(folder, reason) from error
    raise


def _full(folder: Any, reason: str) -> InputError:
  return InputError(f"cannot write to {folder} ({reason}): free some space, and the same command resumes it")


def _choose(folder: pathlib.Path, steps: Sequence[int], checkpoint: str | int) -> int:
  if str(checkpoint) == "last":
    return steps[-1]
  if str(checkpoint) == "best":
    scores: dict[int, float] = {}
    for step in steps:
      with _reading(folder / str(step)):
        score = _metrics(folder / str(step))
      scores |= {} if score is None else {step: score}
    return max(scores, key=lambda step: (scores[step], step)) if scores else steps[-1]
  if not str(checkpoint).isdecimal() or int(checkpoint) not in steps:
    have = ", ".join(map(str, steps))
    raise InputError(f"{folder} has no checkpoint {checkpoint!r}: choose best, last or one of the steps {have}")
  return int(checkpoint)


def _folder(workdir: str | pathlib.Path) -> pathlib.Path:
  return pathlib.Path(workdir).absolute() / "checkpoints"
