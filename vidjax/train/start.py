"""Where a training starts: from another run, or from a checkpoint of another library."""

import dataclasses
import pathlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jax.experimental import multihost_utils

from vidjax.apply.parts import picked
from vidjax.apply.processes import tell
from vidjax.errors import InputError
from vidjax.models import MODELS
from vidjax.recipe import Recipe
from vidjax.run.checkpoint import load_variables
from vidjax.run.class_rows import class_axes, match_classes
from vidjax.run.folder import read_contents, read_folder, run_folder
from vidjax.run.transfer import check_shapes, shapes, transfer, under
from vidjax.types import State, Tree
from vidjax.weights.colours import colours_of, other_colours
from vidjax.weights.load import ReleasedSettings, licence_line, load_weights

if TYPE_CHECKING:  # the data stack
  from vidjax.run.opened import Run

SOURCES = ("workdir", "weights", "phase")
"""Keys of `init` that name what to start from."""
NOTHING = "none"
"""The value of `init.pretrained` with which a recipe starts from nothing, though its paper does not."""


def starts_anew(init: Mapping[str, Any]) -> bool:
  """Whether a run starts from nothing."""
  return not any(init.get(source) for source in SOURCES)


def sources(init: Mapping[str, Any], workdir: pathlib.Path) -> list[pathlib.Path]:
  """The folders of the runs that a run in `workdir` starts from.

  Args:
    init: section of the config.
    workdir: the run's folder; phases lie beside it.
  """
  phase = init.get("phase")
  if phase:
    phases = phase.values() if isinstance(phase, Mapping) else [phase]
    return [workdir.parent / name.partition("/")[0] for name in phases]
  return [run_folder(init["workdir"])] if init["workdir"] else []


def check_init(init: Mapping[str, Any]) -> None:
  """Raises InputError where `init` starts from two things, not from what the recipe does, or says how from none."""
  given = [f"init.{source}={init[source]}" for source in SOURCES if init.get(source)]
  if len(given) > 1:
    raise InputError(f"{' and '.join(given)}: a run starts from one of them")
  pretrained = init.get("pretrained")  # older runs have none
  if given or pretrained == NOTHING:
    return
  if pretrained:
    raise InputError(
      f"this recipe starts from {pretrained} (data/network), and no checkpoint is named: add"
      " --config.init.weights=FILE, of another library, or --config.init.workdir=RUN, of vidjax; or start from nothing"
      f" by --config.init.pretrained={NOTHING}"
    )
  for key in ("new", "unused"):
    if init[key]:
      raise InputError(
        f"init.{key}={init[key]} goes with a checkpoint to start from, and none is named: add"
        " --config.init.workdir=RUN, such as a run on Kinetics, or --config.init.weights=FILE; or start from nothing by"
        f' --config.init.{key}="()"'
      )


def check_features(run: "Run", workdir: pathlib.Path) -> None:
  """Raises InputError where a run on stored features starts from one on those of another backbone.

  Args:
    run: to train.
    workdir: its folder.
  """
  for origin in sources(run.config["init"], workdir):
    then = (read_contents(origin) or {}).get("/backbone", {}).get("sha256")
    if then and run.dataset.backbone not in ("", then):
      raise InputError(
        f"the features of {run.data.name} are of another backbone than those {origin} was trained on: start from"
        " another run, or from none"
      )


def begin(run: "Run", state: State, loader: Any) -> State:
  """A fresh state after `init.start`, a function (run, variables, loader) -> variables, such as k-means of centres.

  Several processes take what it gives in the first one.

  Args:
    run: whose recipe has `start`.
    state: fresh, on its devices.
    loader: the training loader.

  Raises:
    InputError: it gives other arrays than the network has.
  """
  start = run.recipe.start
  if start is None:
    return state
  name = run.config["init"]["start"]["make"]
  variables = _changed_by(start, f"init.start={name}", run, state, loader)
  tell(f"init.start: {name}")
  ema = None if state.ema is None else jax.tree.map(jnp.copy, picked(variables, state.ema))
  return dataclasses.replace(state, **variables, ema=ema)


def refresh(run: "Run", state: State, loader: Any) -> State:
  """A state after `train.refresh`, a function as `init.start`, which is called before every epoch.

  Averages stay as they are, but for the arrays that it changes.

  Args:
    run: whose recipe has one.
    state: of the training, on its devices.
    loader: the training loader.

  Raises:
    InputError: it gives other arrays than the network has.
  """
  function = run.recipe.settings.refresh
  if function is None:
    return state
  name = run.config["train"]["refresh"]["make"]
  before = {"params": state.params, "batch_stats": state.batch_stats}
  variables = _changed_by(function, f"train.refresh={name}", run, state, loader)
  ema = state.ema
  if ema is not None:
    pairs = (picked(tree, ema) for tree in (before, variables))
    ema = jax.tree.map(lambda mean, old, x: mean if x is old else jnp.copy(x), ema, *pairs)
  return dataclasses.replace(state, **variables, ema=ema)


def _changed_by(
  function: Callable[..., Any], name: str, run: "Run", state: State, loader: Any
) -> dict[str, Mapping[str, Any]]:
  """The variables that a function gives, on their devices: those of the first process. Others stay the very arrays."""
  before = {"params": state.params, "batch_stats": state.batch_stats}
  after = function(run, before, loader)
  check_shapes(shapes(after), shapes(before), f"what {name} gives")
  old, structure = jax.tree.flatten(before)
  changed = {str(i): np.asarray(x) for i, x in enumerate(jax.tree.leaves(after)) if x is not old[i]}
  if jax.process_count() > 1:
    changed = multihost_utils.broadcast_one_to_all(changed)
  for i, x in changed.items():
    place = old[int(i)]
    old[int(i)] = jax.device_put(jnp.asarray(x, place.dtype), place.sharding)
  return jax.tree.unflatten(structure, old)


def start_from(state: State, recipe: Recipe, layout: State, workdir: pathlib.Path) -> State:
  """A fresh state with the parameters and statistics of another run or checkpoint, those under `init.new` excepted.

  Args:
    state: fresh, on its devices.
    recipe: of the run; its section `init` names the source.
    layout: shape and sharding of every array, from `Trainer`; its `ema` tells whether averages are kept.
    workdir: the run's folder, which gets `weights_report.txt`.
  """
  init, variables = recipe.config["init"], {"params": state.params, "batch_stats": state.batch_stats}
  report_path = workdir / "weights_report.txt"
  if init["workdir"] or init.get("phase"):
    variables, line, report = take(variables, recipe, workdir, load)
    tell(f"{line}; {report_path}")
    if jax.process_index() == 0:
      report_path.write_text("\n".join(report) + "\n", encoding="utf-8")
  else:
    released, weights, unused = MODELS.get(init["weights"]), init["weights"], init["unused"]
    if released is not None:
      tell(f"{weights}: {licence_line(released.licence)} ({released.address})")
      weights, unused = released.weights, (*unused, *released.unused)
    with warnings.catch_warnings():
      warnings.simplefilter("ignore", ReleasedSettings)  # said in the command's own way
      variables, loaded = load_weights(variables, weights, network=recipe.network, new=init["new"], unused=unused)
    if loaded.settings:
      tell(f"warning: {init['weights']}: {loaded.warning}")
    own = released.clip.colours if released else colours_of(loaded.loaded.values())
    if other := other_colours(recipe.normalise, own):
      tell(f"warning: {init['weights']}: {other}")
    tell(f"{init['weights']}: {str(loaded).splitlines()[0]}; {report_path}")
    if jax.process_index() == 0:
      report_path.write_text(f"{init['weights']}: {loaded}\n", encoding="utf-8")
  sharding = jax.tree.map(lambda x: x.sharding, dataclasses.replace(layout, ema=None))
  state = jax.device_put(dataclasses.replace(state, **variables, ema=None), sharding)
  if layout.ema is None:
    return state
  average = picked({"params": state.params, "batch_stats": state.batch_stats}, layout.ema)
  return dataclasses.replace(state, ema=jax.tree.map(jnp.copy, average))  # the train step donates either for itself


class Origin(NamedTuple):
  """A run to start from.

  Attributes:
    variables: `{"params", "batch_stats"}`.
    step: of its checkpoint.
    class_names: its own.
  """

  variables: Mapping[str, Tree]
  step: int
  class_names: Sequence[str]


def load(folder: pathlib.Path) -> Origin:
  """The best checkpoint of a run."""
  variables, step = load_variables(folder, "best")
  return Origin(variables, step, read_folder(folder)[1])


def take(
  variables: Mapping[str, Tree],
  recipe: Recipe,
  workdir: pathlib.Path,
  load: Callable[[pathlib.Path], Origin],
  remedy: str | None = None,
) -> tuple[dict[str, Tree], str, list[str]]:
  """Variables with those of the runs that `init.workdir` or `init.phase` names.

  Args:
    variables: `{"params", "batch_stats"}`, freshly initialised.
    recipe: of the run.
    workdir: the run's folder; phases lie beside it.
    load: opens the folder of a run.
    remedy: see `transfer`.

  Returns:
    The variables, a line that says what was taken, and the lines of a report.

  Raises:
    InputError: they do not fit.
  """
  init = recipe.config["init"]
  if isinstance(init.get("phase"), Mapping):
    fresh: dict[str, Any] = traverse_util.flatten_dict(dict(variables), sep="/")
    source = fresh | _subtrees(init["phase"], init["unused"], fresh, workdir, load, remedy or "")
    taken, lines = transfer(variables, traverse_util.unflatten_dict(source, sep="/"), remedy=remedy)
    words = ", ".join(f"{prefix} of {phase}" for prefix, phase in init["phase"].items())
    return taken, f"starting from {words}", [f"{words}; the rest is new", *lines]
  (folder,) = sources(init, workdir)
  origin = load(folder)
  axes = class_axes(recipe.network_of, recipe.clip_shape, len(recipe.class_names))
  source = _without(origin.variables, init["unused"])
  source, words = match_classes(source, axes, origin.class_names, recipe.class_names, init["new"])
  taken, lines = transfer(variables, source, init["new"], remedy)
  place = f"{folder}, step {origin.step}"
  return taken, f"{place}: {'; '.join(filter(None, [lines[0], words]))}", [place, words, *lines]


def _subtrees(
  phases: Mapping[str, str],
  unused: Sequence[str],
  fresh: Mapping[str, Any],
  workdir: pathlib.Path,
  load: Callable[[pathlib.Path], Origin],
  remedy: str,
) -> dict[str, Any]:
  """The arrays under each prefix, of the phase it names: its subtree of that name, or all of it where it has none.

  A phase with a path, "2_spatial/backbone", gives the subtree of that path.
  """
  found: dict[str, Any] = {}
  for prefix, phase in phases.items():
    phase, _, part = phase.partition("/")
    variables = _without(load(workdir.parent / phase).variables, unused)
    flat: dict[str, Any] = traverse_util.flatten_dict(dict(variables), sep="/")
    if part:
      flat = {path.replace(f"/{part}/", "/", 1): x for path, x in flat.items() if under(path.partition("/")[2], part)}
    inside = {path: x for path, x in flat.items() if under(path.partition("/")[2], prefix)}
    whole = {f"{path.partition('/')[0]}/{prefix}/{path.partition('/')[2]}": x for path, x in flat.items()}
    found |= inside or whole
    missing = [path for path in fresh if under(path.partition("/")[2], prefix) and path not in found]
    if missing:
      count = f", and {len(missing)} such arrays" if len(missing) > 1 else ""
      raise InputError(f"init.phase: the phase {phase} has nothing for {missing[0]}{count}{remedy}")
  return found


def _without(variables: Mapping[str, Any], prefixes: Sequence[str]) -> dict[str, Any]:
  """Variables but for those under the prefixes of `init.unused`."""
  flat: dict[str, Any] = traverse_util.flatten_dict(dict(variables), sep="/")
  names = {path: path.partition("/")[2] for path in flat}
  idle = [one for one in prefixes if not any(under(name, one) for name in names.values())]
  if idle:
    starts = ", ".join(sorted({name.partition("/")[0] for name in names.values()}))
    raise InputError(f"init.unused names {', '.join(idle)}, but no array there starts so; they start with {starts}")
  kept = {path: x for path, x in flat.items() if not any(under(names[path], one) for one in prefixes)}
  return {"batch_stats": {}, **traverse_util.unflatten_dict(kept, sep="/")}
