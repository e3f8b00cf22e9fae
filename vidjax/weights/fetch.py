"""Files of https addresses, fetched once: into `VIDJAX_CACHE`, or ~/.cache/vidjax."""

import hashlib
import os
import pathlib
import shutil
import urllib.request

from vidjax.console import say
from vidjax.errors import InputError
from vidjax.files import whole


class NotFetched(InputError):
  """A file that could not be had from where it lies, so that a person has to fetch it."""


def fetched(address: str) -> pathlib.Path:
  """The local copy of a file; it is fetched where there is none, whole or not at all.

  Raises:
    NotFetched: the address cannot be reached, or what comes is cut short.
  """
  folder = pathlib.Path(os.environ.get("VIDJAX_CACHE") or pathlib.Path.home() / ".cache" / "vidjax")
  path = folder / hashlib.sha256(address.encode()).hexdigest()[:12] / address.rpartition("/")[2]
  if path.is_file():
    return path
  say(f"fetching {address} into {path.parent}", error=True)
  path.parent.mkdir(parents=True, exist_ok=True)
  with whole(path) as partial:
    try:
      with urllib.request.urlopen(address, timeout=60) as answer, partial.open("wb") as file:
        shutil.copyfileobj(answer, file)
        came, wanted = file.tell(), answer.headers.get("Content-Length")
    except OSError as error:  # urllib's are of this kind
      raise NotFetched(f"{address} cannot be fetched ({error})") from error
    if wanted is not None and int(wanted) != came:
      raise NotFetched(f"{address} cannot be fetched ({came} of {wanted} bytes came)")
  return path
