"""What commands print: one line at a time, in letters that show, and copied to a file where one is kept."""

import contextlib
import json
import logging
import pathlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from rich.console import Console

_log = logging.getLogger("vidjax.console")
_log.propagate = False  # what is printed here is not printed again by the handlers above
_log.setLevel(logging.INFO)


def legible(text: str) -> str:
  r"""The text with an escape such as `\n` or `\x1b` for every letter that does not print.

  A name may hold a line break, which would forge a line of a report, or the codes that move a terminal's cursor.
  """
  return "".join(x if x.isprintable() else x.encode("unicode_escape").decode() for x in text)


def clock(seconds: float) -> str:
  """Hours, minutes and seconds: 1:02:03.4, or 2:03.4 below an hour."""
  tenths = round(seconds * 10)
  sign, tenths = "-" * (tenths < 0), abs(tenths)
  minutes, rest = divmod(tenths, 600)
  hours, minutes = divmod(minutes, 60)
  front = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
  return f"{sign}{front}:{rest // 10:02d}.{rest % 10}"


def counted(number: int, one: str, several: str = "") -> str:
  """A number and what it counts: "1 film", "2 films".

  Args:
    number: how many.
    one: the word for one.
    several: that for any other number (default: with an s).
  """
  return f"{number} {one if number == 1 else several or one + 's'}"


def say(text: str, error: bool = False) -> None:
  """Prints a line on stdout, or on stderr.

  Args:
    text: the line; letters that do not show are escaped, see `legible`.
    error: print it on stderr, not on stdout.
  """
  print(legible(text), file=sys.stderr if error else sys.stdout, flush=True)
  note(text)


def screen(error: bool = False) -> "Console":
  """What progress bars are drawn on: stdout, or stderr where `error`. A notebook gets lines, as a file does."""
  from rich.console import Console  # slow to import

  python = sys.modules.get("IPython")
  notebook = python is not None and hasattr(python.get_ipython(), "kernel")
  terminal = False if notebook else None  # a notebook's stdout says that it is a terminal; None asks
  return Console(file=sys.stderr if error else sys.stdout, force_terminal=terminal, force_jupyter=False)


def say_json(value: Any) -> None:
  """Prints a value as JSON on stdout."""
  text = json.dumps(value, indent=2, ensure_ascii=False)
  print("".join(x if x.isprintable() or x == "\n" else json.dumps(x)[1:-1] for x in text), flush=True)


def note(text: str) -> None:
  """Writes a line to the file of `copied_to` alone."""
  _log.info("%s", legible(text))


@contextlib.contextmanager
def copied_to(path: pathlib.Path) -> Iterator[None]:
  """Adds what is printed within to a file, each line with its time, and the warnings of vidjax's own loggers.

  An error that ends the block is written there, too. A file that cannot be written stops nothing.
  """
  handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
  handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s"))
  handler.handleError = lambda record: None
  loggers = (_log, logging.getLogger("vidjax"))
  for logger in loggers:
    logger.addHandler(handler)
  try:
    yield
  except BaseException as error:
    note(f"{type(error).__name__}: {error}")
    raise
  finally:
    for logger in loggers:
      logger.removeHandler(handler)
    handler.close()
