"""`python -m vidjax.sweep --config=FILE[:argument] --space=SPACE --trials=N --out=DIR`: trains with other values.

SPACE is such as "schedule.learning_rate=log(1e-3, 1); model.dropout=choice(0, .5)", or a file of such entries, one a
line. A trial is a run in DIR/trials. The same command resumes a sweep that was stopped, and several of them share one
DIR. DIR then holds trials.csv, trials.txt and trials.png. Exit codes: 0 done, 2 bad input or no trial succeeded, 75
stopped by SIGTERM or Ctrl-C, to be resumed.
"""

import pathlib
import re
import sys
from collections.abc import Sequence

from absl import flags

from vidjax.command import config_with, define_config, read_config, run_main
from vidjax.console import say
from vidjax.errors import EXIT_TERMINATED, InputError, TrainingStopped
from vidjax.recipe import metric_of
from vidjax.run.children import stop_at_signals
from vidjax.sweep.report import WORDS, trials, write_report
from vidjax.sweep.space import check_space, read_space
from vidjax.sweep.study import Study, claim_folder, optuna
from vidjax.sweep.work import run_all
from vidjax.track.beside import check_trackers
from vidjax.train.phases import expand


def define_flags() -> None:
  """The flags of the command, but for `--config`."""
  flags.DEFINE_string("space", "", "What is tried: KEY=log|uniform|int|choice(...), with ; between, or a file.")
  flags.DEFINE_integer("trials", None, "Trials in all, of all commands on the folder.")
  flags.DEFINE_string("out", None, "Folder of the sweep; one that was begun is resumed.")
  flags.DEFINE_string(
    "metric", "", "A number of the validations, such as top1, or -loss where less is better (default: the task's)."
  )
  flags.DEFINE_bool("prune", False, "Stop a trial that is worse than the median of the others at that validation.")
  flags.DEFINE_integer("processes", 1, "Trials at once; cores and devices are divided among them.")
  flags.DEFINE_integer("seed", 0, "Of the choice of values; the trainings' own is config.seed.", 0)
  flags.DEFINE_list("track", [], "Trackers that every trial is sent to: wandb, mlflow.")


def main(argv: list[str]) -> None:
  """The command."""
  values = flags.FLAGS
  config = read_config(values.config)
  out = pathlib.Path(values.out or "")
  if not values.out:
    raise InputError("--out=DIR is missing: name a folder for the trials")
  for name, count in (("trials", values.trials), ("processes", values.processes)):
    if count is None or count < 1:
      raise InputError(f"--{name}={'' if count is None else count}: must be 1 or more")
  optuna()
  space = read_space(values.space)
  name, given = given_flags(flags.FLAGS.read_flags_from_files(sys.argv, force_gnu=False))
  check_space(space, name, given)
  check_trackers(values.track)
  last = list(expand(config).values())[-1] if config.get("phases") else config
  metric = values.metric or metric_of(last)
  claim_folder(out, config_with(name, given), space, metric=metric, prune=values.prune, seed=values.seed)
  study = Study(out, space, metric, values.prune, values.seed)
  track = [f"--track={','.join(values.track)}"] * bool(values.track)
  with stop_at_signals() as stop:
    run_all(study, values.trials or 0, values.processes, name, [*given, *track], stop)
  for line in write_report(study, name, given):
    say(line)
  if stop.asked.is_set():
    raise TrainingStopped("the sweep was stopped: the same command resumes it", EXIT_TERMINATED)
  rows = trials(study)
  if rows and all(row["state"] == WORDS["FAIL"] for row in rows):
    raise InputError(f"no trial succeeded; the first: {rows[0]['why']}")


def given_flags(argv: Sequence[str]) -> tuple[str, list[str]]:
  """The config of a command line, and the flags of its keys, each as one word."""
  name, found = "", []
  for word, following in zip(argv, [*argv[1:], "--"], strict=True):
    match = re.fullmatch(r"--?((?:no)?config(?:\..+?)?)(?:=(.*))?", word, re.DOTALL)
    if match:
      flag, value = match.groups()
      value = following if value is None and not following.startswith("--") else value
      if flag == "config":
        name = value or ""
      else:
        found.append(f"--{flag}" + ("" if value is None else f"={value}"))
  return name, found


if __name__ == "__main__":
  define_config()
  define_flags()
  run_main(main)
