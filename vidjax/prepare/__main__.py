"""Prepares videos for training: `python -m vidjax.prepare folder --videos=DIR --name=NAME`.

Checks every file by decoding it whole, stores its frames, and lists what was kept, what was refused and why in
report.txt and report.json of the data set.
"""

import os
import pathlib

from absl import flags

from vidjax.build import nearest
from vidjax.command import run_main
from vidjax.console import say
from vidjax.data import classes
from vidjax.data.read_film import Storage
from vidjax.data.splits import parse_fractions
from vidjax.errors import InputError
from vidjax.prepare.folder import prepare_folder, summary

USAGE = "python -m vidjax.prepare folder --videos=DIR --name=NAME"


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
  paths = [pathlib.Path(path) for path in values.videos]
  report = prepare_folder(
    paths[0] if len(paths) == 1 else paths,
    values.name,
    pathlib.Path(values.data_dir),
    fractions=parse_fractions(values.split) if values.split else None,
    group=values.group,
    class_names=classes.read(pathlib.Path(values.classes)) if values.classes else None,
    storage=Storage(values.short_side, values.encoding, values.clip_seconds, values.flow, values.max_corrupt),
    workers=values.workers,
    timeout=values.timeout,
    overwrite=values.overwrite,
  )
  warnings = [*report.warnings, *report.overlaps]
  if len({entry["label"] for entry in report.kept}) == 1:
    warnings.append(f"all videos are of one class, {report.kept[0]['label']!r}: there is nothing to tell apart")
  for note in report.notes:
    say(note, error=True)
  for warning in warnings:
    say(f"warning: {warning}", error=True)
  first, *rest = summary(report)
  for line in (f"folder/{values.name}: {first}", *rest):
    say(line)
  say(f"see {pathlib.Path(values.data_dir) / 'folder' / values.name / 'report.txt'}")


def define_flags() -> None:
  """Defines the flags of the command."""
  flags.DEFINE_multi_string(
    "videos", None, "Folder of class folders, or a list of path,label[,split[,group]]; or one list for each split."
  )
  flags.DEFINE_string("name", None, "Name of the data set: it opens as folder/NAME.")
  flags.DEFINE_string("split", None, "Share of every split; train:.8,validation:.2 by default.")
  flags.DEFINE_string(
    "group", None, "Regular expression: files whose names agree in its first capture stay in one split."
  )
  flags.DEFINE_string("classes", None, "File with the class names in their order, one a line.")
  flags.DEFINE_integer("short_side", 256, "Shrink frames to this short side.", lower_bound=1)
  flags.DEFINE_enum(
    "encoding", "jpeg", ["jpeg", "video"], "Store JPEG frames, or the files: smaller, slower to sample."
  )
  flags.DEFINE_integer("workers", os.cpu_count(), "Number of files decoded at once.", lower_bound=1)
  flags.DEFINE_float("timeout", 60, "Refuse a file that gives no frame for this many seconds.", lower_bound=1)
  flags.DEFINE_integer("max_corrupt", 0, "Refuse a file with more frames that FFmpeg marks as damaged.", lower_bound=0)
  flags.DEFINE_float("clip_seconds", None, "Cut films into clips of this length.", lower_bound=0.01)
  flags.DEFINE_bool("flow", False, "Store the TV-L1 optical flow of neighbouring frames, too.")
  flags.DEFINE_string("data_dir", "data", "Where prepared data sets lie.")
  flags.DEFINE_bool("overwrite", False, "Replace a data set of the same name.")


if __name__ == "__main__":
  define_flags()
  run_main(main, arguments=True)
