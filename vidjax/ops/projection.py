"""Least-squares projection of a course over time onto few directions: by pixel (thesis Eq. 3.7), by clip (Eq. 3.4)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

RIDGE = 1e-6
"""Share of the columns' mean squared length that is added to the diagonal of the normal equations."""
FLOOR = 1e-12
"""Added as well, so that A = 0 projects onto 0."""


def project(x: jax.Array, a: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Solves `(A^T A + ridge) y = A^T x` with an A for each pixel, in float32; first derivatives in reverse mode only.

  The ridge bounds y where columns of A are dependent. The cost is linear in the number of pixels: D steps of
  elimination, each for all pixels at once.

  Args:
    x: `[..., T, H, W, C]`.
    a: `[..., T, H, W, D]`, D at most T.

  Returns:
    The coefficients y `[..., D, H, W, C]` and the projection A y `[..., T, H, W, C]`.
  """
  columns = tuple(a[..., d].astype(jnp.float32) for d in range(a.shape[-1]))
  y, projection = _project(x.astype(jnp.float32), columns)
  return jnp.stack(y, axis=-4), projection


def project_clip(x: jax.Array, a: jax.Array) -> tuple[jax.Array, jax.Array]:
  """`project` with one A `[..., T, D]` for all pixels of a clip.

  Args:
    x: `[..., T, H, W, C]`.
    a: `[..., T, D]`.
  """
  x, a = x.astype(jnp.float32), a.astype(jnp.float32)
  gram = jnp.einsum("...td,...te->...de", a, a, precision="highest")
  rank = a.shape[-1]
  ridge = RIDGE * jnp.trace(gram, axis1=-2, axis2=-1) / rank + FLOOR
  gram = gram + ridge[..., None, None] * jnp.broadcast_to(jnp.eye(rank), gram.shape)
  inverse = jnp.linalg.solve(gram, jnp.swapaxes(a, -1, -2))
  y = jnp.einsum("...dt,...thwc->...dhwc", inverse, x, precision="highest")
  return y, jnp.einsum("...td,...dhwc->...thwc", a, y, precision="highest")


Columns = tuple[jax.Array, ...]


@jax.custom_vjp
def _project(x: jax.Array, columns: Columns) -> tuple[Columns, jax.Array]:
  y = _solve(columns, [jnp.sum(column[..., None] * x, axis=-4) for column in columns])
  return y, _combine(columns, y)


def _forward(x: jax.Array, columns: Columns):
  y, projection = _project(x, columns)
  return (y, projection), (x, columns, y)


def _backward(residuals: tuple[jax.Array, Columns, Columns], cotangents: tuple[Columns, jax.Array]):
  """With z the same solution for the cotangents: dx = A z, dA = (dp - A z) y^T + (x - A y) z^T."""
  x, columns, y = residuals
  of_y, of_projection = cotangents
  z = _solve(
    columns, [g + jnp.sum(column[..., None] * of_projection, axis=-4) for g, column in zip(of_y, columns, strict=True)]
  )
  dx = _combine(columns, z)
  p, q = of_projection - dx, x - _combine(columns, y)
  pairs = zip(y, z, strict=True)
  return dx, tuple(jnp.sum(p * jnp.expand_dims(v, -4) + q * jnp.expand_dims(w, -4), axis=-1) for v, w in pairs)


_project.defvjp(_forward, _backward)


def _combine(columns: Columns, y: Columns) -> jax.Array:
  parts = [column[..., None] * jnp.expand_dims(value, -4) for column, value in zip(columns, y, strict=True)]
  return sum(parts[1:], parts[0])


def _solve(columns: Columns, values: Sequence[jax.Array]) -> Columns:
  """Gauss and Jordan for all pixels at once; the matrix is positive definite, so without pivoting."""
  rank, y = len(columns), list(values)
  # Products and sums, not matrix products: those of a few numbers a pixel are slow, and on GPUs inexact.
  gram = [[jnp.sum(p * q, axis=-3) for q in columns] for p in columns]
  trace = jnp.sum(jnp.stack([gram[i][i] for i in range(rank)]), axis=0)
  ridge = RIDGE * trace / rank + FLOOR
  for i in range(rank):
    gram[i][i] += ridge
  for j in range(rank):
    pivot = jnp.maximum(gram[j][j], ridge)  # rounding alone could make it smaller
    gram[j], y[j] = [value / pivot for value in gram[j]], y[j] / pivot[..., None]
    for i in set(range(rank)) - {j}:
      factor = gram[i][j]
      gram[i] = [value - factor * other for value, other in zip(gram[i], gram[j], strict=True)]
      y[i] = y[i] - factor[..., None] * y[j]
  return tuple(y)
