"""`python -m vidjax.predict --workdir=DIR FILE...`: the likeliest classes of video files, and why.

Files go through the frames, crops and precision of evaluation. Each is decoded twice, once to count its frames and once
to keep the sampled ones, so the memory does not grow with its length.
"""

import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

from vidjax.analyse.pictures import ENDINGS, explain_paths
from vidjax.command import define_crop, run_main
from vidjax.console import say, say_json
from vidjax.errors import EXIT_BAD_INPUT, InputError
from vidjax.evaluate.evaluation import parse_views
from vidjax.predict.predictor import (
  SHORT_SIDE,
  Prediction,
  check_explains,
  explain,
  make_predictor,
  stored_short_side,
)
from vidjax.run.opened import open_run

TOP = 5


def define_flags() -> None:
  """The command's flags; they may stand after the files."""
  flags.FLAGS.set_gnu_getopt(True)
  flags.DEFINE_string("workdir", None, "Folder of a training run.")
  flags.DEFINE_string("checkpoint", "best", "best, last or a step.")
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
  flags.DEFINE_string(
    "features",
    None,
    "OUT.npz: features [N, D], scores [N, K], files [N] and class_names [K]. A missing folder is made.",
  )
  flags.DEFINE_bool(
    "json", False, "Print JSON: a list of {file, top5: [{class, score}]}, with the frames kept by a network that skips."
  )


def main(argv: list[str]) -> None:
  """The command: broken files are named on stderr, the others still run, and the exit code is 2."""
  values, files = flags.FLAGS, argv[1:]
  if not values.workdir:
    raise InputError("--workdir=DIR is missing: name the folder of a training run")
  if not files:
    raise InputError("no video file is named: python -m vidjax.predict --workdir=DIR FILE...")
  clips, crops = parse_views(values.views)
  features = _output("features", values.features, (".npz",))
  pictures = _output("explain", values.explain, ENDINGS)
  paths = explain_paths(pictures, files) if pictures else [None] * len(files)
  run = open_run(
    values.workdir, values.checkpoint, size=values.size, short_side=values.short_side, trusted=values.trust
  )
  if pictures:
    check_explains(run)
  short_side = values.stored_short_side or stored_short_side(run)
  if not short_side and "pixels" in run.recipe.stream.gives:
    short_side = SHORT_SIDE
    say(
      f"note: {run.data.name} is not in {run.data.dir}: frames are shrunk to {SHORT_SIDE}, "
      "unless --stored_short_side says so",
      error=True,
    )
  predict = make_predictor(run, clips, crops, short_side or SHORT_SIDE)
  done: list[Prediction] = []
  for file, path in zip(files, paths, strict=True):
    try:
      prediction = predict(file)
    except InputError as error:
      say(f"error: {error}", error=True)
      continue
    done.append(prediction)
    if not values.json:
      say(file)
      for name, score in prediction.best(TOP):
        say(f"  {score:6.1%}  {name}")
      if prediction.kept is not None:
        say(f"  kept of the middle view: {len(prediction.kept)} steps, which begin at frame {_listed(prediction.kept)}")
    if path:
      explain(run, prediction, path)
      say(f"wrote {path}", error=values.json)
  if features and done:
    with features.open("wb") as stream:
      np.savez_compressed(
        stream,
        features=np.stack([prediction.features for prediction in done]),
        scores=np.stack([prediction.scores for prediction in done]),
        files=np.array([prediction.file for prediction in done], np.str_),
        class_names=np.array(run.class_names, np.str_),
      )
    say(f"wrote {features}", error=values.json)
  if values.json:
    rows: list[dict[str, Any]] = [
      {"file": p.file, "top5": [{"class": name, "score": score} for name, score in p.best(TOP)]} for p in done
    ]
    for row, prediction in zip(rows, done, strict=True):
      row |= {} if prediction.kept is None else {"kept": prediction.kept.tolist()}
    say_json(rows)
  if len(done) < len(files):
    say(f"{len(done)} of {len(files)} files could be read", error=True)
    raise SystemExit(EXIT_BAD_INPUT)


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
