"""The sparse measurement against stored vectors, and its matrix's probabilities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.ops.measurement import fused, measure, signs


def test_golden(shared_golden):
  stored = np.load(shared_golden / "sparse_rp.npz")
  matrix = jnp.asarray(np.sign(stored["R"]), jnp.int8)
  x = fused(jnp.asarray(stored["xs"], jnp.float32), jnp.asarray(stored["xt"], jnp.float32))
  np.testing.assert_allclose(measure(x, matrix, "paper"), stored["xf"], rtol=1e-4, atol=1e-4)
  np.testing.assert_allclose(measure(x, matrix, "jl"), stored["xf"] / 4, rtol=1e-4, atol=1e-4)
  unit = measure(x, matrix, "unit")
  np.testing.assert_allclose(jnp.mean(unit**2, -1), 1, rtol=1e-4)
  np.testing.assert_allclose(unit, stored["xf"] / np.sqrt((stored["xf"] ** 2).mean(-1, keepdims=True)), rtol=1e-3)


def test_signs_have_the_probabilities_of_the_paper():
  matrix = signs(jax.random.key(0), 128, 2048)
  assert matrix.dtype == jnp.int8
  shares = [float((matrix == value).mean()) for value in (-1, 0, 1)]
  np.testing.assert_allclose(shares, [1 / 6, 2 / 3, 1 / 6], atol=0.005)
  np.testing.assert_array_equal(matrix, signs(jax.random.key(0), 128, 2048))


@pytest.mark.parametrize("scale", ["unit", "paper", "jl"])
def test_nothing_is_no_number_without_activations(scale):
  x = fused(jnp.zeros((2, 8)), jnp.zeros((2, 8)))
  value, gradient = jax.value_and_grad(lambda x: measure(x, signs(jax.random.key(0), 4, 8), scale).sum())(x)
  assert np.isfinite(value)
  assert np.isfinite(gradient).all()
