"""Errors a user can mend; the commands print them as one line and exit with a code of their kind (2: bad input)."""

import contextlib
import errno
import io
import logging as standard_logging
import os
import re
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import NoReturn

from vidjax.console import say

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


def no_config(error: OSError) -> ConfigError:
  """The error for a config file that cannot be read, from what ml_collections raised."""
  reason = re.split(r"\] |load: ", str(error))[-1].rstrip(".")  # the rest says how far ml_collections came
  return ConfigError(
    f"--config: {reason} in {os.getcwd()}: run from the repository root, or name a config by its path, such as"
    " configs/quickstart.py"
  )


class MissingOutput(ConfigError):
  """An objective asks for an output that the network does not provide."""


class TrainingStopped(RuntimeError):
  """Training ended before its last step, for a reason that is no bug; `code` is the command's exit code."""

  def __init__(self, message: str, code: int):
    super().__init__(message)
    self.code = code


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


@contextlib.contextmanager
def one_line() -> Iterator[None]:
  """Turns errors a user can mend into one line on stderr and exit code 2.

  Set VIDJAX_TRACEBACK=1 to see the traceback as well. Errors of any other kind are bugs and keep theirs.
  """
  try:
    yield
  except InputError as error:
    _stop(str(error))
  except TrainingStopped as error:
    _stop(str(error), error.code)
  except Terminated:
    _stop("stopped by SIGTERM; nothing half-made is left", EXIT_SIGTERM)
  except KeyboardInterrupt:
    _stop("interrupted", EXIT_INTERRUPTED)
  except OSError as error:
    remedies = {
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
    if error.errno not in remedies:
      raise
    _stop(f"{error.filename or _written()}: {remedies[error.errno]}")


def _written() -> str:
  """What a command writes to, as its flags name it, for errors of the system that name no file."""
  from absl import flags

  names = [name for name in ("workdir", "out", "explain", "features", "data_dir") if name in flags.FLAGS]
  given = [f"--{name}={flags.FLAGS[name].value}" for name in names if flags.FLAGS[name].value]
  return f"while writing below {' or '.join(given)}" if given else "while writing"


def _stop(message: str, code: int = EXIT_BAD_INPUT) -> NoReturn:
  if os.environ.get("VIDJAX_TRACEBACK"):
    raise
  say("error: " + " ".join(line.strip() for line in message.splitlines()), error=True)
  raise SystemExit(code) from None


def _close_unread() -> bool:
  """Turns stdout and stderr to /dev/null where they are pipes that nobody reads any more; whether one was."""
  poll = select.poll()
  for stream in (sys.stdout, sys.stderr):
    poll.register(stream.fileno(), 0)
  unread = [number for number, event in poll.poll(0) if event & (select.POLLERR | select.POLLHUP)]
  for number in unread:
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)
  return bool(unread)


def run_main(main: Callable[[list[str]], object], arguments: bool = False) -> None:
  """`absl.app.run` for a command: wrong flags, configs and inputs end in one line and exit code 2.

  A command whose output is no longer read, as of `... | head`, ends without a word.

  Args:
    main: the command.
    arguments: whether it takes arguments other than flags.
  """
  from absl import app, flags, logging

  logging.set_verbosity(logging.FATAL)  # Orbax and TFDS tell much on this channel, and raise what they log as errors
  standard_logging.getLogger("vidjax").setLevel(standard_logging.WARNING)

  def parse(argv: list[str]) -> list[str]:
    with one_line():
      try:
        return flags.FLAGS(argv)
      except flags.Error as error:
        first, *rest = str(error).strip().splitlines()  # the rest: a traceback, where a config file raised
        raise InputError(f"{' '.join([first.strip(), *rest[-1:]])} (--help lists the flags)") from error
      except (AttributeError, KeyError, TypeError, IndexError) as error:  # ml_collections: no such key in the config
        message = re.sub(r"\\+n|\n", ": ", str(error))
        message = re.sub(r"\\|'", "", message).strip('"')  # the text of a KeyError comes quoted, of a nested one twice
        remedy = "" if " " in message else ": the config has no such key"
        raise ConfigError(f"--config does not fit: {message}{remedy}") from error
      except SyntaxError as error:
        raise ConfigError(f"--config: {error}") from error
      except BrokenPipeError:  # nobody reads --help
        raise
      except Exception as error:  # whatever else the code of a config file raises
        if isinstance(error, OSError) and "Failed loading config file" in str(error):
          raise no_config(error) from error
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise ConfigError(
          f"--config: {type(error).__name__}: {error} ({place.filename}, line {place.lineno})"
        ) from error

  def guarded(argv: list[str]) -> object:
    with one_line():
      if len(argv) > 1 and not arguments:
        raise InputError(f"unexpected argument {argv[1]!r}: flags start with --")
      return main(argv)

  if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # as vidjax/__init__.py left it
    signal.signal(signal.SIGINT, signal.default_int_handler)
  if isinstance(sys.stdout, io.TextIOWrapper):
    sys.stdout.reconfigure(errors="backslashreplace")  # names of files may hold what the terminal cannot show
  try:
    try:
      app.run(guarded, flags_parser=parse)
    except SystemExit:
      sys.stdout.flush()  # here, not when Python ends, where it cannot fail quietly
      raise
  except BrokenPipeError:
    if not _close_unread():
      raise  # a pipe of the command's own
    raise SystemExit(EXIT_NO_READER) from None
