"""Chosen steps of a sequence moved together, in static sizes, and put back where they were."""

import jax
import jax.numpy as jnp


def compact(x: jax.Array, chosen: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
  """The chosen entries of the first axis, in their order, in the first places of `size` places; the rest is padding.

  Args:
    x: `[N, ...]`.
    chosen: bool `[N]`.
    size: places, static; entries beyond them are left out, so take at least the number of the chosen ones.

  Returns:
    `[size, ...]`, and the place `[N]` int32 of every entry, `size` where it is not there.
  """
  place = jnp.where(chosen, jnp.cumsum(chosen) - 1, size).astype(jnp.int32)
  source = jnp.zeros(size, jnp.int32).at[place].set(jnp.arange(len(chosen), dtype=jnp.int32), mode="drop")
  return x[source], place


def expand(y: jax.Array, place: jax.Array, fill: float = 0.0) -> jax.Array:
  """The inverse of `compact`: `[size, ...]` -> `[N, ...]`, with `fill` where an entry was not chosen.

  Args:
    y: the chosen entries, and padding.
    place: from `compact`.
    fill: value of the others.
  """
  there = (place < len(y)).reshape(-1, *[1] * (y.ndim - 1))
  return jnp.where(there, y[jnp.minimum(place, len(y) - 1)], jnp.asarray(fill, y.dtype))
