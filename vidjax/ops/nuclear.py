"""The nuclear norm of a matrix, the sum of its singular values, with a gradient finite everywhere (rtsae Eq. 9)."""

import jax
import jax.numpy as jnp


def nuclear_norm(x: jax.Array, epsilon: float = 1e-2) -> jax.Array:
  """The smoothed nuclear norm `sum_i (sqrt(s_i^2 + epsilon^2) - epsilon)` of matrices `[..., T, D]` -> `[...]`.

  The squared singular values s_i^2 are the eigenvalues of the Gram matrix of the smaller side. Its gradient is that of
  rtsae Eq. 11 where singular values are large against epsilon, and 0 in zero rows: the singular value decomposition
  would give them a gradient that is not theirs, and the unsmoothed root of the eigenvalues one that is not finite.

  Args:
    x: the matrices.
    epsilon: the singular value below which the norm is rounded off.
  """
  gram = (
    jnp.einsum("...td,...sd->...ts", x, x) if x.shape[-2] <= x.shape[-1] else jnp.einsum("...td,...te->...de", x, x)
  )
  return _rounded(gram, epsilon)


@jax.custom_jvp
def _rounded(gram: jax.Array, epsilon: float) -> jax.Array:
  values = jnp.maximum(jnp.linalg.eigvalsh(gram), 0)
  return jnp.sum(jnp.sqrt(values + epsilon**2) - epsilon, axis=-1)


@_rounded.defjvp
def _rounded_jvp(primals, tangents):
  """The derivative of the trace of f(G) is f'(G), whether eigenvalues are equal or not; eigh's own divides by gaps."""
  (gram, epsilon), (change, _) = primals, tangents
  values, vectors = jnp.linalg.eigh(gram)
  roots = jnp.sqrt(jnp.maximum(values, 0) + epsilon**2)
  slope = jnp.einsum("...ik,...k,...jk->...ij", vectors, 0.5 / roots, vectors)
  return jnp.sum(roots - epsilon, axis=-1), jnp.einsum("...ij,...ij->...", slope, change)
