"""Soft clusters and what is left of a vector without its cluster (dte Eq. 19-20; VLAD of Jegou et al., CVPR 2010).

Shapes: vectors `[..., D]`, centres `[K, D]`, assignments `[..., K]`, each row of which adds up to 1.
"""

from typing import Literal

import jax
import jax.numpy as jnp

Assign = Literal["hard", "soft"]
"""Which centre a residual is taken from: the "hard" nearest one, or the "soft" mean of all by their q."""


def squared_distances(z: jax.Array, centres: jax.Array) -> jax.Array:
  """`|z - mu_j|^2` `[..., K]`, from the differences: the shorter product form loses digits between close vectors.

  Args:
    z: `[..., D]`.
    centres: `[K, D]`.
  """
  centres = centres.astype(z.dtype).reshape((1,) * (z.ndim - 1) + centres.shape)
  return jnp.sum(jnp.square(z[..., None, :] - centres), axis=-1)


def student_q(z: jax.Array, centres: jax.Array, dof: float = 1.0) -> jax.Array:
  """Soft assignment by Student's t-distribution, `[..., K]` (dte Eq. 19).

  Args:
    z: `[..., D]`.
    centres: `[K, D]`.
    dof: degrees of freedom, alpha.
  """
  return jax.nn.softmax(-(dof + 1) / 2 * jnp.log1p(squared_distances(z, centres) / dof), axis=-1)


def target_p(q: jax.Array, frequency: jax.Array) -> jax.Array:
  """The target distribution `[..., K]` (dte Eq. 20): q squared over the frequency, each row adding up to 1.

  Args:
    q: `[..., K]`.
    frequency: `[K]`, the sum of q over the whole set. A cluster without any gets no target.
  """
  tiny = jnp.finfo(q.dtype).tiny
  frequency = frequency.reshape((1,) * (q.ndim - 1) + (-1,))
  weights = jnp.where(frequency > tiny, jnp.square(q) / jnp.maximum(frequency, tiny), 0)
  return weights / jnp.maximum(weights.sum(axis=-1, keepdims=True), tiny)


def nearest(q: jax.Array) -> jax.Array:
  """One-hot `[..., K]` of the largest q, the first of several."""
  return jax.nn.one_hot(jnp.argmax(q, axis=-1), q.shape[-1], dtype=q.dtype)


def residual(x: jax.Array, centres: jax.Array, weights: jax.Array) -> jax.Array:
  """What is left of each vector without its cluster, `[..., D]`: `x - sum_j weights_j mu_j`.

  Args:
    x: `[..., D]`.
    centres: `[K, D]`.
    weights: `[..., K]`, such as `nearest(q)` for hard residuals and q for soft ones.
  """
  return x - weights @ centres.astype(x.dtype)


def vlad(x: jax.Array, centres: jax.Array, weights: jax.Array) -> jax.Array:
  """Residuals added up by cluster, `[B, N, D]` to `[B, K * D]`.

  Each cluster's sum is divided by its length (intra-normalisation), then the whole by its own. A cluster that no
  vector belongs to stays 0.

  Args:
    x: `[B, N, D]`.
    centres: `[K, D]`.
    weights: `[B, N, K]`, as in `residual`.
  """
  sums = residual_sums(x, centres, weights)
  return _unit(_unit(sums).reshape(sums.shape[0], -1))


def residual_sums(x: jax.Array, centres: jax.Array, weights: jax.Array) -> jax.Array:
  """`sum_n weights_nk (x_n - mu_k)`, `[B, K, D]`, before any normalisation.

  Args:
    x: `[B, N, D]`.
    centres: `[K, D]`.
    weights: `[B, N, K]`.
  """
  return jnp.einsum("bnk,bnd->bkd", weights, x) - weights.sum(axis=1)[..., None] * centres.astype(x.dtype)[None]


def _unit(x: jax.Array) -> jax.Array:
  """Each vector over its length, with a gradient of 0 where it is 0."""
  squared = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
  some = squared > 0
  return jnp.where(some, x * jax.lax.rsqrt(jnp.where(some, squared, 1)), 0)
