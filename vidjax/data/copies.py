"""Files with the same bytes under several names."""

import collections
import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Callable, Sequence

from vidjax.data import frame_folder
from vidjax.data.films import Film
from vidjax.data.span import Span


def find_copies(
  films: Sequence[Film], readable: Callable[[pathlib.Path], bool]
) -> tuple[list[Film], list[str], list[tuple[str, str]]]:
  """The films with their sizes, copies of an earlier one's file marked, and the clashes of their classes.

  Only files of one size are read. Equal files in two classes are compared only where they are videos at all.

  Args:
    films: in the order in which the first of equal ones counts.
    readable: whether a file is a video.

  Returns:
    The films, the clashes, and the names of films, parts of one file among them, whose files are equal.
  """
  sizes = {film.path: _size(film) for film in films}
  counts = collections.Counter(sizes[film.path] for film in films)
  digests: dict[pathlib.Path, bytes] = {}
  pairs: list[tuple[str, str]] = []
  names: dict[bytes, str] = {}
  equal: dict[tuple[bytes, Span | None], list[Film]] = collections.defaultdict(list)
  for film in films:
    if film.path not in digests:
      size = sizes[film.path]
      digests[film.path] = digest_of(film.path) if size and counts[size] > 1 else b""
    if digests[film.path]:
      pairs.append((film.name, names.setdefault(digests[film.path], film.name)))
    equal[digests[film.path] or os.fsencode(film.name), film.span].append(film)
  originals: dict[str, str] = {}
  clashes = []
  for first, *others in equal.values():
    other = [film for film in others if {*film.classes} != {*first.classes}]
    if other and not readable(first.path):
      continue  # each is refused by itself
    clashes += [f"{first} and {film} are the same file" for film in other]
    originals |= {film.name: first.name for film in others}
  marked = [dataclasses.replace(film, copy_of=originals.get(film.name, ""), size=sizes[film.path]) for film in films]
  return marked, clashes, pairs


def _size(film: Film) -> int:
  try:
    return sum(path.stat().st_size for path in frame_folder.files(film.path))
  except OSError:
    return 0  # decoding tells why


def digest_of(path: pathlib.Path) -> bytes:
  """SHA-256 of a file, or of the files of a folder of frames one after the other; empty where it cannot be read."""
  digest = hashlib.sha256()
  try:
    for part in frame_folder.files(path):
      with part.open("rb") as file:
        hashlib.file_digest(file, lambda: digest)
    return digest.digest()
  except OSError:
    return b""
