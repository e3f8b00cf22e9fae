"""Rules that make one gradient of several tasks', on optax: MGDA (thesis Eq. 3.16-3.18), PCGrad, CAGrad.

Each rule weighs the tasks by the inner products of their gradients on the shared parameters, the Gram matrix `[n, n]`:
of whole gradients, so under `jax.jit` on a sharded mesh after the reduction over the devices. The aggregators take
gradients with a leading task axis, as those of `optax.experimental.aggregating` do, and go before any optimizer:

    rule = optax.experimental.aggregating.process(optax.identity(), mgda(), optax.adam(1e-3))
    gradients = jax.jacrev(lambda params: jnp.stack([loss_1(params), loss_2(params)]))(params)
    updates, state = rule.update(gradients, state, params)
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from optax.experimental import aggregating

from vidjax.bounds import NonNegative
from vidjax.checks import checked
from vidjax.errors import ConfigError
from vidjax.types import Tree

Normalise = Literal["none", "l2", "loss", "loss+"]
Shared = Tree | Callable[[Tree], Tree] | None
"""Parameters that tasks share: a tree of bools (or a prefix of one), a function from a gradient to it; None: all."""

MOST_TASKS = 8


@checked
def mgda(shared: Shared = None, normalise: Normalise = "none") -> aggregating.Aggregator:
  """The shortest convex combination of the tasks' gradients (Desideri 2012): it makes no task's loss larger.

  Shared parameters get the combination, all others the plain sum of the gradients (thesis Algorithm 1; there each of
  them has one task). Weights are `mgda_weights`'; "loss" and "loss+" need `update(..., losses=[n])`.

  Args:
    shared: see `combine`.
    normalise: of the gradients, before the weights are found.
  """
  return _aggregator(lambda gram, losses, count: mgda_weights(gram, normalise, losses), shared)


def pcgrad(shared: Shared = None, seed: int = 0) -> aggregating.Aggregator:
  """The sum of the gradients, each freed of what conflicts with the others (Yu et al. 2020, Algorithm 1).

  Args:
    shared: see `combine`.
    seed: of the order in which gradients are projected.
  """
  return _aggregator(lambda gram, losses, count: pcgrad_weights(gram, _key(seed, count)), shared)


@checked
def cagrad(shared: Shared = None, c: NonNegative = 0.5) -> aggregating.Aggregator:
  """The mean gradient, moved by at most `c` times its length to where the worst task gains most (Liu et al. 2021).

  Args:
    shared: see `combine`.
    c: how far the update may lie from the mean gradient, as a share of that.
  """
  return _aggregator(lambda gram, losses, count: cagrad_weights(gram, c), shared)


def gram_matrix(rows: Sequence[Tree], shared: Shared = None) -> jax.Array:
  """Inner products `[n, n]` of n gradients on the shared parameters, summed in at least float32.

  Args:
    rows: a gradient for each loss, a pytree each.
    shared: prefixes of the parameters that count, None for all.
  """
  leaves, mask = _flat(rows, shared)
  if not any(mask):
    raise ConfigError("no parameter is shared: the rule that combines the gradients has nothing to work on")

  def product(i: int, j: int) -> jax.Array:
    pairs = [(a, b) for a, b, m in zip(leaves[i], leaves[j], mask, strict=True) if m]
    wide = [jnp.promote_types(a.dtype, jnp.float32) for a, _ in pairs]
    return sum((jnp.sum(a.astype(t) * b.astype(t)) for (a, b), t in zip(pairs, wide, strict=True)), jnp.zeros(()))

  n = len(rows)
  upper = {(i, j): product(i, j) for i in range(n) for j in range(i, n)}
  return jnp.stack([jnp.stack([upper[min(i, j), max(i, j)] for j in range(n)]) for i in range(n)])


def combine(rows: Sequence[Tree], weights: jax.Array, shared: Shared = None) -> Tree:
  """n gradients to one: weighted by `weights` `[n]` on the shared parameters, plainly summed elsewhere.

  Args:
    rows: a gradient for each loss, a pytree each.
    weights: of the losses, for the shared parameters.
    shared: prefixes of these, None for all; in the others the gradients are summed.
  """
  leaves, mask = _flat(rows, shared)

  def one(parts: tuple[jax.Array, ...], m: bool) -> jax.Array:
    weighted = [part * w.astype(part.dtype) for part, w in zip(parts, weights, strict=True)] if m else parts
    return sum(weighted[1:], weighted[0])

  combined = [one(parts, m) for parts, m in zip(zip(*leaves, strict=True), mask, strict=True)]
  return jax.tree.unflatten(jax.tree.structure(rows[0]), combined)


def min_norm_weights(gram: jax.Array) -> jax.Array:
  """Weights `[n]` of the shortest convex combination of n gradients, exactly (thesis Eq. 3.17).

  Two tasks have the closed form of Eq. 3.18; .5 each where the gradients are equal as far as their Gram matrix can
  tell. More are solved on every face of the simplex, of whose solutions the shortest wins; where several are
  shortest, as for equal gradients, it is their mean.

  Args:
    gram: `[n, n]`, inner products of the gradients; n up to 8.
  """
  n = _check(gram)
  if n == 2:
    a, b, c = gram[0, 0], gram[1, 1], gram[0, 1]
    distance = a + b - 2 * c
    differ = distance > 4 * jnp.finfo(gram.dtype).eps * jnp.maximum(a, b)
    ratio = jnp.stack([b - c, a - c]) / jnp.where(differ, distance, 1)
    return jnp.where(differ, jnp.clip(ratio, 0, 1), 0.5)
  gram = gram / _or_one(jnp.max(jnp.diagonal(gram)))
  return _best(_shortest_of_faces(gram), lambda w: _sum(w * _times(gram, w)))


@checked
def mgda_weights(gram: jax.Array, normalise: Normalise = "none", losses: jax.Array | None = None) -> jax.Array:
  """`min_norm_weights` of normalised gradients, to be applied to the gradients as they are.

  Args:
    gram: `[n, n]`, of the gradients as they are.
    normalise: "none" (thesis), or Sener and Koltun's (2018) choices: each gradient is divided by its length ("l2"), its
      task's loss ("loss") or both ("loss+"), where that is not zero. Their code, too, applies the weights to the
      gradients as they are. Only with "none" is the combination sure to increase no loss.
    losses: `[n]`, for "loss" and "loss+"; only magnitudes count.
  """
  _check(gram)
  scale = jnp.ones(len(gram), gram.dtype)
  if normalise in ("l2", "loss+"):
    scale *= jnp.sqrt(jnp.diagonal(gram))
  if normalise in ("loss", "loss+"):
    if losses is None:
      raise ConfigError(f"mgda(normalise={normalise!r}) needs the losses: update(..., losses=array of one per task)")
    scale *= jnp.abs(jnp.asarray(losses, gram.dtype))
  scale = _or_one(scale)
  return min_norm_weights(gram / scale[:, None] / scale[None])


def pcgrad_weights(gram: jax.Array, key: jax.Array) -> jax.Array:
  """Weights `[n]` of the gradients in PCGrad's sum: their inner products are all it needs.

  Args:
    gram: `[n, n]`, inner products of the gradients.
    key: draws the order in which each gradient meets the others.
  """
  n = _check(gram)
  lengths = _or_one(jnp.diagonal(gram))

  def project(start: jax.Array, order: jax.Array) -> jax.Array:
    weights = start
    for j in order:
      dot = jnp.sum(weights * gram[j])
      conflict = (dot < 0) & (start[j] == 0)
      weights -= jnp.where(conflict, dot / lengths[j], 0) * jax.nn.one_hot(j, n, dtype=gram.dtype)
    return weights

  orders = jax.vmap(lambda k: jax.random.permutation(k, n))(jax.random.split(key, n))
  return jax.vmap(project)(jnp.eye(n, dtype=gram.dtype), orders).sum(axis=0)


@checked
def cagrad_weights(gram: jax.Array, c: NonNegative = 0.5) -> jax.Array:
  """Weights `[n]` of the gradients in CAGrad's direction `g_0 + c |g_0| g_w / |g_w|`, `g_0` being their mean.

  The convex problem for w, `min g_w . g_0 + c |g_0| |g_w|` on the simplex, is solved exactly: inside a face, `g_w` is
  the shortest there (where the length has a kink) or w solves a quadratic equation. `g_0` alone where `g_w` is 0.

  Args:
    gram: products of the losses' gradients, `[L, L]`.
    c: see `cagrad`.
  """
  n = _check(gram)
  unit = gram / _or_one(jnp.max(jnp.diagonal(gram)))  # of which the weights do not depend
  b = unit.mean(axis=1)
  radius = c * jnp.sqrt(jnp.maximum(b.mean(), 0))
  system, scale, sides = _faces(unit, jnp.ones(n, unit.dtype), b)
  p, q = jnp.moveaxis(jnp.linalg.solve(system, sides) / scale[None, :, None], -1, 0)
  big_p, big_r, big_q = _sum(p), _sum(q), _sum(q * b[None])
  root = jnp.sqrt(big_r**2 - big_p * (big_q - radius**2))  # NaN: this face's minimum lies on its border

  def length(w: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.maximum(_sum(w * _times(unit, w)), 0))

  smooth = (big_r + root)[:, None] / big_p[:, None] * p - q
  candidates = jnp.concatenate([_shortest_of_faces(unit), smooth])
  w = _best(candidates, lambda w: _sum(w * b[None]) + radius * length(w))
  norm, rounding = length(w[None])[0], 4 * jnp.sqrt(jnp.finfo(unit.dtype).eps) * _sum(w * jnp.sqrt(jnp.diagonal(unit)))
  return 1 / n + jnp.where(norm > rounding, radius / _or_one(norm), 0) * w


def _shortest_of_faces(gram: jax.Array) -> jax.Array:
  """For each face (non-empty set of tasks) the weights of its shortest affine combination, `[2^n - 1, n]`."""
  system, scale, sides = _faces(gram, jnp.min(_or_one(jnp.sqrt(jnp.diagonal(gram)))) * jnp.ones(len(gram), gram.dtype))
  border = jnp.concatenate([sides, jnp.zeros_like(sides[:, :1])], axis=1)
  system = jnp.concatenate([jnp.concatenate([system, jnp.moveaxis(sides, 1, 2)], axis=1), border], axis=2)
  last = jnp.zeros(border.shape, gram.dtype).at[:, -1].set(1)
  return jnp.linalg.solve(system, last)[:, :-1, 0] / scale[None]


def _faces(gram: jax.Array, *right: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
  """For each face `gram x = right` on the face and x = 0 off it, with the gradients' lengths divided out for float32.

  Returns:
    Systems `[2^n - 1, n, n]`, what divides their solutions `[n]`, and right sides `[2^n - 1, n, number]`.
  """
  n = len(gram)
  faces = np.array(list(itertools.product((False, True), repeat=n))[1:])
  scale = _or_one(jnp.sqrt(jnp.diagonal(gram)))
  cosines = jnp.where(np.eye(n, dtype=bool), 1, gram / scale[:, None] / scale[None])
  systems = jnp.where(faces[:, :, None] & faces[:, None, :], cosines[None], jnp.eye(n, dtype=gram.dtype)[None])
  return systems, scale, jnp.stack([jnp.where(faces, (r / scale)[None], 0) for r in right], axis=-1)


def _best(solutions: jax.Array, value: Callable[[jax.Array], jax.Array]) -> jax.Array:
  """Of solutions `[k, n]`, scaled to sum 1, and the simplex's corners: the feasible one of least value."""
  weights = jnp.concatenate([jnp.eye(solutions.shape[1], dtype=solutions.dtype), solutions / _sum(solutions)[:, None]])
  feasible = jnp.all(jnp.isfinite(weights) & (weights >= 0), axis=1)
  weights = jnp.where(feasible[:, None], weights, 0)
  values = jnp.where(feasible, value(weights), jnp.inf)
  least = (values == values.min()).astype(weights.dtype)
  return jnp.sum(least[:, None] * weights, axis=0) / least.sum()


def _sum(x: jax.Array) -> jax.Array:
  return jnp.sum(x, axis=-1)


def _times(gram: jax.Array, w: jax.Array) -> jax.Array:
  """`gram w` for w `[k, n]`, in full precision on every device."""
  return jnp.sum(gram[None] * w[:, None, :], axis=-1)


def _or_one(x: jax.Array) -> jax.Array:
  return jnp.where(x > 0, x, 1)


def _key(seed: int, count: jax.Array) -> jax.Array:
  return jax.random.fold_in(jax.random.key(seed), count)


def _flat(rows: Sequence[Tree], shared: Shared) -> tuple[list[list[jax.Array]], list[bool]]:
  leaves = [jax.tree.leaves(row) for row in rows]
  mask = shared(rows[0]) if callable(shared) else shared
  if mask is None:
    return leaves, [True] * len(leaves[0])
  try:
    mask = jax.tree.leaves(jax.tree.broadcast(mask, rows[0]))
  except ValueError as error:
    raise ConfigError(f"the mask of shared parameters does not fit the gradients: {error}") from error
  return leaves, [bool(m) for m in mask]


def _aggregator(weigh: Callable[[jax.Array, Any, jax.Array], jax.Array], shared: Shared) -> aggregating.Aggregator:
  def init(params: Tree) -> optax.ScaleByScheduleState:
    return optax.ScaleByScheduleState(count=jnp.zeros((), jnp.int32))

  def update(updates: Tree, state: Any, params: Tree | None = None, *, losses: Any = None, **extra: Any):
    lengths = {leaf.shape[:1] for leaf in jax.tree.leaves(updates)}
    if len(lengths) != 1 or () in lengths:
      raise ConfigError(f"gradients need one leading task axis, got lengths {sorted(lengths)}")
    rows = [jax.tree.map(lambda leaf, i=i: leaf[i], updates) for i in range(*lengths.pop())]
    weights = weigh(gram_matrix(rows, shared), losses, state.count)
    return combine(rows, weights, shared), optax.ScaleByScheduleState(optax.safe_increment(state.count))

  return aggregating.Aggregator(init, update)


def _check(gram: jax.Array) -> int:
  if gram.ndim != 2 or gram.shape[0] != gram.shape[1]:
    raise ConfigError(f"a Gram matrix of n gradients has the shape [n, n], got {gram.shape}")
  if not 2 <= len(gram) <= MOST_TASKS:
    raise ConfigError(f"gradients are combined for 2 to {MOST_TASKS} tasks, got {len(gram)}")
  return len(gram)
