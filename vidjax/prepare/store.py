"""Films to a data set: each decoded whole, and listed with what became of it. All is stored, or nothing."""

import collections
import hashlib
import json
import math
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import rich.console
import rich.progress

from vidjax.console import legible
from vidjax.data import folds, write
from vidjax.data.copies import digest_of
from vidjax.data.dataset import OFFICIAL, REPORT
from vidjax.data.films import Film, Found
from vidjax.data.read_film import Storage
from vidjax.data.splits import DEFAULT_FRACTIONS, Divider, check_classes
from vidjax.data.workers import Workers, in_order, spooled
from vidjax.errors import InputError, tidy_at_sigterm
from vidjax.prepare.report import Report

SHOWN = 5
"""Refused files of a folder that are named on the terminal; the report names all."""

Find = Callable[[Callable[[pathlib.Path], bool]], Found]
"""Finds the films, given a function that says whether a file is a video."""


def store(
  find: Find,
  name: str,
  data_dir: pathlib.Path,
  *,
  inside: Sequence[pathlib.Path] = (),
  fractions: Mapping[str, float] | None = None,
  storage: Storage | None = None,
  workers: int = 2,
  timeout: float = 60,
  overwrite: bool = False,
) -> Report:
  """Makes the data set folder/NAME of the films that are found: all of it or, after an error, nothing.

  Args:
    find: the films.
    name: letters, digits, ".", "-" and "_".
    data_dir: where prepared data sets lie.
    inside: folders of videos, in which the data set may not lie.
    fractions: share of every split, where the films have none.
    storage: how films are stored.
    workers: number of files decoded at once, each in a process that holds two clips of it as JPEG, some 10 KB a frame.
    timeout: seconds a file may take from one frame to the next before it is refused.
    overwrite: replace a data set of that name.

  Raises:
    InputError: a name in use or unfit, films that cannot be split, or refused files without which train lacks a class.
  """
  storage = storage or Storage()
  target = _target(name, data_dir, inside, storage)
  taken = InputError(f"folder/{name} exists in {data_dir}: choose another --name, or pass --overwrite")
  if target.exists() and not overwrite:
    raise taken
  with tidy_at_sigterm(), Workers(timeout) as processes, tempfile.TemporaryDirectory() as scratch:

    def readable(path: pathlib.Path) -> bool:
      """Whether a file is a video."""
      try:
        sample = Storage(short_side=16, max_corrupt=storage.max_corrupt)
        processes.read(Film(path, str(path), ""), sample, pathlib.Path(scratch) / "spool")
        return True
      except InputError:
        return False

    found = find(readable)
  strays = [f"{file} lies outside any class folder" for file in found.strays]
  report = Report(refused=strays, notes=found.notes, warnings=found.warnings, missing=found.missing)

  def fill(partial: pathlib.Path) -> None:
    records = partial / write.VERSION
    records.mkdir()
    given = list(dict.fromkeys(film.split for film in found.films if film.split))
    splits = given or list(fractions or DEFAULT_FRACTIONS)
    spools = partial / "spools"
    spools.mkdir()
    optional = ["times", *["flow"] * storage.flow, *["labels"] * any(film.labels is not None for film in found.films)]
    with Workers(timeout, max(1, (os.cpu_count() or 1) // min(workers, len(found.films)))) as processes:
      examples = _examples(found, fractions, storage, workers, report, processes, spools)
      write.write_records(records, f"folder/{name}", splits, examples, found.class_names, optional, storage.encoding)
    shutil.rmtree(spools)
    report.warnings.extend(_check_kept(report, found, splits) + _warn_of_rates(report))
    report.write(partial)
    sealed = [f"../{REPORT}"]
    if found.folds:
      folds.write(records, report.kept)
      sealed.append(folds.FILE)
    if found.official:
      (records / OFFICIAL).write_text(json.dumps(found.official, indent=1) + "\n", encoding="utf-8")
      sealed.append(OFFICIAL)
    write.seal(records, sealed)

  if not write.fill_folder(target, fill, overwrite):
    raise taken
  return report


def _target(name: str, data_dir: pathlib.Path, inside: Sequence[pathlib.Path], storage: Storage) -> pathlib.Path:
  """The data set's folder, once name and storage are checked."""
  if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,99}", name, re.ASCII):
    raise InputError(
      f"--name={name[:100]}: use up to 100 letters, digits, '.', '-' and '_', and begin with a letter or a digit"
    )
  if storage.clip_seconds is not None and not 0 < storage.clip_seconds < math.inf:
    raise InputError(f"--clip_seconds={storage.clip_seconds}: give a positive number of seconds")
  if storage.encoding == "video" and storage.clip_seconds:
    raise InputError("--encoding=video keeps whole files, which --clip_seconds cannot cut: leave one of the two out")
  if storage.encoding == "video" and storage.max_corrupt:
    raise InputError("--encoding=video keeps files as they are, damage included: leave --max_corrupt out")
  target = data_dir / "folder" / name
  if any(path.resolve() in target.resolve().parents for path in inside):
    raise InputError(f"{data_dir / 'folder'} lies inside {inside[0]}, among the videos: choose another --data_dir")
  return target


def _check_kept(report: Report, found: Found, splits: Sequence[str]) -> list[str]:
  """Warnings of what the files that could be read lack; InputError where train lacks a class."""
  pairs = {(entry["split"], label) for entry in report.kept for label in entry["labels"] or ("",)}
  if found.official:
    return _check_official(report, found)
  empty = [split for split in splits if split not in {split for split, _ in pairs}]
  if "train" in empty:
    raise InputError(f"no file of the split 'train' could be read; the last that was refused: {report.refused[-1]}")
  why = "none of its files could be read" if report.refused else "there are too few videos for it"
  warnings = [f"the split {split!r} is left out: {why}" for split in empty]
  labels = {label for film in found.films for label in film.classes}
  warnings += check_classes(pairs, labels, "the files that could be read give")
  unused = [name for name in found.class_names if name not in labels]
  if unused:
    names = ", ".join(map(repr, unused[:5])) + (", ..." if len(unused) > 5 else "")
    warnings.append(f"{len(unused)} of the {len(found.class_names)} classes have no video ({names})")
  return warnings


def _check_official(report: Report, found: Found) -> list[str]:
  """Warnings of what the kept files of a published data set lack; its splits are as they are."""
  given = dict.fromkeys(film.split for film in found.films)
  read = {entry["split"] for entry in report.kept}
  told = [f"the split {split!r} is left out: none of its files could be read" for split in given if split not in read]
  sides: dict[str, set[str]] = collections.defaultdict(set)
  for entry in report.kept:
    for fold, split in entry.get("folds", {"": entry["split"]}).items():
      sides[f"split {split!r}" + f" of fold {fold}" * bool(fold)] |= {*entry["labels"]}
  for where, labels in sides.items():
    lacking = [name for name in found.class_names if name not in labels]
    if lacking and labels:
      names = ", ".join(map(repr, lacking[:5])) + (", ..." if len(lacking) > 5 else "")
      told.append(f"{where} has no video of {len(lacking)} of {len(found.class_names)} classes ({names})")
  return told


def _warn_of_rates(report: Report) -> list[str]:
  names = [entry["file"] for entry in report.kept if entry["varies"]]
  if not names:
    return []
  some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
  return [f'the frame rate of {len(names)} files varies ({some}): sample by time, with "by": "time" in the sampler']


def _examples(
  found: Found,
  fractions: Mapping[str, float] | None,
  storage: Storage,
  workers: int,
  report: Report,
  processes: Workers,
  spools: pathlib.Path,
) -> Iterator[tuple[str, Mapping[str, Any]]]:
  """Reads the films in their order; yields (split, example) of every clip and fills the report."""
  columns = (*rich.progress.Progress.get_default_columns(), rich.progress.MofNCompleteColumn())

  def spool(film: Film) -> pathlib.Path:
    return spools / hashlib.sha256(os.fsencode(film.name)).hexdigest()

  films = found.films
  divider = Divider(((film.label, film.group) for film in films), fractions)
  with rich.progress.Progress(*columns, console=rich.console.Console(stderr=True)) as bar:
    refused = collections.Counter[str]()

    def show(text: str) -> None:
      bar.console.print(legible(f"refused: {text}"), markup=False, highlight=False, soft_wrap=True)

    def refuse(folder: str, reason: str) -> None:
      refused[folder] += 1
      if refused[folder] <= SHOWN:
        show(reason)

    for reason in report.refused:
      refuse("", reason)
    task = bar.add_task("preparing", total=len(films))
    for film, future in in_order(lambda film: processes.read(film, storage, spool(film)), films, workers):
      try:
        kept = future.result()
      except InputError as error:
        spool(film).unlink(missing_ok=True)
        reason = f"{film.line}: {error}" if film.line else str(error)
        report.refused.append(reason)
        divider.refuse(film.label, film.group)
        refuse(film.name.rpartition("/")[0], reason)
      else:
        split = film.split or divider.choose(film.label, film.group)
        names = [label for label in film.classes if label]
        entry = {"file": film.name, "split": split, "labels": names, "group": film.group, **vars(kept)}
        if found.folds:
          entry["folds"] = {str(fold): given[film.name] for fold, given in found.folds.items() if film.name in given}
        report.kept.append({**entry, "copy_of": film.copy_of, "source": digest_of(film.path).hex()})
        yield from ((split, example) for example in spooled(spool(film)))
      bar.advance(task)
    for place, count in refused.items():
      if count > SHOWN:
        show(f"{count - SHOWN} more files{f' of {place}' * bool(place)}, as {REPORT.replace('.json', '.txt')} lists")
  if not report.kept:
    pictures = all(" is a picture" in reason for reason in report.refused)
    remedy = "; put the frames of each video into a folder of their own, CLASS/VIDEO/00001.jpg" * pictures
    raise InputError(f"none of the {len(films)} files could be read; the last: {report.refused[-1]}{remedy}")
