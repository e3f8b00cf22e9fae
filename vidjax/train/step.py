"""The forward pass and the train step: a clip goes in, named losses come out, one blend turns them into an update."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import traverse_util

from vidjax.errors import ConfigError
from vidjax.types import Array, Batch, Blend, Objective, Output, State, Tree

Prepare = Callable[[Batch, jax.Array], Batch]
"""(batch of uint8 clips, key) -> batch of normalised float clips, mixed and jittered where asked for."""


def forward(
  network: nn.Module,
  variables: Mapping[str, Tree],
  clips: Array,
  train: bool,
  rngs: dict[str, jax.Array] | None = None,
  dtype: Any = jnp.float32,
  intermediates: bool = False,
) -> tuple[Output, Tree]:
  """Applies a network; the one place that knows its mutable collections and its precision.

  Parameters and clips are cast to `dtype` on the way in and the output to float32 on the way out, so float32 parameters
  compute in bfloat16 without any module knowing; running statistics stay float32.

  Args:
    network: a module called as `(clips, train)` that returns an Output.
    variables: `{"params": ..., "batch_stats": ...}`.
    clips: `[B, T, H, W, C]`, normalised floats.
    train: batch statistics and dropout on or off.
    rngs: keys by stream, such as `{"dropout": key}`; needed in training.
    dtype: of the computation.
    intermediates: also return what modules sowed for analysis, as `aux["intermediates"]`.

  Returns:
    The output, and the new running statistics (the old ones outside training). What plug-ins sowed under "aux" is in
    `output.aux[name]`, as a tuple with one value for each site, sorted by the site's path.
  """
  params = jax.tree.map(lambda x: x.astype(dtype), variables["params"])
  stats = variables.get("batch_stats", {})
  mutable = ["aux"] + ["batch_stats"] * train + ["intermediates"] * intermediates
  output, changed = network.apply(
    {"params": params, "batch_stats": stats}, jnp.asarray(clips, dtype), train, rngs=rngs, mutable=mutable
  )
  aux = {**output.aux, **_sown(changed.get("aux", {}))}
  if intermediates:
    aux["intermediates"] = changed.get("intermediates", {})
  output = jax.tree.map(_to_float32, output.replace(aux=aux))
  return output, changed.get("batch_stats", stats)


def _to_float32(x: jax.Array) -> jax.Array:
  return x.astype(jnp.float32) if jnp.issubdtype(x.dtype, jnp.floating) else x


def _sown(collection: Tree) -> dict[str, tuple]:
  values: dict[str, tuple[Any, ...]] = {}
  for path, sown in sorted(traverse_util.flatten_dict(collection).items()):
    values[path[-1]] = (*values.get(path[-1], ()), *cast(tuple, sown))
  return values


def make_prepare(
  transforms: Sequence[Callable[[Batch, jax.Array], Batch]],
  normalise: Callable[[jax.Array], jax.Array],
  num_classes: int,
) -> Prepare:
  """What happens to a training batch on the device: uint8 to [0, 1], the transforms in turn, normalisation.

  The batch gains `target` `[B, K]`, one-hot labels that a transform may mix.
  """

  def prepare(batch: Batch, key: jax.Array) -> Batch:
    target = jax.nn.one_hot(batch["label"], num_classes)
    batch = {**batch, "video": jnp.asarray(batch["video"], jnp.float32) / 255, "target": target}
    for i, transform in enumerate(transforms):
      batch = transform(batch, jax.random.fold_in(key, i))
    return {**batch, "video": normalise(jnp.asarray(batch["video"]))}

  return prepare


def init_state(
  network: nn.Module, clip_shape: Sequence[int], optimizer: optax.GradientTransformation, key: jax.Array, ema: bool
) -> State:
  """A fresh State for clips of `clip_shape` `[T, H, W, C]`; call it under `jax.jit` with the shardings wanted."""
  variables = network.init(key, jnp.zeros((1, *clip_shape)), False)
  params, stats = variables["params"], variables.get("batch_stats", {})
  average = {"params": params, "batch_stats": stats} if ema else None
  return State(jnp.zeros((), jnp.int32), params, stats, optimizer.init(params), average)


def make_train_step(
  network: nn.Module,
  objectives: Sequence[Objective],
  blend: Blend,
  optimizer: optax.GradientTransformation,
  prepare: Prepare,
  *,
  dtype: Any = jnp.float32,
  ema_decay: float | None = None,
  accumulate: int = 1,
) -> Callable[[State, Batch, jax.Array], tuple[State, dict[str, jax.Array]]]:
  """The function `(state, batch, base key) -> (state, metrics)` of one optimizer update, to be jitted by the caller.

  The base key is folded by the step, so a step depends on nothing but its state, its batch and the seed. With
  `accumulate=k` the batch is cut into k parts that run one after another; gradients and metrics are their mean, and
  batch statistics are those of each part.
  """
  if not objectives:
    raise ConfigError("config.losses is empty: name at least one, as configs/default.py does")

  def gradients(params: Tree, stats: Tree, batch: Batch, step: jax.Array, key: jax.Array):
    prepare_key, dropout_key = jax.random.split(key)
    batch = prepare(batch, prepare_key)

    def named_losses(params: Tree):
      variables = {"params": params, "batch_stats": stats}
      output, new_stats = forward(network, variables, batch["video"], True, {"dropout": dropout_key}, dtype)
      losses: dict[str, jax.Array] = {}
      for objective in objectives:
        losses.update(objective(output, batch))
      hits = jnp.argmax(output.logits, -1) == batch["label"]
      return losses, (new_stats, jnp.mean(hits, where=batch["mask"]))

    losses, pullback, (new_stats, top1) = jax.vjp(named_losses, params, has_aux=True)
    grads, notes = blend(losses, lambda cotangents: pullback(cotangents)[0], step)
    metrics = {**{f"loss/{name}": value for name, value in losses.items()}, **notes, "top1": top1}
    return grads, new_stats, metrics

  def train_step(state: State, batch: Batch, base_key: jax.Array) -> tuple[State, dict[str, jax.Array]]:
    key = jax.random.fold_in(base_key, state.step)
    if accumulate == 1:
      grads, stats, metrics = gradients(state.params, state.batch_stats, batch, state.step, key)
    else:

      def one(stats: Tree, part: tuple[Batch, jax.Array]):
        grads, stats, metrics = gradients(state.params, stats, part[0], state.step, part[1])
        return stats, (grads, metrics)

      # Parts take every k-th clip, so that each device finds its share of every part on itself.
      parts = jax.tree.map(lambda x: jnp.swapaxes(x.reshape(-1, accumulate, *x.shape[1:]), 0, 1), dict(batch))
      stats, sums = jax.lax.scan(one, state.batch_stats, (parts, jax.random.split(key, accumulate)))
      grads, metrics = jax.tree.map(lambda x: x.mean(axis=0), sums)
    metrics["gradient_norm"] = optax.tree.norm(grads)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    ema = state.ema
    if ema_decay is not None:
      if ema is None:
        raise ConfigError("ema_decay is set, but the state has no averages: init_state(..., ema=True)")
      ema = optax.incremental_update({"params": params, "batch_stats": stats}, ema, 1 - ema_decay)
    return State(state.step + 1, params, stats, opt_state, ema), metrics

  return train_step
