"""`python -m vidjax.predict --workdir=DIR FILE...`: the likeliest classes of video files, and why.

Several `--workdir` stand one below the other, each with its own scores and, with `--explain`, its own maps. In their
place `--model=NAME` takes a released model, and `--models` lists those there are.

Files go through the frames, crops and precision of evaluation. Each is decoded twice, once to count its frames and once
to keep the sampled ones, so the memory does not grow with its length. Several files go through the network in batches.
With --urls, addresses among them are fetched.
"""

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

from vidjax import models
from vidjax.analyse.pictures import ENDINGS, explain_paths
from vidjax.command import define_crop, run_main
from vidjax.console import say, say_json
from vidjax.data import address
from vidjax.errors import EXIT_BAD_INPUT, InputError
from vidjax.evaluate.evaluation import parse_views
from vidjax.files import whole
from vidjax.predict.addresses import with_addresses
from vidjax.predict.explain import check_explains, explain
from vidjax.predict.model import load_model
from vidjax.predict.predictor import Prediction, make_predictor
from vidjax.run.films import default_short_side, stored_short_side
from vidjax.run.opened import Run, open_run

TOP = 5


def define_flags() -> None:
  """The command's flags; they may stand after the files."""
  flags.FLAGS.set_gnu_getopt(True)
  flags.DEFINE_multi_string("workdir", None, "Folder of a training run; several to compare them.")
  flags.DEFINE_string("model", None, "A released model, in place of --workdir; its weights are fetched.")
  flags.DEFINE_string("weights", None, "With --model: the file of its weights, where they are here already.")
  flags.DEFINE_bool("models", False, "List the released models, and do nothing else.")
  flags.DEFINE_string("checkpoint", "best", "best, last or a step.")
  flags.DEFINE_bool("urls", False, "Let http and https addresses among the files be fetched.")
  flags.DEFINE_integer("batch", 8, "Views of several files that go through the network at once.", 1)
  flags.DEFINE_bool("trust", False, "Let the run's config make things from outside vidjax.")
  flags.DEFINE_string("views", "1x1", "CLIPSxCROPS of each video, such as 10x3; crops are 1, 3, 5 or 10.")
  define_crop()
  flags.DEFINE_integer(
    "stored_short_side", None, "Larger frames are first shrunk to it (default: as the run's data set stores them).", 1
  )
  flags.DEFINE_string(
    "explain",
    None,
    "OUT.png: sampled frames with Grad-CAM. Several files: OUT-STEM.png each, OUT-STEM-2.png where a stem comes again; "
    f"each path is printed. Endings: {', '.join(ENDINGS)}. A missing folder is made.",
  )
  flags.DEFINE_bool("calibrated", False, "Correct the scores by what vidjax.evaluate --calibrate has fitted.")
  flags.DEFINE_string("class", None, "With --explain: the class to explain (default: the likeliest).")
  flags.DEFINE_string(
    "features",
    None,
    "OUT.npz: features [N, D], scores [N, K], files [N] and class_names [K]. A missing folder is made.",
  )
  flags.DEFINE_bool(
    "json",
    False,
    "Print JSON: a list of {file, top5: [{class, score}]}, with the frames kept by a network that skips and, calibrated"
    " of several labels a video, the classes found.",
  )


def main(argv: list[str]) -> None:
  """The command: broken files are named on stderr, the others still run, and the exit code is 2."""
  values, files = flags.FLAGS, argv[1:]
  if values.models:
    show_models()
    return
  if bool(values.workdir) == bool(values.model):
    what = "both are given" if values.model else "--workdir=DIR is missing, and so is --model=NAME"
    raise InputError(f"{what}: name either the folder of a training run or a released model (--models lists them)")
  if values.weights and not values.model:
    raise InputError(f"--weights={values.weights} goes with --model: a run has weights of its own")
  if not files:
    raise InputError("no video file is named: python -m vidjax.predict --workdir=DIR FILE...")
  clips, crops = parse_views(values.views)
  features = _output("features", values.features, (".npz",))
  pictures, name = _output("explain", values.explain, ENDINGS), values["class"].value
  if features and len(values.workdir or ()) > 1:
    raise InputError(
      f"--features takes one run's: leave --features out, or name one --workdir of {len(values.workdir)}"
    )
  if name is not None and not pictures:
    raise InputError(f"--class={name} is explained in a picture: add --explain=OUT.png")
  paths = explain_paths(pictures, [address.shown(file) for file in files]) if pictures else [None] * len(files)
  if values.model and not models.find(values.model).classes and not features:
    raise InputError(f"--model={values.model} has no classes: store its features with --features=OUT.npz")
  crop = {"size": values.size, "short_side": values.short_side}
  if values.model:
    runs = [load_model(values.model, values.weights, **crop).run]
  else:
    runs = [open_run(folder, values.checkpoint, **crop, trusted=values.trust) for folder in values.workdir]
  for run in runs if pictures else []:
    check_explains(run, name)
  predictors = [
    make_predictor(run, clips, crops, _short_side(run, values.stored_short_side), values.calibrated) for run in runs
  ]
  done: list[list[Prediction]] = []
  with with_addresses(predictors, values.urls) as predictors:
    answers = [predictor.many(files, values.batch) for predictor in predictors]
    for file, path, *found in zip(files, paths, *answers, strict=True):
      errors = [one for one in found if isinstance(one, InputError)]
      if errors:
        say(f"error: {errors[0]}", error=True)
        continue
      shown = address.shown(file)
      done.append([dataclasses.replace(one, file=shown) for one in found if isinstance(one, Prediction)])
      if not values.json:
        say(shown)
      for run, prediction in zip(runs, [] if values.json else done[-1], strict=False):
        if len(runs) > 1:
          say(f" {run.called}")
        _print(prediction)
      if path:
        explain(path, runs, done[-1], name)
        say(f"wrote {path}", error=values.json)
  if features and done:
    with whole(features) as partial, partial.open("wb") as stream:
      np.savez_compressed(
        stream,
        features=np.stack([prediction.features for (prediction,) in done]),
        scores=np.stack([prediction.scores for (prediction,) in done]),
        files=np.array([prediction.file for (prediction,) in done], np.str_),
        class_names=np.array(runs[0].class_names, np.str_),
      )
    say(f"wrote {features}", error=values.json)
  if values.json:
    say_json([_row(p, run.called if len(runs) > 1 else None) for f in done for run, p in zip(runs, f, strict=True)])
  if len(done) < len(files):
    say(f"{len(done)} of {len(files)} files could be read", error=True)
    raise SystemExit(EXIT_BAD_INPUT)


def show_models() -> None:
  """Prints the table of released models."""
  table = [models.COLUMNS, *models.rows()]
  widths = [max(map(len, column)) for column in zip(*table, strict=True)]
  for row in table:
    say("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip())
  say("top-1: as the authors print it, with CLIPSxCROPS of each video")
  say("parity: compared with released code on random weights; tiny: that of a tiny network of its family")


def _short_side(run: Run, given: int | None) -> int:
  """To which frames are shrunk before anything else; says so where nothing tells it."""
  if given:
    return given
  short_side = default_short_side(run)
  if run.workdir and not stored_short_side(run) and "pixels" in run.recipe.stream.gives:
    say(
      f"note: {run.data.name} is not in {run.data.dir}: frames are shrunk to {short_side}, "
      "unless --stored_short_side says so",
      error=True,
    )
  return short_side


def _print(prediction: Prediction) -> None:
  found = prediction.found()
  for name, score in prediction.best(max(TOP, len(found))):
    say(f"  {score:6.1%}  {name}" + (f"  (found: from {found[name]:.1%} on)" if name in found else ""))
  if prediction.kept is not None:
    say(f"  kept of the middle view: {len(prediction.kept)} steps, which begin at frame {_listed(prediction.kept)}")


def _row(prediction: Prediction, workdir: str | None) -> dict[str, Any]:
  """A prediction for JSON, with the run's folder where there are several."""
  row: dict[str, Any] = {"file": prediction.file} | ({} if workdir is None else {"workdir": workdir})
  row["top5"] = [{"class": name, "score": score} for name, score in prediction.best(TOP)]
  if prediction.thresholds:
    row["found"] = [{"class": name, "threshold": threshold} for name, threshold in prediction.found().items()]
  return row | ({} if prediction.kept is None else {"kept": prediction.kept.tolist()})


def _listed(numbers: np.ndarray) -> str:
  return ", ".join(map(str, numbers.tolist()))


def _output(flag: str, value: str | None, endings: Sequence[str]) -> pathlib.Path | None:
  """The path a flag names, its folder made; wrong ones show before the work begins."""
  if value is None:
    return None
  if not value:
    raise InputError(f"--{flag} is empty: name a file, or leave it out")
  path = pathlib.Path(value)
  if path.suffix.lower() not in endings:
    raise InputError(f"--{flag}={value} must end in {' or '.join(endings)}")
  if path.is_dir():
    raise InputError(f"--{flag}={value} is a folder: name a file")
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise InputError(f"--{flag}={value}: its folder cannot be made ({error.strerror})") from error
  if not os.access(path if path.exists() else path.parent, os.W_OK):
    raise InputError(f"--{flag}={value} cannot be written: choose another place")
  return path


if __name__ == "__main__":
  define_flags()
  run_main(main, arguments=True)
