"""Films at http addresses, for `python -m vidjax.predict --urls`: fetched into a folder that is removed at the end."""

import contextlib
import dataclasses
import functools
import http.client
import os
import pathlib
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any

from vidjax.console import say
from vidjax.data import address
from vidjax.errors import InputError
from vidjax.predict.predictor import Predictor, Read

TIMEOUT = 60
"""Seconds without data."""


@contextlib.contextmanager
def with_addresses(predictors: Sequence[Predictor], asked: bool) -> Iterator[list[Predictor]]:
  """The predictors, which read addresses, too, where that was asked for; else an address is an error that says so.

  Args:
    predictors: of files.
    asked: fetch addresses.
  """
  with tempfile.TemporaryDirectory(prefix="vidjax-") as folder:
    fetch = functools.cache(functools.partial(_fetch, pathlib.Path(folder)))

    def reading(predictor: Predictor) -> Predictor:
      def read(video: Any) -> Read:
        if address.kind(name := os.fspath(video)) != "address":
          return predictor.read(video)
        if not asked:
          raise InputError(f"{address.shown(name)} is an address: --urls lets it be fetched")
        path = fetch(name)
        try:
          return predictor.read(path)
        except InputError as error:
          raise InputError(str(error).replace(path, address.shown(name))) from error

      return dataclasses.replace(predictor, read=read)

    yield [reading(predictor) for predictor in predictors]


def _fetch(folder: pathlib.Path, name: str) -> str:
  """The path of what is at an address; raises an InputError where it does not come whole."""
  shown = address.shown(name)
  if not name.lower().startswith(("http://", "https://")):
    raise InputError(f"{shown}: films are fetched by http and https; python -m vidjax.timeline reads others")
  say(f"fetching {shown}", error=True)
  path = folder / str(len(list(folder.iterdir())))
  try:
    with urllib.request.urlopen(name, timeout=TIMEOUT) as answer, path.open("wb") as file:
      shutil.copyfileobj(answer, file)
      wanted = answer.headers.get("Content-Length")
      if wanted is not None and int(wanted) != file.tell():
        raise InputError(f"{shown} cannot be fetched ({file.tell()} of {wanted} bytes came)")
  except (OSError, ValueError, http.client.HTTPException) as error:  # urllib's are of these kinds
    if isinstance(error, InputError):
      raise
    raise InputError(f"{shown} cannot be fetched ({error})") from error
  return str(path)
