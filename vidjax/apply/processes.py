"""Several processes that train together: how they join, agree before they start, and end together."""

import contextlib
import ctypes
import json
import os
import re
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from vidjax.console import say
from vidjax.errors import EXIT_BAD_INPUT, EXIT_TERMINATED, InputError, TrainingStopped

T = TypeVar("T")

LOCAL = ("data.dir", "data.num_threads", "data.num_processes", "data.memory_mb")
"""Keys of a config that may differ from machine to machine."""
_ERROR = "\0"
_REMEDY = "the last checkpoint is unharmed: start all of them again"
_handlers: list[Any] = []


def join(coordinator: str | None, count: int | None, number: int | None) -> None:
  """Joins several processes that train together.

  Args:
    coordinator: HOST:PORT of process 0.
    count: how many there are.
    number: of this one, from 0.

  Raises:
    InputError: not all three are given, or they do not fit; the port is in use, or nobody answers there.
  """
  given = [x for x in (coordinator, count, number) if x is not None]
  if not given:
    return
  flags = f"--coordinator={coordinator} --num_processes={count} --process_id={number}"
  if len(given) < 3 or not re.fullmatch(r".+:\d+", coordinator or "") or not 0 <= (number or 0) < (count or 0):
    raise InputError(
      f"{flags}: several processes need all three, "
      "as in --coordinator=HOST:1234 --num_processes=2 --process_id=0, ids from 0 on"
    )
  # On CPUs XLA starts independent all-reduces at once, in another order in each process, and Gloo then mixes them up.
  os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_enable_concurrency_optimized_scheduler=false"
  _on_abort(f"error: {flags}: the processes cannot join: does process 0 run, and is its port its own?", EXIT_BAD_INPUT)
  try:
    jax.distributed.initialize(coordinator, count, number)
  except (RuntimeError, ValueError) as error:
    reason = str(error).splitlines()[0][:200]
    raise InputError(
      f"{flags}: the processes cannot join ({reason}): is the port free on the host of process 0, and do all name the"
      " same one?"
    ) from error
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
  """A block that all processes run: an InputError in one of them ends all of them behind it."""
  error = None
  try:
    yield
  except InputError as caught:
    error = caught
  raise_together(error)


@contextlib.contextmanager
def ends_at_once() -> Iterator[None]:
  """Ends one of several processes at an error with its line and code, without waiting for those that hang on it.

  What fails because another process is gone is told as that, with the code of a run that can be resumed.
  """
  try:
    yield
  except (InputError, TrainingStopped, jax.errors.JaxRuntimeError) as error:
    if jax.process_count() == 1:
      raise
    text, code = str(error), getattr(error, "code", EXIT_BAD_INPUT)
    if isinstance(error, jax.errors.JaxRuntimeError):
      reason, code = text.splitlines()[0][:120], EXIT_TERMINATED
      text = f"another process is gone ({reason}); {_REMEDY}"
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
