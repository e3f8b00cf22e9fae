"""The forward pass and the train step: a clip goes in, named losses come out, one blend turns them into an update."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from vidjax.apply.device_augment import to_unit
from vidjax.apply.forward import forward
from vidjax.apply.parts import EVERYTHING, Part, laid_over
from vidjax.errors import ConfigError
from vidjax.types import Batch, Blend, Objective, Output, Pullback, State, Task, Tree

Prepare = Callable[[Batch, jax.Array], Batch]
"""(batch of uint8 clips, key) -> batch of normalised float clips, mixed and jittered where asked for."""


Measure = Callable[[Output, Batch], Mapping[str, jax.Array]]


def make_prepare(
  transforms: Sequence[Callable[[Batch, jax.Array], Batch]],
  normalise: Callable[[jax.Array], jax.Array],
  task: Task,
) -> Prepare:
  """What happens to a training batch on the device: uint8 to [0, 1], the task's part, the transforms, normalisation.

  Args:
    transforms: `(batch, key) -> batch`, in this order.
    normalise: of clips in [0, 1].
    task: prepares what the losses compare with.
  """

  def prepare(batch: Batch, key: jax.Array) -> Batch:
    batch = task.prepare({**batch, "video": to_unit(jnp.asarray(batch["video"]))})
    for i, transform in enumerate(transforms):
      batch = transform(batch, jax.random.fold_in(key, i))
    return {**batch, "video": normalise(jnp.asarray(batch["video"]))}

  return prepare


def init_state(
  network: nn.Module,
  clip_shape: Sequence[int],
  optimizer: optax.GradientTransformation,
  key: jax.Array,
  ema: bool = False,
  blend: Blend | None = None,
  part: Part = EVERYTHING,
) -> State:
  """A fresh State; call it under `jax.jit` with its shardings.

  Args:
    network: the model.
    clip_shape: `[T, H, W, C]` or `[T, F]`, without the batch.
    optimizer: makes `opt_state`.
    key: draws the parameters.
    ema: keep averages of parameters and statistics.
    blend: makes the blend's memory; None for none.
    part: what is trained: the optimizer and the averages hold nothing of the rest.
  """
  variables = network.init(key, jnp.zeros((1, *clip_shape)), False)
  params, stats = variables["params"], variables.get("batch_stats", {})
  average = {"params": part.of(params), "batch_stats": part.of_statistics(stats, params)} if ema else None
  memory = blend.init() if blend else None
  return State(jnp.zeros((), jnp.int32), params, stats, optimizer.init(part.of(params)), average, memory)


def make_train_step(
  network: nn.Module,
  objectives: Sequence[Objective],
  blend: Blend,
  optimizer: optax.GradientTransformation,
  prepare: Prepare = lambda batch, key: batch,
  measure: Measure = lambda output, batch: {},
  *,
  dtype: Any = jnp.float32,
  ema_decay: float | None = None,
  accumulate: int = 1,
  part: Part = EVERYTHING,
) -> Callable[[State, Batch, jax.Array], tuple[State, dict[str, jax.Array]]]:
  """The function `(state, batch, base key) -> (state, metrics)` of one optimizer update, to be jitted by the caller.

  The base key is folded by the step, so a step depends on nothing but its state, its batch and the seed. With
  `accumulate=k` the batch is cut into k parts that run one after another; losses, each loss's gradient and metrics are
  their mean, and batch statistics are those of each part.

  Args:
    network: as in `forward`.
    objectives: the losses.
    blend: turns their gradients into one.
    optimizer: of that gradient.
    prepare: from `make_prepare` (default: the batch is prepared already).
    measure: `types.Task.measure`, whose numbers are logged (default: none).
    dtype: of the computation.
    ema_decay: of the averaged parameters, or None.
    accumulate: parts of a batch.
    part: the parameters and running statistics that are trained; gradients are of them alone.

  Raises:
    ConfigError: there is no objective, or the part fits no parameter (when the step is traced).
  """
  if not objectives:
    raise ConfigError("config.losses is empty: name at least one, as configs/default.py does")

  def differentiate(params: Tree, stats: Tree, batch: Batch, key: jax.Array):
    prepare_key, dropout_key = jax.random.split(key)
    batch = prepare(batch, prepare_key)

    def named_losses(trained: Tree):
      variables = {"params": laid_over(params, trained), "batch_stats": stats}
      output, new_stats = forward(network, variables, batch["video"], True, {"dropout": dropout_key}, dtype)
      losses: dict[str, jax.Array] = {}
      for objective in objectives:
        named = objective(output, batch)
        if twice := sorted(set(named) & set(losses)):
          raise ConfigError(f"two of config.losses are named {', '.join(twice)}: set `name` of one to another")
        losses |= named
      numbers = {name: jnp.mean(x, where=batch["mask"]) for name, x in measure(output, batch).items()}
      return losses, (laid_over(stats, part.of_statistics(new_stats, params)), numbers)

    trained = part.of(params)
    losses, tangents, (new_stats, numbers) = jax.linearize(named_losses, trained, has_aux=True)

    def pullback(cotangents: Mapping[str, jax.Array]) -> Tree:
      # As jax.vjp's, but it transposes no more of the network than the losses it is asked for depend on.
      def chosen(tangent: Tree) -> dict[str, jax.Array]:
        every = tangents(tangent)
        return {name: every[name] for name in cotangents}

      cotangents = {name: jnp.asarray(x, losses[name].dtype) for name, x in cotangents.items()}
      return jax.linear_transpose(chosen, trained)(cotangents)[0]

    return losses, pullback, new_stats, numbers

  def blended(losses: dict[str, jax.Array], pullback: Pullback, state: State):
    """Gradient, what to log, and what the blend remembers now."""
    return blend.update(losses, pullback, state.step, state.blend)

  def accumulated(state: State, batch: Batch, key: jax.Array):
    """Losses, the blend's results, statistics and the task's numbers of a batch in parts."""
    each_part = blend.linear

    def one(stats: Tree, part: tuple[Batch, jax.Array]):
      losses, pullback, stats, numbers = differentiate(state.params, stats, *part)
      if each_part:
        return stats, (losses, blended(losses, pullback, state), numbers)
      return stats, (losses, {name: pullback({name: jnp.ones(())}) for name in losses}, numbers)

    def add(carry: tuple[Tree, Tree], part: tuple[Batch, jax.Array]):
      stats, new = one(carry[0], part)
      return (stats, jax.tree.map(jnp.add, carry[1], new)), None

    # Parts take every k-th clip, so that each device finds its share of every part on itself.
    parts = jax.tree.map(lambda x: jnp.swapaxes(x.reshape(-1, accumulate, *x.shape[1:]), 0, 1), dict(batch))
    parts = (parts, jax.random.split(key, accumulate))
    shapes = jax.eval_shape(lambda: one(state.batch_stats, jax.tree.map(lambda x: x[0], parts))[1])
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    (stats, sums), _ = jax.lax.scan(add, (state.batch_stats, zeros), parts)
    losses, results, numbers = jax.tree.map(lambda x: x / accumulate, sums)
    if not each_part:
      rows: dict[str, Tree] = results

      def pullback(cotangents: Mapping[str, jax.Array]) -> Tree:
        return jax.tree.map(
          lambda *g: sum(x * c for x, c in zip(g, cotangents.values(), strict=True)),
          *(rows[name] for name in cotangents),
        )

      results = blended(losses, pullback, state)
    return losses, results, stats, numbers

  def train_step(state: State, batch: Batch, base_key: jax.Array) -> tuple[State, dict[str, jax.Array]]:
    part.check(state.params)
    key = jax.random.fold_in(base_key, state.step)
    if accumulate == 1:
      losses, pullback, stats, numbers = differentiate(state.params, state.batch_stats, batch, key)
      grads, notes, memory = blended(losses, pullback, state)
    else:
      losses, (grads, notes, memory), stats, numbers = accumulated(state, batch, key)
    metrics = {**{f"loss/{name}": value for name, value in losses.items()}, **notes, **numbers}
    metrics["gradient_norm"] = optax.tree.norm(grads)
    trained = part.of(state.params)
    updates, opt_state = optimizer.update(grads, state.opt_state, trained)
    trained = optax.apply_updates(trained, updates)
    ema = state.ema
    if ema_decay is not None:
      if ema is None:
        raise ConfigError("ema_decay is set, but the state has no averages: init_state(..., ema=True)")
      new = {"params": trained, "batch_stats": part.of_statistics(stats, state.params)}
      averaged = optax.incremental_update(new, ema, 1 - ema_decay)
      ema = jax.tree.map(lambda x, mean: mean if jnp.issubdtype(x.dtype, jnp.inexact) else x, new, averaged)
    return State(state.step + 1, laid_over(state.params, trained), stats, opt_state, ema, memory), metrics

  return train_step
