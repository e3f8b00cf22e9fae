"""Several processes that train together: how they join, agree before they start, and end together."""

import contextlib
import ctypes
import json
import os
import re
import signal
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from vidjax.console import say
from vidjax.errors import EXIT_BAD_INPUT, EXIT_BUG, EXIT_TERMINATED, InputError, TrainingStopped, of_system

T = TypeVar("T")


class Scheduler(NamedTuple):
  """What has started several processes.

  Attributes:
    name: of it.
    says: the variable that told.
    method: as JAX calls it, None where it has no name there and is found by being the only one.
    remedy: ends a message.
    devices: further arguments of `jax.distributed.initialize`.
  """

  name: str
  says: str
  method: str | None
  remedy: str
  devices: Mapping[str, Any]


LOCAL = ("data.dir", "data.num_threads", "data.num_processes", "data.memory_mb")
"""Keys of a config that may differ from machine to machine."""
_ERROR = "\0"
_REMEDY = "the last checkpoint is unharmed: start all of them again"
_handlers: list[Any] = []


def join(coordinator: str | None, count: int | None, number: int | None) -> None:
  """Joins several processes that train together: those that the arguments say, or else those of a scheduler.

  Args:
    coordinator: HOST:PORT of process 0.
    count: how many there are; 1 alone keeps a process of a scheduler for itself.
    number: of this one, from 0.

  Raises:
    InputError: not all three are given, or they do not fit; the port is in use, or nobody answers there.
  """
  given = [x for x in (coordinator, count, number) if x is not None]
  found = scheduler(os.environ)
  if given == [count] == [1] or not (given or found):
    return
  if not given and found:
    _initialize(f"{found.name} ({found.says})", found.remedy, cluster_detection_method=found.method, **found.devices)
    return
  flags = f"--coordinator={coordinator} --num_processes={count} --process_id={number}"
  if len(given) < 3 or not re.fullmatch(r".+:\d+", coordinator or "") or not 0 <= (number or 0) < (count or 0):
    raise InputError(
      f"{flags}: several processes need all three, "
      "as in --coordinator=HOST:1234 --num_processes=2 --process_id=0, ids from 0 on"
    )
  remedy = "is the port free on the host of process 0, and do all name the same one?"
  _initialize(flags, remedy, coordinator_address=coordinator, num_processes=count, process_id=number)


def scheduler(environ: Mapping[str, str]) -> Scheduler | None:
  """The scheduler that has started this process as one of several, by the variables that it sets.

  One process of its own, such as a shell in a job of SLURM, is not one of several.
  """

  def number(name: str) -> int:
    return int(environ[name]) if environ.get(name, "").isdigit() else 0

  alone = "or --num_processes=1 to train alone"
  if number("OMPI_COMM_WORLD_SIZE") > 1:
    older = "OMPI_MCA_orte_hnp_uri" in environ
    says = f"OMPI_COMM_WORLD_SIZE={environ['OMPI_COMM_WORLD_SIZE']}"
    remedy = (
      f"Open MPI 5 needs `pip install mpi4py`; else give --coordinator, --num_processes and --process_id, {alone}"
    )
    devices = _all_devices(environ, number("OMPI_COMM_WORLD_LOCAL_SIZE") == 1)
    return Scheduler("Open MPI", says, "ompi" if older else "mpi4py", remedy, devices)
  if number("SLURM_STEP_NUM_TASKS") > 1 and "SLURM_PROCID" in environ:
    says = f"SLURM_STEP_NUM_TASKS={environ['SLURM_STEP_NUM_TASKS']}"
    remedy = f"start all tasks by one srun; another port is JAX_COORDINATOR_PORT=N, {alone}"
    single = re.fullmatch(r"1(\(x\d+\))?", environ.get("SLURM_STEP_TASKS_PER_NODE", "")) is not None
    return Scheduler("SLURM", says, "slurm", remedy, _all_devices(environ, single))
  if "KUBERNETES_SERVICE_HOST" in environ and "JOB_COMPLETION_INDEX" in environ:
    says = f"JOB_COMPLETION_INDEX={environ['JOB_COMPLETION_INDEX']}"
    remedy = f"`pip install 'jax[k8s]'`, an indexed job with a headless service, and leave to read pods, {alone}"
    return Scheduler("Kubernetes", says, None, remedy, {})
  return None


def _all_devices(environ: Mapping[str, str], single: bool) -> dict[str, list[int]]:
  """The GPUs of a machine with a single process, of which JAX would take the first one alone under these schedulers."""
  count = environ.get("SLURM_GPUS_ON_NODE", "")
  return {"local_device_ids": list(range(int(count)))} if single and count.isdigit() else {}


def _initialize(what: str, remedy: str, **arguments: Any) -> None:
  """`jax.distributed.initialize`, with errors of one line.

  Args:
    what: begins a message.
    remedy: ends it.
    **arguments: of JAX.
  """
  # On CPUs XLA starts independent all-reduces at once, in another order in each process, and Gloo then mixes them up.
  os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_enable_concurrency_optimized_scheduler=false"
  _on_abort(f"error: {what}: the processes cannot join: does process 0 run, and is its port its own?", EXIT_BAD_INPUT)
  try:
    jax.distributed.initialize(**arguments)
  except (RuntimeError, ValueError) as error:
    reason = str(error).splitlines()[0][:200]
    raise InputError(f"{what}: the processes cannot join ({reason}): {remedy}") from error
  _on_abort(f"error: another process is gone; {_REMEDY}", EXIT_TERMINATED)


def _on_abort(line: str, code: int) -> None:
  """What this process says, and its exit code, when JAX's runtime aborts it, as it does in a thread of its own.

  A handler of Python's would run in the main thread, too late.
  """

  @ctypes.CFUNCTYPE(None, ctypes.c_int)
  def end(_: int) -> None:
    os.write(2, f"{line}\n".encode())
    os._exit(code)

  _handlers.append(end)  # what C calls must not be freed
  ctypes.CDLL(None).signal(signal.SIGABRT, end)


def gather(text: str) -> list[str]:
  """The texts of all processes, in their order; every one of them calls this."""
  if jax.process_count() == 1:
    return [text]
  content = np.frombuffer(text.encode("utf-8", "surrogateescape"), np.uint8)
  lengths = multihost_utils.process_allgather(np.array([len(content)], np.int32)).reshape(-1)
  padded = np.zeros(max(lengths.max(), 1), np.uint8)
  padded[: len(content)] = content
  rows = multihost_utils.process_allgather(padded)
  return [row[:length].tobytes().decode("utf-8", "surrogateescape") for row, length in zip(rows, lengths, strict=True)]


def gather_rows(rows: np.ndarray) -> np.ndarray:
  """The rows of all processes, as many of each, in their order; every one of them calls this."""
  return rows if jax.process_count() == 1 else multihost_utils.process_allgather(rows, tiled=True)


def raise_together(error: InputError | None) -> None:
  """Raises the error of this process, or else that of another one, so that all end with it."""
  texts = gather("" if error is None else f"{_ERROR}{error}")
  if error is not None:
    raise error
  for number, text in enumerate(texts):
    if text.startswith(_ERROR):
      raise InputError(f"process {number} stopped: {text.removeprefix(_ERROR)}")


@contextlib.contextmanager
def together() -> Iterator[None]:
  """A block that all processes run: an InputError, or one of the system, in one of them ends all of them behind it."""
  error = None
  try:
    yield
  except InputError as caught:
    error = caught
  except OSError as caught:
    error = of_system(caught)
    if error is None or jax.process_count() == 1:
      raise
  raise_together(error)


@contextlib.contextmanager
def ends_at_once() -> Iterator[None]:
  """Ends one of several processes at an error with its line and code, without waiting for those that hang on it.

  What fails because another process is gone is told as that, with the code of a run that can be resumed. What is no
  mistake of the user's keeps its traceback.
  """
  try:
    yield
  except Exception as error:
    if jax.process_count() == 1:
      raise
    known = of_system(error) if isinstance(error, OSError) else error
    if isinstance(known, jax.errors.JaxRuntimeError) or "gloo" in str(known).lower():  # some come as a ValueError
      reason, code = str(known).splitlines()[0][:120], EXIT_TERMINATED
      text = f"another process is gone ({reason}); {_REMEDY}"
    elif isinstance(known, (InputError, TrainingStopped)):
      text, code = str(known), getattr(known, "code", EXIT_BAD_INPUT)
    else:
      traceback.print_exc()
      text, code = f"process {jax.process_index()} stopped by {type(error).__name__}: {error}", EXIT_BUG
    say("error: " + " ".join(text.split()), error=True)
    if jax.process_index() == 0:
      time.sleep(3)  # the others lose their coordinator with it: first they tell theirs
    os._exit(code)


def in_step(items: Iterable[T]) -> Iterator[T]:
  """The items of an iteration that all processes do at once; an InputError in one of them ends all."""
  iterator = iter(items)
  while True:
    error, item, done = None, None, False
    try:
      item = next(iterator)
    except StopIteration:
      done = True
    except InputError as caught:
      error = caught
    if jax.process_count() > 1 or error:
      raise_together(error)
    if done:
      return
    yield item  # pyright: ignore[reportReturnType]


def check_agreement(config: Mapping[str, Any], data: Any) -> None:
  """Raises an InputError that names what differs, in all processes, unless their configs and data sets agree.

  Args:
    config: flat: dotted key -> value.
    data: what tells the data set from another.
  """
  kept = {key: str(value) for key, value in config.items() if key not in LOCAL}  # as text: nan differs from itself
  texts = [json.loads(text) for text in gather(json.dumps([kept, data]))]
  for number, (other, contents) in enumerate(texts):
    first, there = texts[0]
    for key in sorted({**first, **other}):
      if first.get(key) != other.get(key):
        raise InputError(
          f"the processes have different configs ({key}: {first.get(key)} in process 0, {other.get(key)} in process"
          f" {number}): start all of them with the same one"
        )
    if contents != there:
      raise InputError(
        f"the processes have different data sets {first.get('data.name')}: give all of them the same one"
      )


def tell(text: str, error: bool = False) -> None:
  """`console.say`, by the first of several processes alone.

  Args:
    text: the line.
    error: print it on stderr, not on stdout.
  """
  if jax.process_index() == 0:
    say(text, error)
