"""`python -m vidjax.analyse curves`: losses and accuracies of runs, in training and in validation."""

import pathlib
from collections.abc import Sequence

from absl import flags

from vidjax.analyse.curves import save_curves
from vidjax.analyse.modes import no_files, out_picture, workdirs
from vidjax.console import say
from vidjax.errors import InputError
from vidjax.run.folder import run_folder
from vidjax.run.metrics import read_metrics


def run(files: Sequence[str]) -> None:
  """One picture for all runs."""
  no_files("curves", files)
  out, runs = out_picture(), {}
  for folder in workdirs():
    found = run_folder(folder)
    lines = read_metrics(found)
    if not lines:
      raise InputError(f"{found} has no metrics.jsonl with a line in it: name the folder of a training run")
    name = pathlib.Path(folder).name
    runs[folder if name in runs else name] = lines
  save_curves(out, runs, flags.FLAGS.names or ())
  say(f"wrote {out}")
