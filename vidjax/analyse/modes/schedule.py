"""`python -m vidjax.analyse schedule`: learning rate and weights of losses over a training, from its config."""

import pathlib
from collections.abc import Sequence

from absl import flags

from vidjax.analyse.modes import no_files, out_picture, workdirs
from vidjax.command import read_config
from vidjax.console import say
from vidjax.errors import InputError


def run(files: Sequence[str]) -> None:
  """One picture of a config, or of the config of a run."""
  values = flags.FLAGS
  no_files("schedule", files)
  out, folders, per_epoch, pairs = out_picture(), workdirs(0, 1), values.steps_per_epoch, _pairs(values.scales)
  from ml_collections import config_flags

  from vidjax import trust
  from vidjax.analyse.schedule import save_schedule, scales, scheduled
  from vidjax.recipe import make_recipe
  from vidjax.run.folder import read_folder, run_folder
  from vidjax.run.metrics import read_metrics

  if folders:
    folder = run_folder(folders[0])
    config, class_names = read_folder(folder)
    trust.check(config, folder / "config.json", values.trust)
    known = [line["step"] / line["epoch"] for line in read_metrics(folder) if line.get("epoch")]
    per_epoch, title = round(known[-1]) if known else per_epoch, pathlib.Path(folders[0]).name
  else:
    config, class_names = read_config(values.config), [str(label) for label in range(8)]
    title = config_flags.get_config_filename(flags.FLAGS["config"])
    if config.get("phases"):
      raise InputError("this config trains in phases, each with a schedule of its own: give --workdir=RUN/PHASE")
  recipe = make_recipe(config, class_names)
  steps, curves = scheduled(recipe, per_epoch)
  if pairs:
    curves = {"learning rate": curves["learning rate"], **scales(pairs, steps)}
  save_schedule(out, steps, curves, per_epoch, title)
  say(f"wrote {out}")


def _pairs(texts: Sequence[str]) -> list[tuple[float, float]]:
  """Gamma and lambda of each part of --scales."""
  try:
    pairs = [(float(gamma), float(lam)) for gamma, lam in (text.split(":") for text in texts)]
  except ValueError:
    pairs = [(-1.0, -1.0)]
  if not all(0 <= value <= 1 for pair in pairs for value in pair):
    raise InputError(f"--scales={','.join(texts)}: must be GAMMA:LAMBDA, each from 0 to 1, as in --scales=.1:.1,.5:.3")
  return pairs
