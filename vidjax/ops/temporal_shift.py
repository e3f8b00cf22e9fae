"""Temporal shift of channels (TSM, Lin et al. 2019, Fig. 1): zero parameters, zero multiplications."""

import jax
import jax.numpy as jnp


def temporal_shift(x: jax.Array, fold: int, bidirectional: bool = True) -> jax.Array:
  """Moves two groups of channels by one frame, filling with zeros.

  Args:
    x: `[..., T, H, W, C]`.
    fold: channels in each group; `[0, fold)` reads frame t+1 and `[fold, 2 fold)` reads frame t-1.
    bidirectional: False for online use: only `[0, fold)` moves, and reads frame t-1.

  Returns:
    The shifted clip, shape and dtype as `x`.
  """
  gap = jnp.zeros_like(x[..., :1, :, :, :fold])

  def from_next(part: jax.Array) -> jax.Array:
    return jnp.concatenate([part[..., 1:, :, :, :], gap], axis=-4)

  def from_previous(part: jax.Array) -> jax.Array:
    return jnp.concatenate([gap, part[..., :-1, :, :, :]], axis=-4)

  if not bidirectional:
    return jnp.concatenate([from_previous(x[..., :fold]), x[..., fold:]], axis=-1)
  first, second, rest = x[..., :fold], x[..., fold : 2 * fold], x[..., 2 * fold :]
  return jnp.concatenate([from_next(first), from_previous(second), rest], axis=-1)
