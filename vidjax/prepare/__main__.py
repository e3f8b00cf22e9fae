"""Prepares data sets: videos for training, features of a trained network, or the keyframes that one keeps.

  python -m vidjax.prepare folder --videos=DIR --name=NAME
  python -m vidjax.prepare ucf101 --source=DIR
  python -m vidjax.prepare features --workdir=RUN --name=NAME [--data=OTHER] [--per=segment|frame|window]
  python -m vidjax.prepare features --model=NAME|--config=FILE [--weights=FILE] --data=NAME --name=NEW
  python -m vidjax.prepare keyframes --workdir=SCOUT --name=NAME [--data=OTHER] [--clips=4]
  python -m vidjax.prepare statistics --data=NAME [--data=OTHER]

`folder` checks every file by decoding it whole, stores its frames, and lists what was kept, what was refused and why in
report.txt and report.json of the data set. `ucf101` and the other names of `vidjax.data.sources` do the same with the
official files of a published data set, and `statistics` prints the sizes beside the official ones. `features` runs a
network once over a data set and stores what it makes of each video as features/NAME; stopped, the same command resumes
it. `keyframes` stores the frames that a run with attention keeps of each video as folder/NAME, for any other network.
"""

import pathlib
import sys
from typing import Any

from absl import flags

from vidjax.build import nearest
from vidjax.command import plain_config, run_main
from vidjax.console import say
from vidjax.data import classes
from vidjax.data.read_film import Storage
from vidjax.data.splits import parse_fractions
from vidjax.errors import InputError
from vidjax.prepare import flag_definitions
from vidjax.prepare.folder import prepare_folder
from vidjax.prepare.report import Report, summary
from vidjax.prepare.source import names, prepare_source
from vidjax.prepare.store import Part

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
    part=Part.parse(values.shard) if values.shard else None,
    beam=values.beam,
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
    part=Part.parse(values.shard) if values.shard else None,
    beam=values.beam,
  )
  _show(report, values.name or source, values.data_dir, advice="")  # its groups are those of the official files


def statistics(values: flags.FlagValues) -> None:
  """The sizes of prepared data sets."""
  from vidjax.prepare.statistics import table

  for line in table(values.data, values.data_dir):
    say(line)


def _storage(values: flags.FlagValues) -> Storage:
  names = ("short_side", "encoding", "clip_seconds", "flow", "max_corrupt", "fps", "gop", "crf")
  given: dict[str, Any] = {name: values[name].value for name in names}
  return Storage(**given)


def _show(report: Report | None, name: str, data_dir: str, **advice: str) -> None:
  """Prints what became of a preparation that is complete."""
  if report is None:
    return
  warnings = [*report.warnings, *report.overlaps]
  found = {tuple(entry["labels"]) for entry in report.kept}
  if len(found) == 1 and any(found):  # of videos without labels nothing is to be told
    names = ", ".join(map(repr, *found))
    warnings.append(f"all videos are of one class, {names}: there is nothing to tell apart")
  for note in report.notes:
    say(note, error=True)
  for warning in warnings:
    say(f"warning: {warning}", error=True)
  first, *rest = summary(report, **advice)
  for line in (f"folder/{name}: {first}", *rest):
    say(line)
  say(f"see {pathlib.Path(data_dir) / 'folder' / name / 'report.txt'}")


def features(values: flags.FlagValues) -> None:
  """Features of a trained network over a data set."""
  from vidjax import models
  from vidjax.apply.sharding import make_mesh
  from vidjax.predict.model import load_model
  from vidjax.prepare.features import Settings, prepare_features
  from vidjax.run.opened import Run, open_run

  ways = (values.workdir, values.model, values.config)
  if sum(map(bool, ways)) != 1 or bool(values.config) > bool(values.weights):
    raise InputError(f"give --workdir=RUN, --model=NAME, or --config=FILE and --weights=FILE: {USAGE['features']}")
  if values.workdir:
    run = open_run(
      values.workdir, values.checkpoint, values.data_dir, values.data, trusted=values.trust, fold=values.fold
    )
  else:
    if not values.data:
      raise InputError("--data=NAME is missing: name the data set")
    config = models.config_of(values.model) if values.model else plain_config(values.config)
    folder = values.data_dir or config["data"].get("dir", "data")
    config["data"] |= {"name": values.data, "dir": folder, "fold": values.fold}
    run = Run(config)
    new = (*values.new, *["classifier"] * bool(values.model))  # of the data set's classes; no feature depends on it
    run.variables = load_model(
      values.model or config, values.weights, run.class_names, new=new, unused=values.unused
    ).variables
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


if __name__ == "__main__":
  flag_definitions.define(sys.argv[1:])
  run_main(main, arguments=True)
