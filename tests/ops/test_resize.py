import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.ops.resize import linear_matrix, resize_linear


@pytest.mark.parametrize(
  "shape", [(2, 5, 9, 3), (2, 8, 4, 3), (2, 1, 17, 3), (3, 5, 7, 3), (2, 12, 7, 3), (1, 3, 1, 3)], ids=str
)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_value_and_gradient_are_those_of_jax(shape, dtype):
  keys = jax.random.split(jax.random.key(0))
  x, g = jax.random.normal(keys[0], (2, 5, 7, 3), dtype), jax.random.normal(keys[1], shape, dtype)

  def both(resize, x, g):
    y, pull_back = jax.vjp(resize, x)
    return y, *pull_back(g)

  jaxs = functools.partial(jax.image.resize, shape=shape, method="linear", antialias=False)
  ours = jax.jit(functools.partial(both, lambda x: resize_linear(x, shape)))(x, g)
  theirs = jax.jit(functools.partial(both, jaxs))(jnp.float32(x), jnp.float32(g))
  tolerance = 2e-2 if dtype == jnp.bfloat16 else 1e-5
  for a, b in zip(ours, theirs, strict=True):
    assert a.dtype == dtype
    np.testing.assert_allclose(np.float32(a), b, rtol=tolerance, atol=tolerance * np.abs(b).max())


def test_every_element_is_a_mean_of_two_neighbours():
  for length, size in ((7, 5), (5, 7), (1, 4), (4, 1), (6, 6), (40, 64)):
    matrix = linear_matrix(length, size)
    np.testing.assert_allclose(matrix.sum(1), 1, rtol=1e-6)
    assert (np.count_nonzero(matrix, axis=1) <= 2).all()
  np.testing.assert_array_equal(linear_matrix(6, 6), np.eye(6))


def test_batches_are_mapped_and_gradients_have_gradients():
  x = jax.random.normal(jax.random.key(0), (3, 4, 5, 2))
  each = jax.vmap(lambda x: resize_linear(x, (6, 3, 2)))(x)
  np.testing.assert_allclose(each, resize_linear(x, (3, 6, 3, 2)), rtol=1e-6)
  second = jax.jacrev(jax.jacrev(lambda x: (resize_linear(x, (6,)) ** 2).sum()))(x[0, 0, :, 0])
  matrix = linear_matrix(5, 6)
  np.testing.assert_allclose(second, 2 * matrix.T @ matrix, atol=1e-6)
