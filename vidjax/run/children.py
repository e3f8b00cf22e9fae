"""Trainings that another command starts, as a sweep or a table does: how they are ended, and whether one still runs."""

import contextlib
import fcntl
import os
import pathlib
import signal
import subprocess
import threading
from collections.abc import Iterator

POLL = 0.5
"""Seconds between two looks at a training."""
GRACE = 300.0
"""Seconds a training may take to save its state; XLA is not interrupted while it compiles."""


class Stop:
  """A wish to stop all trainings; the second one kills them."""

  def __init__(self):
    self.asked, self.again = threading.Event(), threading.Event()

  def __call__(self, *_: object) -> None:
    """Notes it; a signal's handler."""
    (self.again if self.asked.is_set() else self.asked).set()


@contextlib.contextmanager
def stop_at_signals() -> Iterator[Stop]:
  """A wish that SIGTERM and Ctrl-C express while the block runs; of another thread than the first, nobody does."""
  stop = Stop()
  if threading.current_thread() is not threading.main_thread():
    yield stop
    return
  before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
  try:
    yield stop
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)


def end_process(process: subprocess.Popen, stop: Stop) -> None:
  """Ends a training that still runs: by SIGTERM, so that it saves its state, and by SIGKILL where that takes too long.

  Args:
    process: of the training, the first of a session of its own.
    stop: asked twice, it kills at once.
  """
  if process.poll() is not None:
    return
  process.send_signal(signal.SIGTERM)
  waited = 0.0
  while process.poll() is None and waited < GRACE and not stop.again.is_set():
    with contextlib.suppress(subprocess.TimeoutExpired):
      process.wait(POLL)
    waited += POLL
  if process.poll() is None:
    with contextlib.suppress(ProcessLookupError):
      os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def in_use(folder: pathlib.Path) -> bool:
  """Whether a training holds a run's folder, or that of one of its phases."""
  for path in (folder / ".lock", *folder.glob("*/.lock")):
    try:
      with path.open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      return True
    except FileNotFoundError:
      continue
  return False
