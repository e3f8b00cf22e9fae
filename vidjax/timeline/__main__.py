"""What happens when in a long film, or before a camera.

`python -m vidjax.timeline --workdir=DIR|--model=NAME FILE --out=DIR` scores --window seconds every --every seconds.
It writes timeline.json, scores.csv, spans.csv, spans.srt, timeline.png and labelled.mp4. In place of FILE stands an
address (http://..., https://..., rtsp://..., tcp://..., udp://...), `0` for the first camera, or `-` for stdin.

Cameras, pipes and addresses of what states no length are live: a thread reads, the newest frames are kept, and Ctrl-C
ends it with everything written. An address is opened because you name it; nothing else is ever fetched.
"""

import contextlib
import os
import pathlib

import numpy as np
from absl import flags

from vidjax.command import define_crop, run_main
from vidjax.errors import InputError, tidy_at_sigterm
from vidjax.predict.model import load_model
from vidjax.run.films import default_short_side
from vidjax.run.folder import sole_writer
from vidjax.run.opened import open_run
from vidjax.timeline.make import Options, make_timeline, rule_of
from vidjax.timeline.source import open_source
from vidjax.timeline.spans import Rule
from vidjax.timeline.windows import cut_of


def define_flags() -> None:
  """The command's flags; they may stand after the film."""
  flags.FLAGS.set_gnu_getopt(True)
  flags.DEFINE_string("workdir", None, "Folder of a training run.")
  flags.DEFINE_string("model", None, "A released model, in place of --workdir; its weights are fetched.")
  flags.DEFINE_string("weights", None, "With --model: the file of its weights, where they are here already.")
  flags.DEFINE_string("checkpoint", "best", "best, last or a step.")
  flags.DEFINE_bool("trust", False, "Let the run's config make things from outside vidjax.")
  define_crop()
  flags.DEFINE_integer(
    "stored_short_side", None, "Larger frames are first shrunk to it (default: as the run's data set stores them).", 1
  )
  flags.DEFINE_string("out", None, "Folder for what is made.")
  flags.DEFINE_float("window", 2.0, "Seconds of a window.", 1e-3)
  flags.DEFINE_float("every", 0.5, "Seconds from the start of a window to the next.", 1e-3)
  flags.DEFINE_float("smooth", 1.0, "Scores are averaged over that many seconds before spans are found.", 0)
  flags.DEFINE_float(
    "on",
    None,
    "A span holds a score of at least this (default: .5; of several labels the task's threshold, and with --calibrated"
    " that of each class).",
    0,
    1,
  )
  flags.DEFINE_float(
    "off", None, "A span ends where the score is below this, and no action begins (default: .6 of --on).", 0, 1
  )
  flags.DEFINE_float("at_least", 1.0, "Seconds of the shortest span that is kept.", 0)
  flags.DEFINE_multi_string("no_action", [], "A class that means no action: it has no spans. May be given again.")
  flags.DEFINE_integer("batch", 8, "Windows that go through the network at once; live, one does.", 1)
  flags.DEFINE_bool("calibrated", False, "Correct the scores by what vidjax.evaluate --calibrate has fitted.")
  flags.DEFINE_float("seconds", None, "Stop after that many seconds of film.", 1e-3)
  flags.DEFINE_bool("video", True, "Write labelled.mp4; of a film that is a file it takes a second reading.")
  flags.DEFINE_integer("max_corrupt", 0, "Let through that many damaged frames and packets; live, all are.", 0)
  flags.DEFINE_bool(
    "live",
    None,
    "Keep the newest frames and drop the others (default: cameras, pipes, addresses that state no length). --live of a"
    " file plays it as before a camera; --nolive of a pipe or an address uses every frame.",
  )
  flags.DEFINE_float("timeout", 10.0, "Seconds without a frame after which a stream counts as broken off.", 0.1)


def main(argv: list[str]) -> None:
  """The command. A film that breaks off is named on stderr once the results so far are written; the exit code is 2."""
  values, names = flags.FLAGS, argv[1:]
  if len(names) != 1:
    raise InputError(
      f"one film, camera, address or - is required, not {len(names)}: python -m vidjax.timeline --workdir=DIR FILE"
      " --out=DIR"
    )
  if bool(values.workdir) == bool(values.model):
    what = "both are given" if values.model else "--workdir=DIR is missing, and so is --model=NAME"
    raise InputError(f"{what}: name either the folder of a training run or a released model")
  if values.weights and not values.model:
    raise InputError(f"--weights={values.weights} goes with --model: a run has weights of its own")
  out = _out_folder(values.out)
  Rule(values.on or 0.5, values.off or 0.6 * (values.on or 0.5), values.smooth, values.at_least)  # checked first
  with contextlib.ExitStack() as stack, tidy_at_sigterm(), sole_writer(out, "--out"):
    source = open_source(names[0], values.live, values.max_corrupt, values.timeout, stack)
    crop = {"size": values.size, "short_side": values.short_side}
    if values.model:
      run = load_model(values.model, values.weights, **crop).run
    else:
      run = open_run(values.workdir, values.checkpoint, **crop, trusted=values.trust)
    side = values.stored_short_side or default_short_side(run)
    options = Options(
      cut_of(run, values.window, values.every),
      rule_of(run, values.smooth, values.at_least, values.on, values.off, values.no_action, values.calibrated),
      side,
      values.batch,
      values.seconds or np.inf,
      values.video,
      values.calibrated,
    )
    make_timeline(source, run, options, out, stack)


def _out_folder(given: str | None) -> pathlib.Path:
  if not given:
    raise InputError("--out=DIR is missing: name a folder for what is made")
  out = pathlib.Path(given)
  if out.exists() and not out.is_dir():
    raise InputError(f"--out={out} is a file: name a folder")
  out.mkdir(parents=True, exist_ok=True)
  if not os.access(out, os.W_OK):
    raise InputError(f"--out={out} cannot be written: choose another place")
  return out


if __name__ == "__main__":
  define_flags()
  run_main(main, arguments=True)
