"""Films read in processes of their own: a decoder that dies, hangs or takes all memory costs one film, not all.

A process imports no JAX; optical flow is computed in the parent, on its devices. It ends with its parent, however that
ends, and never imports the parent's `__main__`, so that scripts and notebooks need no guard.
"""

import collections
import concurrent.futures
import contextlib
import gc
import multiprocessing
import os
import pathlib
import pickle
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from vidjax.data import flow
from vidjax.data.films import Film
from vidjax.data.read_film import Kept, Storage, read
from vidjax.errors import InputError

T = TypeVar("T")
R = TypeVar("R")

MEMORY = 4 * 2**30
"""Bytes of data a process may hold: twelve frames of 8K and their JPEGs need 1.5 GiB."""
_START = (
  "import sys; sys.path[:] = sys.argv[3:]; from vidjax.data.workers import serve; serve(*map(int, sys.argv[1:3]))"
)
_ENVIRONMENT = {"VIDJAX_KEEP_MEMORY": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class NoSpace(InputError):
  """The examples of a film cannot be written, which says nothing of the film."""


class Workers:
  """Processes that read films; use it as a context manager, which ends them.

  Attributes:
    timeout: seconds a film may take from one frame to the next.
    threads: decoder threads of each process.
  """

  def __init__(self, timeout: float = 60, threads: int = 1):
    self.timeout = timeout
    self.threads = threads
    self._lock = threading.Lock()
    self._idle: list[_Process] = []
    self._busy: set[_Process] = set()
    self._closed = False

  def __enter__(self) -> "Workers":
    return self

  def __exit__(self, *_: object) -> None:
    with self._lock:
      self._closed = True
      processes = [*self._idle, *self._busy]
    for process in processes:
      process.kill()

  def read(self, film: Film, storage: Storage, spool: pathlib.Path) -> Kept:
    """Reads a film in one of the processes and writes its examples to the file `spool`; safe in several threads.

    Args:
      film: the file, with its split and label.
      storage: how its frames are stored.
      spool: a file for the examples.

    Raises:
      NoSpace: the spool cannot be written.
      InputError: the film is refused.
    """
    process = self._take()
    reason = ""
    try:
      process.connection.send((film, storage, spool, self.threads))
      while process.connection.poll(self.timeout):
        kind, content = process.connection.recv()
        if kind == "flow":
          process.connection.send(flow.encode_flow(*content))
        elif kind != "progress":
          with self._lock:
            self._busy.discard(process)
            self._idle.append(process)
          if kind == "kept":
            return content
          if kind == "failed":
            raise NoSpace(f"cannot write to {spool.parent} ({content.strerror}): free some space")
          raise content
      reason = f"the decoder gave no frame for {self.timeout:g} s (see --timeout)"
    except (EOFError, ConnectionError):
      reason = f"the decoder crashed ({process.how_it_ended()})"
    finally:
      if process in self._busy:
        process.kill()
        self._busy.discard(process)
    raise InputError(f"{film.name} is damaged: {reason}")

  def _take(self) -> "_Process":
    with self._lock:
      if self._closed:
        raise InputError("interrupted")
      process = self._idle.pop() if self._idle else None
    process = process or _Process()
    with self._lock:
      self._busy.add(process)
      closed = self._closed
    if closed:
      process.kill()
    return process


class _Process:
  """A process and the connection to it."""

  def __init__(self):
    self._ending, self._ended = threading.Lock(), False
    self.connection, theirs = multiprocessing.Pipe()
    life, self._life = os.pipe()  # closes when this process ends, which ends that one
    command = [sys.executable, "-c", _START, str(theirs.fileno()), str(life), *sys.path]
    self._process = subprocess.Popen(
      command,
      stdin=subprocess.DEVNULL,
      stdout=subprocess.DEVNULL,
      stderr=subprocess.PIPE,
      pass_fds=(theirs.fileno(), life),
      env={**os.environ, **_ENVIRONMENT},
    )
    theirs.close()
    os.close(life)
    try:
      self.connection.recv()
    except EOFError:
      words = self._process.communicate()[1].decode(errors="replace")
      raise RuntimeError(f"a process that reads films cannot start:\n{words}") from None

  def how_it_ended(self) -> str:
    """The signal or exit code."""
    code = self._process.wait()
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"

  def kill(self) -> None:
    """Ends the process; of several threads that ask for it the first one does."""
    with self._ending:
      if self._ended:
        return
      self._ended = True
    self._process.kill()
    with contextlib.suppress(ValueError, OSError):  # another thread reads what it sent last
      self._process.communicate()
    self.connection.close()
    os.close(self._life)


def serve(pipe: int, life: int) -> None:
  """Reads films until the parent ends; the body of a process.

  Args:
    pipe: descriptor of the connection to the parent.
    life: descriptor of a pipe that closes when the parent ends.
  """
  import cv2

  for number in (signal.SIGINT, signal.SIGTERM):  # the parent's to handle
    signal.signal(number, signal.SIG_IGN)
  threading.Thread(target=lambda: os._exit(len(os.read(life, 1))), daemon=True).start()
  resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, resource.getrlimit(resource.RLIMIT_DATA)[1]))
  resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
  cv2.setNumThreads(0)
  os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # until here, the parent tells why no process can start
  connection = Connection(pipe)
  connection.send("ready")
  while True:
    try:
      job = connection.recv()
    except EOFError:
      return
    connection.send(_answer(connection, *job))
    gc.collect()  # PyAV's objects refer to each other: memory would grow from film to film


class _SpoolError(Exception):
  """The spool cannot be written."""


def _answer(
  connection: Connection, film: Film, storage: Storage, path: pathlib.Path, threads: int
) -> tuple[str, Kept | Exception]:
  """("kept", what is known of the film) or ("refused", why)."""
  told = time.monotonic()

  def progress() -> None:
    nonlocal told
    if time.monotonic() > told + 1:
      told = time.monotonic()
      connection.send(("progress", None))

  def encode_flow(first: list[Any], second: list[Any]) -> list[bytes]:
    connection.send(("flow", (first, second)))
    return connection.recv()

  try:
    with _Spool(path) as spool:
      return "kept", read(film, storage, spool.write, encode_flow, progress, threads)
  except InputError as error:
    return "refused", InputError(str(error))
  except _SpoolError as error:
    return "failed", error.args[0]
  except OSError as error:
    return "refused", InputError(f"{film.name} cannot be read ({error.strerror})")
  except MemoryError:
    return "refused", InputError(f"{film.name} needs more than {MEMORY >> 30} GiB of memory")
  except Exception as error:  # whatever one film does must not stop the others
    return "refused", InputError(f"{film.name} cannot be read ({type(error).__name__}: {error})")


class _Spool:
  """The file that examples are written to."""

  def __init__(self, path: pathlib.Path):
    self._path = path

  def __enter__(self) -> "_Spool":
    try:
      self._file = self._path.open("wb")
    except OSError as error:
      raise _SpoolError(error) from error
    return self

  def __exit__(self, *_: object) -> None:
    try:
      self._file.close()
    except OSError as error:
      raise _SpoolError(error) from error

  def write(self, example: Mapping[str, Any]) -> None:
    """Adds an example."""
    try:
      pickle.dump(example, self._file)
    except OSError as error:
      raise _SpoolError(error) from error


def spooled(path: pathlib.Path) -> Iterator[Mapping[str, Any]]:
  """The examples of a spool, one at a time; removes it in the end."""
  with path.open("rb") as file:
    while file.peek(1):
      yield pickle.load(file)
  path.unlink()


def in_order(
  function: Callable[[T], R], items: Iterable[T], workers: int
) -> Generator[tuple[T, concurrent.futures.Future[R]], None, None]:
  """Calls the function on every item in threads, a few items ahead; yields items and results in their order.

  Args:
    function: safe in several threads.
    items: taken one by one, up to twice as many ahead as there are threads.
    workers: how many threads.
  """
  pending = collections.deque()
  threads = concurrent.futures.ThreadPoolExecutor(workers)
  try:
    for item in items:
      pending.append((item, threads.submit(function, item)))
      if len(pending) > 2 * workers:
        yield pending.popleft()
    while pending:
      yield pending.popleft()
  finally:
    threads.shutdown(wait=False, cancel_futures=True)
