"""Files that are written whole or not at all, so that a stop leaves the old one."""

import contextlib
import os
import pathlib
import socket
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def whole(path: str | os.PathLike) -> Iterator[pathlib.Path]:
  """Yields a name beside `path`, which ends in .partial. What is written there becomes `path` at the end.

  An error or a signal that raises removes it; after a kill it stays. A device such as /dev/stdout is written directly.
  """
  path = pathlib.Path(path)
  if path.exists() and not path.is_file():
    yield path
    return
  target = pathlib.Path(os.path.realpath(path))  # a link stays one
  own = f"{socket.gethostname()}.{os.getpid()}"  # tasks of a job array, and processes of a training, may write at once
  partial = target.with_name(f".{target.name}.{own}.partial")
  try:
    yield partial
    partial.replace(target)
  except OSError as error:
    if error.filename != str(partial):
      raise
    raise OSError(error.errno, error.strerror, str(path)) from error
  finally:
    with contextlib.suppress(OSError):
      partial.unlink(missing_ok=True)


def cell(value: Any) -> Any:
  """A value as a cell of a CSV: a spreadsheet would run a text that begins as a formula, so that gets an apostrophe."""
  formula = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
  return f"'{value}" if formula else value


def write_text(path: str | os.PathLike, text: str, errors: str = "strict") -> None:
  """Writes a text in UTF-8, whole or not at all.

  Args:
    path: of the file.
    text: all of it.
    errors: what happens to letters that are no text, as for `open`.
  """
  with whole(path) as partial:
    partial.write_text(text, encoding="utf-8", errors=errors)
