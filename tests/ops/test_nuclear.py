"""The nuclear norm against stored vectors, and its gradient where singular values are 0 or equal."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.ops.nuclear import nuclear_norm

CASES = ["full", "zero", "zerorows", "rank2", "repeated"]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("transposed", [False, True])
def test_golden(case, transposed, shared_golden):
  stored = np.load(shared_golden / "nuclear.npz")
  x = jnp.asarray(stored[f"{case}_X"], jnp.float32)
  x = x.T if transposed else x
  value, gradient = jax.value_and_grad(nuclear_norm)(x, float(stored["eps"]))
  np.testing.assert_allclose(value, stored[f"{case}_smooth"], rtol=1e-4, atol=1e-5)
  expected = stored[f"{case}_smooth_grad"].T if transposed else stored[f"{case}_smooth_grad"]
  np.testing.assert_allclose(gradient, expected, atol=2e-3)


@pytest.mark.parametrize("case", CASES)
def test_it_approaches_the_sum_of_singular_values(case, shared_golden):
  stored = np.load(shared_golden / "nuclear.npz")
  x = jnp.asarray(stored[f"{case}_X"], jnp.float32)
  np.testing.assert_allclose(nuclear_norm(x, 1e-3), stored[f"{case}_nuc"], rtol=2e-3, atol=1e-2)


def test_zero_rows_have_no_gradient_and_batches_are_apart():
  x = np.random.default_rng(0).normal(size=(3, 5, 8)).astype(np.float32)
  x[1, 2:] = 0
  gradient = jax.grad(lambda x: nuclear_norm(x).sum())(jnp.asarray(x))
  assert np.isfinite(gradient).all()
  np.testing.assert_array_equal(gradient[1, 2:], 0)
  np.testing.assert_allclose(nuclear_norm(jnp.asarray(x))[2], nuclear_norm(jnp.asarray(x[2])), rtol=1e-5)
