"""Prepares data sets: videos for training, features of a trained network, or the keyframes that one keeps.

  python -m vidjax.prepare folder --videos=DIR --name=NAME
  python -m vidjax.prepare ucf101 --source=DIR
  python -m vidjax.prepare features --workdir=RUN --name=NAME [--data=OTHER] [--per=segment|frame|window]
  python -m vidjax.prepare features --config=FILE --weights=FILE --data=NAME --name=NEW
  python -m vidjax.prepare keyframes --workdir=SCOUT --name=NAME [--data=OTHER] [--clips=4]
  python -m vidjax.prepare statistics --data=NAME [--data=OTHER]

`folder` checks every file by decoding it whole, stores its frames, and lists what was kept, what was refused and why in
report.txt and report.json of the data set. `ucf101` and the other names of `vidjax.data.sources` do the same with the
official files of a published data set, and `statistics` prints the sizes beside the official ones. `features` runs a
network once over a data set and stores what it makes of each video as features/NAME; stopped, the same command resumes
it. `keyframes` stores the frames that a run with attention keeps of each video as folder/NAME, for any other network.
"""

import os
import pathlib
import sys

from absl import flags

from vidjax.build import nearest
from vidjax.command import plain_config, run_main
from vidjax.console import say
from vidjax.data import classes
from vidjax.data.read_film import Storage
from vidjax.data.splits import parse_fractions
from vidjax.errors import InputError
from vidjax.prepare.folder import prepare_folder
from vidjax.prepare.report import Report, summary
from vidjax.prepare.source import names, prepare_source

USAGE = {
  "folder": "python -m vidjax.prepare folder --videos=DIR --name=NAME",
  "features": "python -m vidjax.prepare features --workdir=RUN --name=NAME",
  "keyframes": "python -m vidjax.prepare keyframes --workdir=SCOUT --name=NAME",
  "statistics": "python -m vidjax.prepare statistics --data=NAME",
}
SOURCE = f"python -m vidjax.prepare {{{','.join(names())}}} --source=DIR"


def main(argv: list[str]) -> None:
  """The command; see --help."""
  given = argv[1:]
  known = [*USAGE, *names()]
  if len(given) != 1 or given[0] not in known:
    wrong = f"unexpected argument {given[1]!r}; " if given and given[0] in known else ""
    if given and not wrong:
      wrong = f"cannot prepare {given[0]!r}{nearest(given[0], known)}; "
    raise InputError(f"{wrong}usage: {' or '.join([*USAGE.values(), SOURCE])}")
  kind, values = given[0], flags.FLAGS
  needed = {"folder": ("videos", "name"), "features": ("name",), "keyframes": ("workdir", "name")}
  for flag in (needed | {"statistics": ("data",)}).get(kind, ("source",)):
    if not values[flag].value:
      raise InputError(f"--{flag} is missing: {USAGE.get(kind, SOURCE)}")
  commands = {"folder": folder, "features": features, "keyframes": keyframes, "statistics": statistics}
  if kind in commands:
    commands[kind](values)
  else:
    published(kind, values)


def folder(values: flags.FlagValues) -> None:
  """Videos in folders or lists."""
  paths = [pathlib.Path(path) for path in values.videos]
  report = prepare_folder(
    paths[0] if len(paths) == 1 else paths,
    values.name,
    pathlib.Path(values.data_dir),
    fractions=parse_fractions(values.split) if values.split else None,
    group=values.group,
    class_names=classes.read(pathlib.Path(values.classes)) if values.classes else None,
    storage=_storage(values),
    workers=values.workers,
    timeout=values.timeout,
    overwrite=values.overwrite,
  )
  _show(report, values.name, values.data_dir)


def published(source: str, values: flags.FlagValues) -> None:
  """A published data set.

  Args:
    source: its name.
    values: the flags.
  """
  report = prepare_source(
    source,
    pathlib.Path(values.source),
    values.name,
    pathlib.Path(values.data_dir),
    storage=_storage(values),
    allow_missing=values.allow_missing,
    workers=values.workers,
    timeout=values.timeout,
    overwrite=values.overwrite,
  )
  _show(report, values.name or source, values.data_dir)


def statistics(values: flags.FlagValues) -> None:
  """The sizes of prepared data sets."""
  from vidjax.prepare.statistics import table

  for line in table(values.data, values.data_dir):
    say(line)


def _storage(values: flags.FlagValues) -> Storage:
  return Storage(
    values.short_side, values.encoding, values.clip_seconds, values.flow, values.max_corrupt, fps=values.fps
  )


def _show(report: Report, name: str, data_dir: str) -> None:
  """Prints what became of a preparation."""
  warnings = [*report.warnings, *report.overlaps]
  found = {tuple(entry["labels"]) for entry in report.kept}
  if len(found) == 1 and any(found):  # of videos without labels nothing is to be told
    names = ", ".join(map(repr, *found))
    warnings.append(f"all videos are of one class, {names}: there is nothing to tell apart")
  for note in report.notes:
    say(note, error=True)
  for warning in warnings:
    say(f"warning: {warning}", error=True)
  first, *rest = summary(report)
  for line in (f"folder/{name}: {first}", *rest):
    say(line)
  say(f"see {pathlib.Path(data_dir) / 'folder' / name / 'report.txt'}")


def features(values: flags.FlagValues) -> None:
  """Features of a trained network over a data set."""
  from vidjax.apply.sharding import make_mesh
  from vidjax.predict.model import load_model
  from vidjax.prepare.features import Settings, prepare_features
  from vidjax.run.opened import Run, open_run

  if bool(values.workdir) == bool(values.config and values.weights):
    raise InputError(f"give --workdir=RUN, or --config=FILE and --weights=FILE: {USAGE['features']}")
  if values.workdir:
    run = open_run(
      values.workdir, values.checkpoint, values.data_dir, values.data, trusted=values.trust, fold=values.fold
    )
  else:
    if not values.data:
      raise InputError("--data=NAME is missing: name the data set")
    config = plain_config(values.config)
    config["data"] |= {"name": values.data, "dir": values.data_dir or config["data"]["dir"], "fold": values.fold}
    names = Run(config).class_names
    run = load_model(config, values.weights, names, new=values.new, unused=values.unused).run
  report = prepare_features(
    run,
    values.name,
    pathlib.Path(run.data.dir),
    Settings(values.per, values.stride),
    mesh=make_mesh(),
    batch_size=values.batch_size,
    skip_damaged=values.skip_damaged,
    overwrite=values.overwrite,
  )
  for split, counts in report["splits"].items():
    damaged = f", {counts['damaged']} damaged videos left out" * bool(counts["damaged"])
    say(f"{split}: {counts['features']} features of {counts['videos']} videos{damaged}")
  say(f"features/{values.name}: {report['width']} numbers each (--config.stream.width={report['width']})")


def keyframes(values: flags.FlagValues) -> None:
  """The frames that a trained network keeps."""
  from vidjax.apply.sharding import make_mesh
  from vidjax.prepare.keyframes import prepare_keyframes
  from vidjax.run.opened import open_run

  run = open_run(
    values.workdir, values.checkpoint, values.data_dir, values.data, trusted=values.trust, fold=values.fold
  )
  report = prepare_keyframes(
    run,
    values.name,
    pathlib.Path(run.data.dir),
    mesh=make_mesh(),
    clips=values.clips,
    batch_size=values.batch_size,
    skip_damaged=values.skip_damaged,
    overwrite=values.overwrite,
  )
  for split, counts in report["splits"].items():
    shut = f"; every gate was shut in {counts['every_gate_shut']}, of which the best frame is kept"
    say(
      f"{split}: {counts['frames']} of the {counts['looked_at']} frames looked at, of {counts['videos']} videos"
      + shut * bool(counts["every_gate_shut"])
    )
  say(f"folder/{values.name}: train on it with --config.data.name=folder/{values.name}")


def define_keyframe_flags() -> None:
  """Defines the flags of `keyframes`."""
  flags.DEFINE_integer("clips", 4, "Test clips of each video that the run looks at, each of other frames.", 1)
  _define_run_flags("folder")


def define_feature_flags() -> None:
  """Defines the flags of `features`."""
  flags.DEFINE_string("config", None, "In place of a run: a config, FILE[:argument], whose network takes --weights.")
  flags.DEFINE_string("weights", None, "A checkpoint for --config, as vidjax.weights reads them.")
  flags.DEFINE_multi_string("new", [], "Path prefixes that are not in --weights, such as classifier.")
  flags.DEFINE_multi_string("unused", [], "Names of tensors in --weights that may be left over.")
  flags.DEFINE_enum(
    "per", "segment", ["segment", "frame", "window"], "A feature for each segment of the clip, frame or window."
  )
  flags.DEFINE_integer("stride", None, "Frames from one frame or window to the next.", 1)
  _define_run_flags("features")


def _define_run_flags(kind: str) -> None:
  """Defines the flags of what a trained network makes of a data set; `kind` is the new one's."""
  flags.DEFINE_string("workdir", None, "Folder of the training run whose network is used.")
  flags.DEFINE_string("checkpoint", "best", "Of that run: best, last or a step.")
  flags.DEFINE_bool("trust", False, "Let the run's config make things from outside vidjax.")
  flags.DEFINE_string("data", None, "The data set (default: that of the training).")
  flags.DEFINE_integer("fold", None, "Fold of --data, where that has folds; a run keeps the fold of its training.", 1)
  flags.DEFINE_string("name", None, f"Name of the new data set: it opens as {kind}/NAME.")
  flags.DEFINE_integer("batch_size", None, "Clips that go through the network at once.", 1)
  flags.DEFINE_string("data_dir", None, "Where the data sets lie, if not where they lay in training.")
  flags.DEFINE_bool("skip_damaged", False, "Leave damaged records out; the command says how many.")
  flags.DEFINE_bool("overwrite", False, "Replace a data set of the same name.")


def define_flags() -> None:
  """Defines the flags of `folder`."""
  flags.DEFINE_multi_string(
    "videos", None, "Folder of class folders, or a list of path,label[,split[,group]]; or one list for each split."
  )
  flags.DEFINE_string("name", None, "Name of the data set: it opens as folder/NAME.")
  flags.DEFINE_string("split", None, "Share of every split; train:.8,validation:.2 by default.")
  flags.DEFINE_string(
    "group", None, "Regular expression: files whose names agree in its first capture stay in one split."
  )
  flags.DEFINE_string("classes", None, "File with the class names in their order, one a line.")
  _define_storage()


def define_source_flags() -> None:
  """Defines the flags of a published data set."""
  flags.DEFINE_string("source", None, "Folder of the official files, as they are shipped.")
  flags.DEFINE_string("name", None, "Name of the data set, that of the source by default: it opens as folder/NAME.")
  flags.DEFINE_bool("allow_missing", False, "Prepare what is there although listed videos are missing.")
  _define_storage()


def define_statistics_flags() -> None:
  """Defines the flags of `statistics`."""
  flags.DEFINE_multi_string("data", [], "A prepared data set, such as folder/ucf101.")
  flags.DEFINE_string("data_dir", "data", "Where prepared data sets lie.")


def _define_storage() -> None:
  """Defines the flags of how films are read and stored."""
  flags.DEFINE_integer("short_side", 256, "Shrink frames to this short side.", lower_bound=1)
  flags.DEFINE_enum(
    "encoding", "jpeg", ["jpeg", "video"], "Store JPEG frames, or the files: smaller, slower to sample."
  )
  flags.DEFINE_integer("workers", os.cpu_count(), "Number of files decoded at once.", lower_bound=1)
  flags.DEFINE_float("timeout", 60, "Refuse a file that gives no frame for this many seconds.", lower_bound=1)
  flags.DEFINE_integer("max_corrupt", 0, "Refuse a file with more frames that FFmpeg marks as damaged.", lower_bound=0)
  flags.DEFINE_float("clip_seconds", None, "Cut films into clips of this length.", lower_bound=0.01)
  flags.DEFINE_float("fps", 25, "Frames a second of folders of frames.", lower_bound=0.01)
  flags.DEFINE_bool("flow", False, "Store the TV-L1 optical flow of neighbouring frames, too.")
  flags.DEFINE_string("data_dir", "data", "Where prepared data sets lie.")
  flags.DEFINE_bool("overwrite", False, "Replace a data set of the same name.")


if __name__ == "__main__":
  kinds = {"folder": define_flags, "features": define_feature_flags, "keyframes": define_keyframe_flags}
  kinds |= {"statistics": define_statistics_flags} | dict.fromkeys(names(), define_source_flags)
  likely = define_source_flags if any(word.startswith("--source") for word in sys.argv) else define_flags
  kinds.get(next((word for word in sys.argv[1:] if word in kinds), ""), likely)()
  run_main(main, arguments=True)
