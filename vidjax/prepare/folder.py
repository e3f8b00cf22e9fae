"""Videos in folders or lists to a data set: each file decoded whole, and listed with what became of it."""

import collections
import dataclasses
import hashlib
import json
import math
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import rich.console
import rich.progress

from vidjax.console import legible
from vidjax.data import classes, folder, write
from vidjax.data.dataset import REPORT
from vidjax.data.read_film import Storage
from vidjax.data.splits import DEFAULT_FRACTIONS, Divider, check_classes
from vidjax.data.workers import Workers, in_order, spooled
from vidjax.errors import InputError, tidy_at_sigterm

SHOWN = 5
"""Refused files of a folder that are named on the terminal; the report names all."""


@dataclasses.dataclass(frozen=True)
class Report:
  """What became of every file.

  Attributes:
    kept: file, split, labels, group, clips and frames of every file that is in the data set, the number of frames its
      header states, the name of the first file with the same bytes ("" where it is the first), and its SHA-256, by
      which a run knows what it was trained on.
    refused: one sentence for every file that is not, with its name and the reason.
    notes: how a list was read.
    warnings: what may make the splits worth less.
  """

  kept: list[dict[str, Any]] = dataclasses.field(default_factory=list)
  refused: list[str] = dataclasses.field(default_factory=list)
  notes: list[str] = dataclasses.field(default_factory=list)
  warnings: list[str] = dataclasses.field(default_factory=list)

  @property
  def groups(self) -> dict[str, int]:
    """The number of groups in every split; a file that shares its group with no other is one."""
    found: dict[str, set[str]] = collections.defaultdict(set)
    for entry in self.kept:
      found[entry["split"]].add(entry["group"])
    return {split: len(groups) for split, groups in found.items()}

  @property
  def overlaps(self) -> list[str]:
    """One sentence for every file that the user's own splits have in two of them."""
    splits = {entry["file"]: entry["split"] for entry in self.kept}
    copies = [(entry, splits[entry["copy_of"]]) for entry in self.kept if entry["copy_of"] in splits]
    text = "{file} ({split}) is the same file as {copy_of}"
    return [f"{text.format_map(entry)} ({other})" for entry, other in copies if other != entry["split"]]

  def write(self, directory: pathlib.Path) -> None:
    """Writes report.json, and report.txt with one line for every file."""
    ranks = {label: rank for rank, label in enumerate(classes.order({x for one in self.kept for x in one["labels"]}))}
    kept = sorted(self.kept, key=lambda entry: [ranks[label] for label in entry["labels"]])
    lines = [*self.notes, f"groups: {', '.join(f'{count} in {split}' for split, count in self.groups.items())}"]
    lines += [f"warning: {warning}" for warning in (*self.warnings, *self.overlaps)]
    lines += [f"refused: {reason}" for reason in self.refused]
    for entry in kept:
      label = "; ".join(entry["labels"])
      lines.append("kept: {file} ({split}, {label}), {frames} frames, clips: {clips}".format(label=label, **entry))
      if entry["stated_frames"] not in (0, entry["frames"]):
        lines[-1] += f"; the header states {entry['stated_frames']} frames"
      lines[-1] += "".join(f"; {remark}" for remark in entry["remarks"])
      if entry["copy_of"]:
        lines[-1] += f"; the same file as {entry['copy_of']}"
      if entry["group"] != entry["file"]:
        lines[-1] += f"; group {entry['group']}"
    (directory / "report.txt").write_text("".join(f"{legible(line)}\n" for line in lines), encoding="utf-8")
    (directory / REPORT).write_text(json.dumps(dataclasses.asdict(self) | {"kept": kept}, indent=1), encoding="utf-8")


def prepare_folder(
  videos: pathlib.Path | Sequence[pathlib.Path],
  name: str,
  data_dir: pathlib.Path,
  *,
  fractions: Mapping[str, float] | None = None,
  group: str | None = None,
  class_names: Mapping[str, str] | None = None,
  storage: Storage | None = None,
  workers: int = 2,
  timeout: float = 60,
  overwrite: bool = False,
) -> Report:
  """Makes the data set folder/NAME of videos: all of it or, after an error, nothing.

  Args:
    videos: see `vidjax.data.folder.find_films`.
    name: letters, digits, ".", "-" and "_".
    data_dir: where prepared data sets lie.
    fractions: share of every split, see `find_films`, as the next two.
    group: a regular expression that finds the group in a file's name.
    class_names: the classes in their order, number -> name.
    storage: how films are stored.
    workers: number of files decoded at once, each in a process that holds two clips of it as JPEG, some 10 KB a frame.
    timeout: seconds a file may take from one frame to the next before it is refused.
    overwrite: replace a data set of that name.

  Raises:
    InputError: a name in use or unfit, videos that cannot be split, or refused files without which train lacks a class.
  """
  storage = storage or Storage()
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
  inside = [path for path in ([videos] if isinstance(videos, pathlib.Path) else videos) if path.is_dir()]
  if any(path.resolve() in target.resolve().parents for path in inside):
    raise InputError(f"{data_dir / 'folder'} lies inside {inside[0]}, among the videos: choose another --data_dir")
  taken = InputError(f"folder/{name} exists in {data_dir}: choose another --name, or pass --overwrite")
  if target.exists() and not overwrite:
    raise taken
  with tidy_at_sigterm(), Workers(timeout) as processes, tempfile.TemporaryDirectory() as scratch:

    def readable(path: pathlib.Path) -> bool:
      """Whether a file is a video."""
      try:
        sample = Storage(short_side=16, max_corrupt=storage.max_corrupt)
        processes.read(folder.Film(path, str(path), ""), sample, pathlib.Path(scratch) / "spool")
        return True
      except InputError:
        return False

    found = folder.find_films(videos, fractions, group=group, class_names=class_names, readable=readable)
  strays = [f"{file} lies outside any class folder" for file in found.strays]
  report = Report(refused=strays, notes=found.notes, warnings=found.warnings)

  def fill(partial: pathlib.Path) -> None:
    records = partial / write.VERSION
    records.mkdir()
    given = list(dict.fromkeys(film.split for film in found.films if film.split))
    splits = given or list(fractions or DEFAULT_FRACTIONS)
    spools = partial / "spools"
    spools.mkdir()
    optional = ["times", *["flow"] * storage.flow, *["labels"] * any(film.labels is not None for film in found.films)]
    with Workers(timeout, max(1, (os.cpu_count() or 1) // min(workers, len(found.films)))) as processes:
      examples = _examples(found.films, fractions, storage, workers, report, processes, spools)
      write.write_records(records, f"folder/{name}", splits, examples, found.class_names, optional, storage.encoding)
    shutil.rmtree(spools)
    report.warnings.extend(_check_kept(report, found, splits) + _warn_of_rates(report))
    report.write(partial)
    write.seal(records, [f"../{REPORT}"])

  if not write.fill_folder(target, fill, overwrite):
    raise taken
  return report


def _check_kept(report: Report, found: folder.Found, splits: Sequence[str]) -> list[str]:
  """Warnings of what the files that could be read lack; InputError where train lacks a class."""
  pairs = {(entry["split"], label) for entry in report.kept for label in entry["labels"] or ("",)}
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


def _warn_of_rates(report: Report) -> list[str]:
  names = [entry["file"] for entry in report.kept if entry["varies"]]
  if not names:
    return []
  some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
  return [f'the frame rate of {len(names)} files varies ({some}): sample by time, with "by": "time" in the sampler']


def _examples(
  films: Sequence[folder.Film],
  fractions: Mapping[str, float] | None,
  storage: Storage,
  workers: int,
  report: Report,
  processes: Workers,
  spools: pathlib.Path,
) -> Iterator[tuple[str, Mapping[str, Any]]]:
  """Reads the films in their order; yields (split, example) of every clip and fills the report."""
  columns = (*rich.progress.Progress.get_default_columns(), rich.progress.MofNCompleteColumn())

  def spool(film: folder.Film) -> pathlib.Path:
    return spools / hashlib.sha256(os.fsencode(film.name)).hexdigest()

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
        report.kept.append({**entry, "copy_of": film.copy_of, "source": folder.digest_of(film.path).hex()})
        yield from ((split, example) for example in spooled(spool(film)))
      bar.advance(task)
    for place, count in refused.items():
      if count > SHOWN:
        show(f"{count - SHOWN} more files{f' of {place}' * bool(place)}, as {REPORT.replace('.json', '.txt')} lists")
  if not report.kept:
    pictures = all(" is a picture" in reason for reason in report.refused)
    remedy = "; make a video of each folder of frames first, as with ffmpeg -i FOLDER/%05d.jpg" * pictures
    raise InputError(f"none of the {len(films)} files could be read; the last: {report.refused[-1]}{remedy}")


def summary(report: Report) -> list[str]:
  """Clips of every split, files, and a line of classes."""
  clips = collections.Counter()
  for entry in report.kept:
    clips[entry["split"]] += entry["clips"]
  counts = ", ".join(f"{count} clips in {split}" for split, count in clips.items())
  files = collections.Counter(label for entry in report.kept for label in entry["labels"])
  names = [f"{label} ({files[label]})" for label in classes.order(files)]
  copies = sum(bool(entry["copy_of"]) for entry in report.kept) - len(report.overlaps)
  lines = [f"{counts}; {len(report.kept)} files kept, {len(report.refused)} refused", _groups(report)]
  lines.append(f"files by class ({len(names)}): {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}")
  return lines + [f"{copies} equal the bytes of another file and lie in its split"] * bool(copies)


def _groups(report: Report) -> str:
  if len(report.kept) == len({entry["group"] for entry in report.kept}):
    return "groups: none found, so each file counts by itself (see --group)"
  return f"groups: {', '.join(f'{count} in {split}' for split, count in report.groups.items())}"
