"""A recipe on its devices: the state to begin with, and the step that changes it."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vidjax.apply.once import jit_once
from vidjax.apply.parts import Part
from vidjax.apply.sharding import batch_sharding, check_batch_size, make_mesh, state_sharding
from vidjax.recipe import Recipe
from vidjax.train.multitask import make_blend
from vidjax.train.step import Prepare, init_state, make_prepare, make_train_step
from vidjax.types import Batch, State


class Trainer(NamedTuple):
  """What trains: made of a Recipe, and shared by the command, the benchmark and notebooks.

  Attributes:
    init: makes the state to begin with, laid out on the devices.
    step: `(state, batch, key) -> (state, metrics)`, jitted; the state's arrays are donated.
    key: the base key of all steps, folded by their numbers.
    total: steps of the training.
    schedule: step -> learning rate.
    prepare: what happens to a batch on the device before the network sees it.
    reads: names of what a batch must hold.
    layout: shape, dtype and sharding of every array of the state.
    mesh: the devices.
  """

  init: Callable[[], State]
  step: Callable[[State, Batch, jax.Array], tuple[State, dict[str, jax.Array]]]
  key: jax.Array
  total: int
  schedule: optax.Schedule
  prepare: Prepare
  reads: tuple[str, ...]
  layout: State
  mesh: Mesh


def make_trainer(recipe: Recipe, batches_per_epoch: int, mesh: Mesh | None = None) -> Trainer:
  """The trainer of a recipe; nothing is computed yet.

  Args:
    recipe: from `make_recipe`.
    batches_per_epoch: of the loader, for schedules that count epochs.
    mesh: devices (default: as `train.devices` says).

  Raises:
    ConfigError: the batch cannot be split over the devices, or there are not that many.
  """
  settings = recipe.settings
  mesh = mesh or make_mesh(settings.devices)
  check_batch_size(settings.batch_size, mesh, settings.accumulate)
  total, schedule = settings.total(batches_per_epoch), recipe.schedule(batches_per_epoch)
  optimizer, blend = recipe.optimizer(schedule), make_blend(recipe.rule, total)
  prepare = make_prepare(recipe.device_transforms, recipe.normalise, recipe.task)
  init_key, key = jax.random.split(jax.random.key(recipe.config["seed"]))
  ema = settings.ema_decay is not None
  part = Part(settings.frozen, settings.trained)
  make = functools.partial(init_state, recipe.network, recipe.clip_shape, optimizer, ema=ema, blend=blend, part=part)
  abstract = jax.eval_shape(make, key=init_key)
  part.check(abstract.params)
  sharding, whole = state_sharding(abstract, mesh, settings.fsdp), NamedSharding(mesh, PartitionSpec())
  step = make_train_step(
    recipe.network,
    recipe.objectives,
    blend,
    optimizer,
    prepare,
    recipe.task.measure,
    dtype=recipe.dtype,
    ema_decay=settings.ema_decay,
    accumulate=settings.accumulate,
    part=part,
  )
  return Trainer(
    init=lambda: jit_once(make, out_shardings=sharding)(key=init_key),
    step=jax.jit(
      step, in_shardings=(sharding, batch_sharding(mesh), whole), out_shardings=(sharding, whole), donate_argnums=0
    ),
    key=key,
    total=total,
    schedule=schedule,
    prepare=prepare,
    reads=("video", *recipe.task.targets),
    layout=jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), abstract, sharding),
    mesh=mesh,
  )
