"""Where a training starts: from another run, or from a checkpoint of another library."""

import dataclasses
import pathlib
import warnings
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from vidjax.apply.processes import tell
from vidjax.errors import InputError
from vidjax.recipe import Recipe
from vidjax.run.checkpoint import load_variables
from vidjax.run.class_rows import class_axes, match_classes
from vidjax.run.folder import read_folder
from vidjax.run.transfer import transfer
from vidjax.types import State
from vidjax.weights.load import ReleasedSettings, load_weights


def check_init(init: Mapping[str, Any]) -> None:
  """Raises InputError where `init` starts from two things, or says how to start from none."""
  if init["workdir"] and init["weights"]:
    raise InputError(
      f"init.workdir={init['workdir']} and init.weights={init['weights']}: a run starts from one of them"
    )
  for key, sources in (("new", ("workdir", "weights")), ("unused", ("weights",))):
    if init[key] and not any(init[source] for source in sources):
      wanted = " or ".join(f"init.{source}" for source in sources)
      raise InputError(f"init.{key}={init[key]} goes with a checkpoint to start from: set {wanted}, or leave it out")


def start_from(state: State, recipe: Recipe, layout: State, workdir: pathlib.Path) -> State:
  """A fresh state with the parameters and statistics of another run or checkpoint, those under `init.new` excepted."""
  init, variables = recipe.config["init"], {"params": state.params, "batch_stats": state.batch_stats}
  report_path = workdir / "weights_report.txt"
  if init["workdir"]:
    source, step = load_variables(init["workdir"], "best")
    axes = class_axes(recipe.network_of, recipe.clip_shape, len(recipe.class_names))
    there = read_folder(pathlib.Path(init["workdir"]))[1]
    source, words = match_classes(source, axes, there, recipe.class_names, init["new"])
    variables, taken = transfer(variables, source, init["new"])
    tell(f"{init['workdir']}, step {step}: {'; '.join(filter(None, [taken[0], words]))}; {report_path}")
    if jax.process_index() == 0:
      report_path.write_text("\n".join([f"{init['workdir']}, step {step}", words, *taken]) + "\n", encoding="utf-8")
  else:
    with warnings.catch_warnings():
      warnings.simplefilter("ignore", ReleasedSettings)  # said in the command's own way
      variables, loaded = load_weights(
        variables, init["weights"], network=recipe.network, new=init["new"], unused=init["unused"]
      )
    if loaded.settings:
      tell(f"warning: {init['weights']}: {loaded.warning}")
    tell(f"{init['weights']}: {str(loaded).splitlines()[0]}; {report_path}")
    if jax.process_index() == 0:
      report_path.write_text(f"{init['weights']}: {loaded}\n", encoding="utf-8")
  sharding = jax.tree.map(lambda x: x.sharding, dataclasses.replace(layout, ema=None))
  state = jax.device_put(dataclasses.replace(state, **variables, ema=None), sharding)
  if layout.ema is None:
    return state
  average = {"params": state.params, "batch_stats": state.batch_stats}
  return dataclasses.replace(state, ema=jax.tree.map(jnp.copy, average))  # the train step donates either for itself
