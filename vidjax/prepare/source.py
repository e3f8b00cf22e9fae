"""A published data set, read from its official files, to a data set of ours."""

import dataclasses
import importlib
import pathlib
import pkgutil
from collections.abc import Callable, Sequence

from vidjax.data import folder, official, sources
from vidjax.data.films import Film, Found
from vidjax.data.place import Place
from vidjax.data.read_film import Storage
from vidjax.prepare.report import Report
from vidjax.prepare.store import Part, store

SHOWN = 3
"""Missing files that are named on the terminal; the report names all."""


def names() -> list[str]:
  """The names of the sources: those of the files in `vidjax/data/sources`."""
  return sorted(module.name for module in pkgutil.iter_modules(sources.__path__))


def prepare_source(
  source: str,
  directory: pathlib.Path,
  name: str | None,
  data_dir: pathlib.Path,
  *,
  storage: Storage | None = None,
  allow_missing: bool = False,
  workers: int = 2,
  timeout: float = 60,
  overwrite: bool = False,
  part: Part | None = None,
  beam: str | None = None,
) -> Report | None:
  """Makes the data set folder/NAME of the official files of a source.

  Args:
    source: its name, one of `names()`.
    directory: where its files lie.
    name: of the data set; that of the source by default.
    data_dir: where prepared data sets lie.
    storage: how films are stored; `fps` is by default the official rate.
    allow_missing: prepare what is there although listed films are missing.
    workers: as in `store`, as the next two.
    timeout: seconds a file may take from one frame to the next.
    overwrite: replace a data set of that name, and what was begun of one with other settings.
    part: make some of the shards; who makes the last one closes the data set.
    beam: flags of Apache Beam, which then makes the shards, see `vidjax.prepare.beam`.

  Returns:
    The report; None where other parts are not there yet.

  Raises:
    InputError: official files or listed films are missing, damaged or contradict each other.
  """
  read: Callable[[pathlib.Path], official.Official] = importlib.import_module(f"{sources.__name__}.{source}").read
  place: Place = importlib.import_module(f"{sources.__name__}.{source}").PLACE
  found = read(directory)
  _check(place, directory, found, allow_missing)
  storage = storage or Storage()
  storage = dataclasses.replace(storage, fps=storage.fps or found.fps)
  return store(
    lambda readable: _found(source, found, readable),
    name or source,
    data_dir,
    storage=storage,
    workers=workers,
    timeout=timeout,
    overwrite=overwrite,
    part=part,
    beam=beam,
  )


def _check(place: Place, directory: pathlib.Path, found: official.Official, allow_missing: bool) -> None:
  """Raises an InputError where films are missing that may not be."""
  count, lost = len(found.films) + len(found.missing), len(found.missing)
  some = "; ".join(map(str, found.missing[:SHOWN]))
  if not found.films:
    raise place.error(f"{directory} has none of the {count:,} videos that the lists name ({some})")
  if lost and not (found.may_lack or allow_missing):
    raise place.error(
      f"{lost:,} of the {count:,} videos that the lists name are missing, as after half a download ({some}): complete"
      " it, or pass --allow_missing to prepare what is there"
    )


def _found(source: str, found: official.Official, readable: Callable[[pathlib.Path], bool]) -> Found:
  """What is to be stored, with warnings."""
  folder.check_labels(found.films)
  films, clashes = folder.arrange(found.films, readable)
  warnings = [*official.differences(found), *_shared(films, found)]
  if clashes:
    warnings.append(f"{len(clashes)} videos equal one of another class byte by byte (such as {clashes[0]})")
  if found.missing:
    count = len(found.missing)
    text = f"{count:,} of the {count + len(films):,} listed videos are missing, which the report lists"
    classes = official.missing_by_class(found)
    warnings.append(text + f"; by class: {classes}" * bool(classes))
  stored = {
    "source": source,
    "classes": found.num_classes,
    "expected": dict(found.expected),
    "mirrored": [list(pair) for pair in found.mirrored],
    "missing": len(found.missing),
  }
  return Found(
    films,
    found.class_names,
    notes=list(found.notes),
    warnings=warnings,
    missing=[f"{film} ({film.split}) is not below --source" for film in found.missing],
    folds=found.folds,
    official=stored,
  )


def _shared(films: Sequence[Film], found: official.Official) -> list[str]:
  """Warnings of groups that splits share."""
  if not found.folds:
    return folder.warn_of_shared(films)
  told = []
  for fold, given in found.folds.items():
    own = [dataclasses.replace(film, split=given[film.name]) for film in films if film.name in given]
    told += [f"fold {fold}: {warning}" for warning in folder.warn_of_shared(own)]
  return told
