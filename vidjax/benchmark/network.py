"""Speed of the train step and of inference on random clips, and what a real loader adds; needs no data stack."""

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vidjax.analyse.cost import count_macs
from vidjax.apply.forward import forward
from vidjax.apply.once import jit_once
from vidjax.apply.sharding import batch_sharding, check_batch_size, make_mesh, put_batch
from vidjax.benchmark.measure import Spread, fresh_compilation, peak_flops, say
from vidjax.errors import ConfigError, InputError
from vidjax.recipe import Recipe, Settings, make_recipe
from vidjax.train.trainer import Trainer, make_trainer
from vidjax.types import Batch, State

NUM_CLASSES = 174
"""Of the random clips by default (Something-Something V1): a data set is only opened to measure its loader."""

Results = dict[str, Any]

Plan = tuple[int, int, int]
"""(steps in a run, steps before it, runs)."""


def measure_train(config: Mapping[str, Any], steps: int, warmup: int, runs: int, classes: int = NUM_CLASSES) -> Results:
  """Times the train step a config describes, on one batch of random clips again and again, then fed by its loader.

  Args:
    config: plain nested dicts, as `configs/default.py`.
    steps: steps in a run.
    warmup: steps before the first run.
    runs: runs; every time comes as the median over them, with the smallest and the largest.
    classes: of the network.

  Raises:
    ConfigError: the config does not fit.
  """
  recipe = _recipe(config, "transforms", classes)
  trainer = make_trainer(recipe, steps)
  settings, mesh, key = recipe.settings, trainer.mesh, trainer.key
  say("compilation of the train step")
  state = trainer.init()
  batch = put_batch(_random_batch(recipe, classes), mesh)
  compiled, results = _compile(trainer.step, state, batch, key)
  results["classes"] = classes
  results |= _cost(recipe, trainer, batch)

  say(f"{warmup} + {runs} x {steps} steps on one batch of {settings.batch_size} random clips of {classes} classes")
  times = []
  for number in range(-1, runs):  # run -1 warms up
    count = warmup if number < 0 else steps
    start = time.perf_counter()
    for _ in range(count):
      state, _ = compiled(state, batch, key)
    jax.block_until_ready(state)
    times += [(time.perf_counter() - start) / count] if number >= 0 else []
  results |= _rates(times, settings, results["training GMAC per clip"], mesh)
  results |= _memory(compiled, mesh)
  results |= _fed_by_loader(config, trainer, compiled, state, batch, (steps, warmup, runs))
  return results


def measure_infer(config: Mapping[str, Any], steps: int, warmup: int, runs: int, classes: int = NUM_CLASSES) -> Results:
  """Times the softmax scores of one batch of random clips.

  Args:
    config: of a training.
    steps: forward passes of a run.
    warmup: forward passes before the first run, not counted.
    runs: how often the time is taken.
    classes: of the network.
  """
  recipe = _recipe(config, "test", classes)
  settings, shape = recipe.settings, recipe.clip_shape
  mesh = make_mesh(settings.devices)
  check_batch_size(settings.batch_size, mesh, settings.accumulate)

  def score(variables: Any, clips: jax.Array) -> Any:
    output, _ = forward(recipe.network, variables, recipe.normalise(clips), False, dtype=recipe.dtype)
    return recipe.task.answer(output)

  whole = NamedSharding(mesh, PartitionSpec())
  make = functools.partial(recipe.network.init, train=False)
  say("compilation of the forward pass")
  variables = jit_once(make, out_shardings=whole)(jax.random.key(config["seed"]), jnp.zeros((1, *shape)))
  clips = put_batch(_random_batch(recipe, classes), mesh)["video"]
  jitted = jax.jit(score, in_shardings=(whole, batch_sharding(mesh)), out_shardings=batch_sharding(mesh))
  compiled, results = _compile(jitted, variables, clips)
  results["classes"] = classes
  macs = count_macs(score, variables, clips) / settings.batch_size
  results["forward GMAC per clip"] = macs / 1e9

  say(f"{warmup} + {runs} x {steps} forward passes of {settings.batch_size} random clips")
  times = []
  for number in range(-1, runs):
    count = warmup if number < 0 else steps
    start = time.perf_counter()
    scores = [compiled(variables, clips) for _ in range(count)]
    jax.block_until_ready(scores)
    times += [(time.perf_counter() - start) / count] if number >= 0 else []
  return results | _rates(times, settings, macs / 1e9, mesh) | _memory(compiled, mesh)


def _recipe(config: Mapping[str, Any], crops: str, classes: int) -> Recipe:
  """The recipe of a config, for the clips that its section `crops` leaves."""
  recipe = make_recipe(config, [str(number) for number in range(classes)])
  if "pixels" not in recipe.stream.gives:
    return recipe
  parts = config[crops] if crops == "transforms" else [config[crops]]
  sizes = [part["size"] for part in parts if "size" in part]
  if not sizes or not all(isinstance(size, int) and size > 0 for size in sizes):
    raise ConfigError(f"config.{crops} sets no size in pixels, the side of the clips: see configs/default.py")
  return dataclasses.replace(recipe, clip_shape=recipe.stream.clip_shape(recipe.sampler.clip_length, sizes[-1]))


def _random_batch(recipe: Recipe, classes: int) -> dict[str, np.ndarray]:
  """Random clips, as the loader's of the recipe's stream, with random targets of its task."""
  rng, size = np.random.default_rng(0), recipe.settings.batch_size
  several = getattr(recipe.task, "several", False)
  label = rng.integers(2, size=(size, classes)) > 0 if several else rng.integers(classes, size=size, dtype=np.int32)
  return {
    "video": rng.integers(256, size=(size, *recipe.clip_shape), dtype=np.uint8).astype(recipe.stream.dtype),
    "label": label,
    "mask": np.ones(size, bool),
  }


def _compile(jitted: Any, *args: Any) -> tuple[Any, Results]:
  with fresh_compilation():
    start = time.perf_counter()
    lowered = jitted.lower(*args)
    middle = time.perf_counter()
    compiled = lowered.compile()
    end = time.perf_counter()
  return compiled, {"trace and lower s": middle - start, "compile s": end - middle}


def _cost(recipe: Recipe, trainer: Trainer, batch: Batch) -> Results:
  state, clip = trainer.layout, jax.ShapeDtypeStruct((1, *recipe.clip_shape), jnp.float32)
  variables = {"params": state.params, "batch_stats": state.batch_stats}
  macs = count_macs(trainer.step, state, batch, trainer.key) / recipe.settings.batch_size
  return {
    "parameters": sum(x.size for x in jax.tree.leaves(state.params)),
    "forward GMAC per clip": count_macs(lambda v, x: forward(recipe.network, v, x, False)[0], variables, clip) / 1e9,
    "training GMAC per clip": macs / 1e9,
  }


def _rates(times: list[float], settings: Settings, gmacs: float, mesh: Mesh) -> Results:
  flops = [2e9 * gmacs * settings.batch_size / seconds for seconds in times]
  kind = mesh.devices.flat[0].device_kind
  peak = peak_flops(kind, settings.dtype)
  share = Spread.of([rate / (peak * mesh.size) for rate in flops]) if peak else f"not known for {kind!r}"
  return {
    "batch size": settings.batch_size,
    "dtype": settings.dtype,
    "step ms": Spread.of([1e3 * seconds for seconds in times]),
    "clips per second": Spread.of([settings.batch_size / seconds for seconds in times]),
    "TFLOP per second": Spread.of([rate / 1e12 for rate in flops]),
    "share of the peak": share,
  }


def _memory(compiled: Any, mesh: Mesh) -> Results:
  sizes, device = compiled.memory_analysis(), mesh.local_mesh.devices.flat[0]
  stats = device.memory_stats() or {}
  results: Results = {}
  if sizes is not None:
    total = sizes.argument_size_in_bytes + sizes.output_size_in_bytes - sizes.alias_size_in_bytes
    results["MiB planned by the compiler"] = (total + sizes.temp_size_in_bytes) / 2**20
  results["MiB at the peak"] = stats.get("peak_bytes_in_use", 0) / 2**20 or f"not told by {device.platform!r}"
  return results


def _fed_by_loader(
  config: Mapping[str, Any], trainer: Trainer, step: Callable, state: State, batch: Batch, plan: Plan
) -> Results:
  """The training loop without log and checkpoints, in turn with as many steps on one batch: the cost of its data."""
  try:
    from vidjax.run.opened import Run

    batches = Run(config).train_loader(config["train"]["batch_size"]).batches()
  except (ImportError, InputError) as error:  # the data stack, or this data set, is not on this machine
    return {"fed by the loader": f"not measured: {error}"}

  def loop(state: State, steps: int, fed: bool) -> tuple[State, float, float]:
    """The state, and seconds in all and waiting for the loader."""
    waited, pending, start = 0.0, None, time.perf_counter()
    for _ in range(steps):
      before = time.perf_counter()
      host = next(batches) if fed else None
      waited += time.perf_counter() - before
      here = batch if host is None else put_batch({name: host[name] for name in trainer.reads}, trainer.mesh)
      state, metrics = step(state, here, trainer.key)
      jax.block_until_ready(pending)  # one step behind, as in vidjax.train.loop
      pending = metrics
    jax.block_until_ready(state)
    return state, time.perf_counter() - start, waited

  steps, warmup, runs = plan
  say(f"{runs} x ({steps} steps on that batch, {warmup} + {steps} fed by the loader)")
  free, full, waits = [], [], []
  for _ in range(runs):
    state, seconds, _ = loop(state, steps, fed=False)
    free.append(seconds)
    state, _, _ = loop(state, warmup, fed=True)  # uses up what was read ahead meanwhile
    state, seconds, waited = loop(state, steps, fed=True)
    full.append(seconds)
    waits.append(waited)
  batches.close()
  return {
    "fed step ms": Spread.of([1e3 * seconds / steps for seconds in full]),
    "data wait": Spread.of([waited / seconds for waited, seconds in zip(waits, full, strict=True)]),
    "data-free / fed step": Spread.of([one / other for one, other in zip(free, full, strict=True)]),
  }
