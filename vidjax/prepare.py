"""Prepares videos for training: `python -m vidjax.prepare folder --videos=DIR --name=NAME`.

Checks every file by decoding it whole, stores its frames, and lists what was kept, what was refused and why in
report.txt and report.json of the data set.
"""

import collections
import dataclasses
import itertools
import json
import math
import os
import pathlib
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import rich.console
import rich.progress
from absl import flags

from vidjax.build import nearest
from vidjax.data import folder, write
from vidjax.data.read_film import Storage, read
from vidjax.data.workers import in_order
from vidjax.errors import InputError, run_main

USAGE = "python -m vidjax.prepare folder --videos=DIR --name=NAME"


@dataclasses.dataclass(frozen=True)
class Report:
  """What became of every file.

  Attributes:
    kept: file, split, label, clips and frames of every file that is in the data set, the number of frames its header
      states, and the name of the first file with the same bytes, "" where it is the first.
    refused: one sentence for every file that is not, with its name and the reason.
  """

  kept: list[dict[str, Any]] = dataclasses.field(default_factory=list)
  refused: list[str] = dataclasses.field(default_factory=list)

  @property
  def overlaps(self) -> list[str]:
    """One sentence for every file that the user's own splits have in two of them."""
    splits = {entry["file"]: entry["split"] for entry in self.kept}
    copies = [(entry, splits[entry["copy_of"]]) for entry in self.kept if entry["copy_of"]]
    text = "{file} ({split}) is the same file as {copy_of}"
    return [f"{text.format_map(entry)} ({other})" for entry, other in copies if other != entry["split"]]

  def write(self, directory: pathlib.Path) -> None:
    """Writes report.json, and report.txt with one line for every file."""
    lines = [f"warning: {overlap}" for overlap in self.overlaps] + [f"refused: {reason}" for reason in self.refused]
    for entry in self.kept:
      lines.append("kept: {file} ({split}, {label}), {frames} frames, clips: {clips}".format_map(entry))
      if entry["stated_frames"] not in (0, entry["frames"]):
        lines[-1] += f"; the header states {entry['stated_frames']} frames"
      if entry["copy_of"]:
        lines[-1] += f"; the same file as {entry['copy_of']}"
    (directory / "report.txt").write_text("\n".join(lines) + "\n", encoding="utf-8", errors="backslashreplace")
    (directory / "report.json").write_text(json.dumps(dataclasses.asdict(self), indent=1), encoding="utf-8")


def prepare_folder(
  videos: pathlib.Path,
  name: str,
  data_dir: pathlib.Path,
  *,
  fractions: Mapping[str, float] | None = None,
  storage: Storage | None = None,
  workers: int = 2,
  overwrite: bool = False,
) -> Report:
  """Makes the data set folder/NAME of videos: all of it or, after an error, nothing.

  Args:
    videos: see `vidjax.data.folder.find_films`.
    name: letters, digits, ".", "-" and "_".
    data_dir: where prepared data sets lie.
    fractions: share of every split, see `find_films`.
    storage: how films are stored.
    workers: number of files decoded at once; the frames of each are held in memory as JPEG, some 10 KB a frame.
    overwrite: replace a data set of that name.

  Raises:
    InputError: a name in use or unfit, videos that cannot be split, or refused files without which a split
      lacks a class.
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
  target = data_dir / "folder" / name
  if videos.resolve() in target.resolve().parents:
    raise InputError(f"{data_dir / 'folder'} lies inside {videos}, among the videos: choose another --data_dir")
  taken = InputError(f"folder/{name} exists in {data_dir}: choose another --name, or pass --overwrite")
  if target.exists() and not overwrite:
    raise taken
  films = folder.find_films(videos, fractions)
  report = Report(refused=[f"{file} lies outside any class folder" for file in folder.stray_files(videos)])

  def fill(partial: pathlib.Path) -> None:
    records = partial / write.VERSION
    records.mkdir()
    given = list(dict.fromkeys(film.split for film in films if film.split))
    splits = given or list(fractions or folder.DEFAULT_FRACTIONS)
    labels = sorted({film.label for film in films})
    examples = _examples(films, fractions, storage, workers, report)
    optional = ("flow",) if storage.flow else ()
    write.write_records(records, f"folder/{name}", splits, examples, labels, optional, storage.encoding)
    kept = {(entry["split"], entry["label"]) for entry in report.kept}
    folder.check_splits(kept, list(itertools.product(splits, labels)), "the files that could be read give")
    report.write(partial)

  if not write.fill_folder(target, fill, overwrite):
    raise taken
  return report


def _examples(
  films: list[folder.Film], fractions: Mapping[str, float] | None, storage: Storage, workers: int, report: Report
) -> Iterator[tuple[str, Mapping[str, Any]]]:
  """Reads the films in their order; yields (split, example) of every clip and fills the report."""
  columns = (*rich.progress.Progress.get_default_columns(), rich.progress.MofNCompleteColumn())
  sequences = collections.defaultdict(lambda: folder.split_sequence(fractions))
  splits: dict[str, str] = {}
  with rich.progress.Progress(*columns, console=rich.console.Console(stderr=True)) as bar:

    def show(reason: str) -> None:
      bar.console.print(f"refused: {reason}", markup=False, highlight=False, soft_wrap=True)

    for reason in report.refused:
      show(reason)
    task = bar.add_task("preparing", total=len(films))
    for film, future in in_order(lambda film: read(film, storage), films, workers):
      try:
        examples, stated_frames = future.result()
      except (InputError, OSError) as error:
        reason = str(error) if isinstance(error, InputError) else f"{film.name} cannot be read ({error.strerror})"
        reason = f"{film.line}: {reason}" if film.line else reason
        report.refused.append(reason)
        show(reason)
      else:
        split = film.split or splits.get(film.copy_of) or next(sequences[film.label])
        splits[film.name] = split
        entry = {"file": film.name, "split": split, "label": film.label, "clips": len(examples)}
        frames = sum(example["num_frames"] for example in examples)
        report.kept.append({**entry, "frames": frames, "stated_frames": stated_frames, "copy_of": film.copy_of})
        yield from ((split, example) for example in examples)
      bar.advance(task)
  if not report.kept:
    raise InputError(f"none of the {len(films)} files could be read; the last: {report.refused[-1]}")


def main(argv: list[str]) -> None:
  """The command; see --help."""
  values = flags.FLAGS
  if argv[1:] != ["folder"]:
    wrong = f"unexpected argument {argv[2]!r}; " if argv[1:2] == ["folder"] else ""
    if argv[1:] and not wrong:
      wrong = f"cannot prepare {argv[1]!r}{nearest(argv[1], ['folder'])}; "
    raise InputError(f"{wrong}usage: {USAGE}")
  for flag in ("videos", "name"):
    if not values[flag].value:
      raise InputError(f"--{flag} is missing: {USAGE}")
  report = prepare_folder(
    pathlib.Path(values.videos),
    values.name,
    pathlib.Path(values.data_dir),
    fractions=folder.parse_fractions(values.split) if values.split else None,
    storage=Storage(values.short_side, values.encoding, values.clip_seconds, values.flow),
    workers=values.workers,
    overwrite=values.overwrite,
  )
  warnings = report.overlaps
  if len({entry["label"] for entry in report.kept}) == 1:
    warnings.append(f"all videos are of one class, {report.kept[0]['label']!r}: there is nothing to tell apart")
  for warning in warnings:
    print(f"warning: {warning}", file=sys.stderr)
  print(f"folder/{values.name}: {summary(report)}")
  print(f"see {pathlib.Path(values.data_dir) / 'folder' / values.name / 'report.txt'}")


def summary(report: Report) -> str:
  """Clips of every split, files, and a line of classes."""
  clips = collections.Counter()
  for entry in report.kept:
    clips[entry["split"]] += entry["clips"]
  counts = ", ".join(f"{count} clips in {split}" for split, count in clips.items())
  files = collections.Counter(entry["label"] for entry in report.kept)
  classes = [f"{label} ({count})" for label, count in sorted(files.items())]
  copies = sum(bool(entry["copy_of"]) for entry in report.kept) - len(report.overlaps)
  text = f"{counts}; {len(report.kept)} files kept, {len(report.refused)} refused"
  text += f"\nfiles by class ({len(classes)}): {', '.join(classes[:20])}{', ...' if len(classes) > 20 else ''}"
  return text + (f"\n{copies} equal the bytes of another file and lie in its split" if copies else "")


def define_flags() -> None:
  """Defines the flags of the command."""
  flags.DEFINE_string("videos", None, "Folder of class folders, or a .csv or .jsonl file of path,label[,split].")
  flags.DEFINE_string("name", None, "Name of the data set: it opens as folder/NAME.")
  flags.DEFINE_string("split", None, "Share of every split; train:.8,validation:.2 by default.")
  flags.DEFINE_integer("short_side", 256, "Shrink frames to this short side.", lower_bound=1)
  flags.DEFINE_enum(
    "encoding", "jpeg", ["jpeg", "video"], "Store JPEG frames, or the files: smaller, slower to sample."
  )
  flags.DEFINE_integer("workers", os.cpu_count(), "Number of files decoded at once.", lower_bound=1)
  flags.DEFINE_float("clip_seconds", None, "Cut films into clips of this length.", lower_bound=0.01)
  flags.DEFINE_bool("flow", False, "Store the TV-L1 optical flow of neighbouring frames, too.")
  flags.DEFINE_string("data_dir", "data", "Where prepared data sets lie.")
  flags.DEFINE_bool("overwrite", False, "Replace a data set of the same name.")


if __name__ == "__main__":
  define_flags()
  run_main(main, arguments=True)
