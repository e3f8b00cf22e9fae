"""`python -m vidjax.evaluate --workdir=DIR [--workdir=DIR2 ...]`: metrics and a report of a trained network.

Several workdirs, such as the streams of a two-stream network, average their scores; the report goes to the first. With
--folds they are trained on the folds of a data set, and the command states the mean over these.
"""

import pathlib
import shlex
import sys
from typing import Any

from absl import flags

from vidjax.apply.sharding import make_mesh
from vidjax.command import define_crop, run_main
from vidjax.console import say
from vidjax.errors import InputError
from vidjax.evaluate.evaluation import Options, evaluate, parse_views
from vidjax.evaluate.folds import evaluate_folds
from vidjax.run.opened import open_run


def define_flags() -> None:
  """The command's flags."""
  define_crop()
  flags.DEFINE_multi_string("workdir", [], "Folder of a training run; given several times, their scores are averaged.")
  flags.DEFINE_string("split", None, "Split to evaluate on (default: the run's validation split).")
  flags.DEFINE_string("data", None, "Another data set than that of the training, of its classes or some of them.")
  flags.DEFINE_integer("fold", None, "Fold of --data, where that has folds; a run keeps the fold of its training.", 1)
  flags.DEFINE_bool("folds", False, "The mean over folds: each run on its own fold, on the split test by default.")
  flags.DEFINE_string("data_dir", None, "Where the data sets lie, if not where they lay in training.")
  flags.DEFINE_bool("trust", False, "Let the run's config make things from outside vidjax.")
  flags.DEFINE_string("views", "1x1", "CLIPSxCROPS of each video, such as 10x3; crops are 1, 3, 5 or 10.")
  flags.DEFINE_integer("views_per_batch", None, "Views that go through the network at once: bounds the memory.", 1)
  flags.DEFINE_string("checkpoint", "best", "best, last or a step.")
  flags.DEFINE_integer("batch_size", None, "Videos in a batch; the numbers do not depend on it.", 1)
  flags.DEFINE_bool("skip_damaged", False, "Leave damaged records out; the report says how many.")
  flags.DEFINE_bool(
    "calibrate",
    False,
    "Fit a temperature on the validation split, of 20 videos or more: calibration.json, for vidjax.predict"
    " --calibrated.",
  )
  flags.DEFINE_string(
    "submission", None, "OUT.csv or OUT.json: id and five best classes of every video; the split needs no labels."
  )


def main(argv: list[str]) -> None:
  """The command."""
  values = flags.FLAGS
  if not values.workdir:
    raise InputError("--workdir=DIR is missing: name the folder of a training run")
  clips, crops = parse_views(values.views)
  submission = pathlib.Path(values.submission) if values.submission is not None else None
  if submission and submission.suffix.lower() not in (".csv", ".json"):
    raise InputError(f"--submission={submission} must end in .csv or .json")
  options = Options(
    values.split,
    clips,
    crops,
    values.views_per_batch,
    values.batch_size,
    values.skip_damaged,
    submission,
    values.calibrate,
  )
  twice = {workdir for workdir in values.workdir if values.workdir.count(workdir) > 1}
  if twice:
    raise InputError(f"--workdir={min(twice)} is given twice: name each run once")
  chosen = values.checkpoint, values.data_dir, values.data, values.size, values.short_side, values.trust
  apart = [name for name in ("data", "submission", "calibrate") if values[name].value]
  if values.folds and apart:
    raise InputError(f"--folds evaluates each run on its own fold: leave --{apart[0]} out")
  runs = [open_run(workdir, *chosen, fold=values.fold) for workdir in values.workdir]
  command = shlex.join(["python", "-m", "vidjax.evaluate", *sys.argv[1:]])
  if values.folds:
    show_folds(evaluate_folds(runs, options, make_mesh(), command), values.views)
    return
  result = evaluate(runs, options, make_mesh(), command)
  show_all(result, values.views)


def show_folds(found: dict[str, Any], views: str) -> None:
  """Prints the numbers of every fold and their mean.

  Args:
    found: what `evaluate_folds` returns.
    views: as the flag gives them.
  """
  for fold, result in found["folds"].items():
    say(f"fold {fold}:")
    show_all(result, views)
  if found["missing"]:
    say(f"warning: no run of fold {', '.join(map(str, found['missing']))} is among them", error=True)
  numbers = "  ".join(f"{name} {value:.2%}" for name, value in found["mean"].items())
  say(f"mean of {len(found['folds'])} folds: {numbers}")
  say(f"wrote {found['report']}")


def show_all(result: dict[str, Any], views: str) -> None:
  """Prints an evaluation, the records that it skipped and the files that it wrote.

  Args:
    result: what `evaluate` returns.
    views: as the flag gives them.
  """
  show(result, views)
  for record, reason in result["skipped"].items():
    say(f"skipped record {record}: {reason}", error=True)
  for path in result["files"]:
    say(f"wrote {path}")


def show(result: dict[str, Any], views: str) -> None:
  """Prints the numbers of an evaluation.

  Args:
    result: what `evaluate` returns.
    views: as the flag gives them, such as "1x3".
  """
  if "line" not in result:
    say(f"{result['videos']} of {result['records']} videos, which have no labels, {views} views")
    return
  for warning in result["warnings"]:
    say(f"warning: {warning}", error=True)
  classes = result.get("classes")
  scored = result.get("classes_with_videos", classes)
  some = "" if classes is None else f", {scored} of {classes} classes" if scored < classes else f", {classes} classes"
  say(f"{result['videos']} of {result['records']} videos{some}, {views} views")
  crops = {f"{run['size']} pixels of a short side of {run['short_side']}" for run in result["runs"] if "size" in run}
  if crops:
    say(f"test crops: {', '.join(sorted(crops))}")
  for run in result["runs"] if len(result["runs"]) > 1 else ():
    say(f"{run['workdir']} (step {run['step']}): {run['line']}")
  say(result["line"])
  if made := result.get("calibration"):
    errors = f"{made['error_before']:.1%} to {made['error_after']:.1%}"
    say(f"temperature {made['temperature']:.3g}: expected calibration error {errors}")
  for pair in result.get("worst_confused", ())[:5]:
    say(f"  {pair['true']!r} taken for {pair['predicted']!r}: {pair['videos']} ({pair['share']:.0%} of the class)")


if __name__ == "__main__":
  define_flags()
  run_main(main)
