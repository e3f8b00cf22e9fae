"""The sparse measurement matrix that shortens a feature map to a few numbers (rtsae Eq. 17-18)."""

import math
from typing import Literal

import jax
import jax.numpy as jnp

Scale = Literal["unit", "paper", "jl"]
"""What a measurement is divided by: "unit" its own root mean square, "paper" nothing, "jl" the root of its length."""


def signs(key: jax.Array, rows: int, columns: int) -> jax.Array:
  """The signs of Eq. 18, int8 `[rows, columns]`: -1 and 1 each with probability 1/6, 0 with 2/3.

  Times sqrt(3) they are the matrix R, whose entries have mean 0 and variance 1. A quarter of float32's memory.

  Args:
    key: draws them.
    rows: k, the length of a measurement.
    columns: D, the length of what is measured.
  """
  draws = jax.random.randint(key, (rows, columns), 0, 6, jnp.int8)
  return jnp.where(draws == 0, -1, jnp.where(draws == 1, 1, 0)).astype(jnp.int8)


def measure(x: jax.Array, matrix: jax.Array, scale: Scale = "unit", epsilon: float = 1e-6) -> jax.Array:
  """`R x` of vectors `[..., D]` -> `[..., k]`.

  Args:
    x: non-negative activations.
    matrix: `signs` `[k, D]`.
    scale: as printed, Eq. 18 has no 1/sqrt(k): with 401,408 inputs (p2) its components are of size 100 and saturate an
      LSTM. "unit" makes their root mean square 1.
    epsilon: floor of what is divided by.
  """
  y = math.sqrt(3) * jnp.einsum("...d,kd->...k", x, matrix.astype(x.dtype))
  if scale == "jl":
    return y / math.sqrt(matrix.shape[0])
  if scale == "unit":
    return y * jax.lax.rsqrt(jnp.mean(jnp.square(y), axis=-1, keepdims=True) + epsilon**2)
  return y


def fused(spatial: jax.Array, temporal: jax.Array, epsilon: float = 1e-6) -> jax.Array:
  """`(x_s + x_t) / (2 x_max)` of Eq. 17, `[..., D]` each; x_max is the largest of both in each vector.

  Args:
    spatial: activations of S-Net, from 0 on.
    temporal: those of T-Net.
    epsilon: floor of the largest.
  """
  largest = jnp.maximum(spatial.max(-1, keepdims=True), temporal.max(-1, keepdims=True))
  return (spatial + temporal) / (2 * jnp.maximum(largest, epsilon))
