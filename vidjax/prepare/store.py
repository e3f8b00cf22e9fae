"""Films to a data set: each decoded whole, and listed with what became of it. All is stored, or nothing.

The work is done in shards (`vidjax.prepare.shards`), so that what is killed resumes. They are made on this machine, in
part on this one (`Part`), or by Apache Beam, and joined here.
"""

import collections
import contextlib
import dataclasses
import json
import math
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import rich.progress

from vidjax.console import legible, say, screen
from vidjax.data import folds, schema, write
from vidjax.data.dataset import OFFICIAL, REPORT
from vidjax.data.films import Film, Found
from vidjax.data.read_film import Storage
from vidjax.data.splits import DEFAULT_FRACTIONS, check_classes, divide, mend
from vidjax.data.workers import Workers
from vidjax.errors import InputError, tidy_at_sigterm
from vidjax.prepare import shards
from vidjax.prepare.report import Report

SHOWN = 5
"""Refused files of a folder that are named on the terminal; the report names all."""

Find = Callable[[Callable[[pathlib.Path], bool]], Found]
"""Finds the films, given a function that says whether a file is a video."""


class Part(NamedTuple):
  """A task of a job array: it makes every `count`-th shard.

  Attributes:
    number: of the task, from 0.
    count: of the tasks.
  """

  number: int
  count: int

  @classmethod
  def parse(cls, text: str) -> "Part":
    """Reads "2/8"; InputError for anything else."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    part = cls(*map(int, match.groups())) if match else cls(0, 0)
    if part.number >= part.count:
      raise InputError(f"--shard={text}: give the task's number and their count, from 0/8 to 7/8 of eight")
    return part


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
  part: Part | None = None,
  beam: str | None = None,
) -> Report | None:
  """Makes the data set folder/NAME of the films that are found: all of it or, after an error, nothing that opens.

  What is killed or interrupted resumes with the same call: shards of films that are complete are kept.

  Args:
    find: the films.
    name: letters, digits, ".", "-" and "_".
    data_dir: where prepared data sets lie.
    inside: folders of videos, in which the data set may not lie.
    fractions: share of every split, where the films have none.
    storage: how films are stored.
    workers: number of files decoded at once, each in a process that holds two clips of it as JPEG, some 10 KB a frame.
    timeout: seconds a file may take from one frame to the next before it is refused.
    overwrite: replace a data set of that name, and what was begun of one with other settings.
    part: make some of the shards; who makes the last one closes the data set.
    beam: flags of Apache Beam, which then makes the shards, see `vidjax.prepare.beam`.

  Returns:
    The report; None where other parts are not there yet.

  Raises:
    InputError: a name in use or unfit, films that cannot be split, refused files without which train lacks a class, or
      a preparation of that name that was begun with other settings.
  """
  storage = storage or Storage()
  target = _target(name, data_dir, inside, storage)
  if part and beam is not None:
    raise InputError("--beam and --shard both divide the work: leave one of the two out")
  taken = InputError(f"folder/{name} exists in {data_dir}: choose another --name, or pass --overwrite")
  if target.exists() and not (overwrite or part or shards.folder_of(target).is_dir()):
    raise taken
  found = _find(find, storage, timeout)
  given = list(dict.fromkeys(film.split for film in found.films if film.split))
  splits = given or list(fractions or DEFAULT_FRACTIONS)
  found = dataclasses.replace(found, films=divide(found.films, fractions))
  work = shards.work_of(found, target, storage, fractions)
  plan = shards.plan(found.films)
  threads = max(1, (os.cpu_count() or 1) // min(workers, len(found.films)))

  def make(own: Sequence[shards.Shard]) -> None:
    if not own:
      return
    if beam is not None:
      from vidjax.prepare.beam import make as make_by_beam

      return make_by_beam(work, own, timeout, beam)
    schema.example_message()  # imports TFDS, and while that lasts no other thread, as the bar's, may import anything
    with _Terminal(sum(len(films) for _, films in own)) as terminal:
      shards.make(work, own, timeout, workers, threads, terminal.tell)

  def close() -> Report:
    return _close(work, found, target, splits, not given, make)

  with write.lock(target, shared=part is not None):
    if target.is_dir() and shards.settings_of(target) == work.settings and (part or not overwrite):
      shutil.rmtree(work.folder, ignore_errors=True)
      return Report.read(target)  # by another task, or by this command, which was killed a moment after
    if target.exists() and not overwrite:
      raise taken
    with _kept_if_whole(work, plan, part is None):
      shards.begin(work, overwrite)
      if part is None:
        _resume(work, plan)
      make(shards.missing(work, plan[part.number :: part.count] if part else plan))
    if part is None:
      return close()
  return _close_if_last(work, plan, target, close)


def _close_if_last(
  work: shards.Work, plan: Sequence[shards.Shard], target: pathlib.Path, close: Callable[[], Report]
) -> Report | None:
  """Closes the data set once all shards are there."""
  if work.folder.is_dir() and (lacking := len(shards.missing(work, plan))):
    say(
      f"{work.name}: {len(plan) - lacking} of {len(plan)} shards are there; the task that makes the last one closes it"
    )
    return None
  with write.lock(target):
    if work.folder.is_dir():
      return close()
    if target.is_dir():
      return Report.read(target)
  raise InputError(f"the preparation of {work.name} was ended by another of its tasks: see what that one said")


def _find(find: Find, storage: Storage, timeout: float) -> Found:
  """The films."""
  with tidy_at_sigterm(), Workers(timeout) as processes, tempfile.TemporaryDirectory() as scratch:

    def readable(path: pathlib.Path) -> bool:
      """Whether a file is a video."""
      try:
        sample = Storage(short_side=16, max_corrupt=storage.max_corrupt)
        processes.read(Film(path, str(path), ""), sample, pathlib.Path(scratch) / "spool")
        return True
      except InputError:
        return False

    return find(readable)


def _resume(work: shards.Work, plan: Sequence[shards.Shard]) -> None:
  """Removes what a killed process left half made, and says what is there."""
  for path in work.folder.glob(".*"):
    shutil.rmtree(path, ignore_errors=True)
  left = sum(len(films) for _, films in shards.missing(work, plan))
  total = sum(len(films) for _, films in plan)
  if left < total:
    say(f"{work.name} is resumed: {total - left} of {total} files were read before", error=True)


@contextlib.contextmanager
def _kept_if_whole(work: shards.Work, plan: Sequence[shards.Shard], alone: bool) -> Iterator[None]:
  """A block whose error leaves complete shards, or nothing where there are none and nobody else is at work."""
  try:
    yield
  except BaseException:
    there = len(plan) - len(shards.missing(work, plan))
    if there:
      say(
        f"{there} of {len(plan)} shards of {work.name} are complete and kept: the same command resumes it", error=True
      )
    elif alone and shards.settings_of(work.folder / "settings") in (None, work.settings):
      shutil.rmtree(work.folder, ignore_errors=True)
    raise


def _close(
  work: shards.Work,
  found: Found,
  target: pathlib.Path,
  splits: Sequence[str],
  divided: bool,
  make: Callable[[Sequence[shards.Shard]], None],
) -> Report:
  """Makes the data set of its shards, which are all there; `divided`: the films came without splits."""
  make(shards.missing(work, shards.plan(found.films)))
  done = _read_all(work, found.films)
  if divided:
    films = mend(found.films, {name for one in done for name in one.refused})
    chosen = {film.name: film.split for film in films}
    moved = [any(entry["split"] != chosen[entry["file"]] for entry in one.kept) for one in done]
    again = [shard for shard, changed in zip(shards.plan(films), moved, strict=True) if changed]
    for number, _ in again:
      shards.drop(work, number)
    make(again)
    done = _read_all(work, films)
  kept = [entry for one in done for entry in one.kept]
  for entry in kept if found.folds else ():
    entry["folds"] = {str(fold): given[entry["file"]] for fold, given in found.folds.items() if entry["file"] in given}
  refused = [f"{file} lies outside any class folder" for file in found.strays]
  refused += [reason for one in done for reason in one.refused.values()]
  report = Report(kept, refused, found.notes, list(found.warnings), found.missing)
  try:
    report.warnings.extend(_check_kept(report, found, splits) + _warn_of_rates(report))
  except InputError:
    shutil.rmtree(work.folder)  # other films make other shards
    raise

  def fill(partial: pathlib.Path) -> None:
    records = partial / write.VERSION
    records.mkdir()
    files: dict[str, list[write.Written]] = {split: [] for split in splits}
    for number, one in enumerate(done):
      for split, written in one.files.items():
        shards.link(work, number, split, write.record_path(records, work.name, split, len(files[split])))
        files[split].append(written)
    write.describe(records, work.name, work.features, {split: own for split, own in files.items() if own})
    report.write(partial)
    shards.write_settings(work, partial)
    sealed = [f"../{REPORT}"]
    if found.folds:
      folds.write(records, report.kept)
      sealed.append(folds.FILE)
    if found.official:
      (records / OFFICIAL).write_text(json.dumps(found.official, indent=1) + "\n", encoding="utf-8")
      sealed.append(OFFICIAL)
    write.seal(records, sealed)
    write.sync(partial)

  write.replace_folder(target, fill)
  shutil.rmtree(work.folder)
  return report


def _read_all(work: shards.Work, films: Sequence[Film]) -> list[shards.Done]:
  """All shards, in their order."""
  found = [shards.read(work, number) for number, _ in shards.plan(films)]
  done = [one for one in found if one is not None]
  if len(done) < len(found):
    raise InputError(f"shards of {work.name} are gone from {work.folder}: type the same command again")
  return done


def _target(name: str, data_dir: pathlib.Path, inside: Sequence[pathlib.Path], storage: Storage) -> pathlib.Path:
  """The data set's folder, once name and storage are checked."""
  write.check_name(name)
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
  """Warnings of what the files that could be read lack; InputError where there is none or train lacks a class."""
  if not report.kept:
    pictures = all(" is a picture" in reason for reason in report.refused)
    remedy = "; put the frames of each video into a folder of their own, CLASS/VIDEO/00001.jpg" * pictures
    count = len(found.films)
    raise InputError(f"none of the {count} files could be read; the last: {report.refused[-1]}{remedy}")
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


class _Terminal:
  """A bar of the films that are done, and the first of those that are refused; a context manager."""

  def __init__(self, total: int):
    columns = (*rich.progress.Progress.get_default_columns(), rich.progress.MofNCompleteColumn())
    self._bar = rich.progress.Progress(*columns, console=screen(error=True))
    self._total = total
    self._refused = collections.Counter[str]()

  def __enter__(self) -> "_Terminal":
    self._bar.start()
    self._task = self._bar.add_task("preparing", total=self._total)
    return self

  def __exit__(self, kind: object, *_: object) -> None:
    for place, count in self._refused.items() if kind is None else ():
      if count > SHOWN:
        self._show(f"{count - SHOWN} more files{f' of {place}' * bool(place)}, as report.txt lists")
    self._bar.stop()

  def tell(self, film: Film, reason: str) -> None:
    """Counts a film, and shows why it was refused, if it was.

    Args:
      film: that is done.
      reason: "" where it was not refused.
    """
    place = film.name.rpartition("/")[0]
    self._refused[place] += bool(reason)
    if reason and self._refused[place] <= SHOWN:
      self._show(reason)
    self._bar.advance(self._task)

  def _show(self, text: str) -> None:
    self._bar.console.print(legible(f"refused: {text}"), markup=False, highlight=False, soft_wrap=True)
