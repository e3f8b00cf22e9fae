"""Errors a user can mend; the commands print them as one line and exit with a code of their kind (2: bad input)."""

import contextlib
import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import NoReturn

EXIT_BUG = 1
"""After an error that is no mistake of the user's, as Python has it."""
EXIT_BAD_INPUT = 2
EXIT_NOT_FINITE = 3
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 75
"""After SIGTERM, once the state is saved: BSD's "temporary failure, try again"."""
EXIT_SIGTERM = 143
"""After SIGTERM where there is nothing to resume: 128 + SIGTERM."""
EXIT_NO_READER = 141
"""The reader of a pipe, such as `head`, has left: 128 + SIGPIPE, as shells report it of other commands."""


class InputError(ValueError):
  """Something the user handed in does not fit: the message names the thing and the remedy."""


class ConfigError(InputError, TypeError):
  """A config key or value that does not fit what it configures."""


class MissingOutput(ConfigError):
  """An objective asks for an output that the network does not provide."""


class TrainingStopped(RuntimeError):
  """Training ended before its last step, for a reason that is no bug; `code` is the command's exit code."""

  def __init__(self, message: str, code: int):
    super().__init__(message)
    self.code = code


REMEDIES = {
  errno.ENOSPC: "the disk is full: free some space or choose another folder",
  errno.EDQUOT: "the disk quota is used up: free some space or choose another folder",
  errno.EACCES: "permission denied: choose a folder you may use",
  errno.EROFS: "the file system is read-only: choose another folder",
  errno.EFBIG: "the file is larger than allowed here: choose another folder",
  errno.ENOTDIR: "a part of this path is a file, not a folder: choose another path",
  errno.EISDIR: "is a folder, not a file: choose another path",
  errno.EEXIST: "is a file, not a folder: choose another path",
  errno.ENOENT: "nothing of this name is there or can be made there: choose another path",
  errno.EPERM: "not permitted: choose another path",
  errno.EIO: "the device cannot be read or written: choose another path",
  errno.ENAMETOOLONG: "the name is too long: choose another path",
}
"""What a user can do where the system refuses."""


def of_system(error: OSError, otherwise: str = "while writing") -> InputError | None:
  """An error of the system as one that a user can mend, None where it is of another kind.

  Args:
    error: as it was raised.
    otherwise: begins the message where the error names no file.
  """
  remedy = REMEDIES.get(error.errno or 0)
  return InputError(f"{error.filename or otherwise}: {remedy}") if remedy else None


class Terminated(KeyboardInterrupt):
  """SIGTERM, where `tidy_at_sigterm` turns it into an exception."""


@contextlib.contextmanager
def tidy_at_sigterm() -> Iterator[None]:
  """A block that SIGTERM leaves as Ctrl-C does, by an exception, so that what it half made is removed."""

  def leave(number: int, frame: object) -> NoReturn:
    raise Terminated

  if threading.current_thread() is not threading.main_thread():
    yield
    return
  before = signal.signal(signal.SIGTERM, leave)
  try:
    yield
  finally:
    signal.signal(signal.SIGTERM, before)


def deliver_lost_signals() -> None:
  """Sends SIGTERM and SIGINT once more where Python drops the exception they became.

  That happens where they come during a callback of the garbage collector, of which JAX has one: without this, one
  signal in eight to a starting preparation with flow was lost.
  """
  before = sys.unraisablehook

  def again(lost: "sys.UnraisableHookArgs") -> None:
    if not isinstance(lost.exc_value, KeyboardInterrupt):
      before(lost)
      return
    number = signal.SIGTERM if isinstance(lost.exc_value, Terminated) else signal.SIGINT
    later = threading.Timer(0.5, os.kill, (os.getpid(), number))  # before this function has ended it would be lost
    later.daemon = True
    later.start()

  sys.unraisablehook = again
