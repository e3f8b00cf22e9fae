"""Soft clusters, their targets, residuals and VLAD against golden vectors and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.losses.clustering import ClusterKL
from vidjax.ops.clusters import nearest, residual, residual_sums, squared_distances, student_q, target_p, vlad
from vidjax.types import Output


@pytest.mark.parametrize(("name", "dof"), [("a1", 1.0), ("a2.5", 2.5)])
def test_golden_dec(shared_golden, name, dof):
  golden = np.load(shared_golden / "dec.npz")
  z, centres = (jnp.asarray(golden[key], jnp.float32) for key in ("z", "mu"))
  q = student_q(z, centres, dof)
  p = target_p(q, q.sum(axis=0))
  np.testing.assert_allclose(q, golden[f"{name}_q"], rtol=1e-5)
  np.testing.assert_allclose(p, golden[f"{name}_p"], rtol=1e-5)

  def loss(z, centres):
    q = student_q(z, centres, dof)[None]
    output = Output(None, z, {"assignment": q, "target_distribution": p[None]})
    return ClusterKL()(output, {"mask": np.ones(1, bool)})["clustering"]

  value, (dz, dmu) = jax.value_and_grad(loss, (0, 1))(z, centres)
  np.testing.assert_allclose(value, golden[f"{name}_kl_mean"], rtol=1e-5)
  np.testing.assert_allclose(12 * dz, golden[f"{name}_dz"], atol=1e-6)
  np.testing.assert_allclose(12 * dmu, golden[f"{name}_dmu"], atol=1e-6)
  z, centres, p, q = (np.asarray(x, np.float64) for x in (z, centres, p, q))
  difference = z[:, None] - centres
  pull = (dof + 1) / dof * (p - q) / (1 + (difference**2).sum(-1) / dof)
  np.testing.assert_allclose(12 * dz, (pull[..., None] * difference).sum(1), atol=1e-6)
  np.testing.assert_allclose(12 * dmu, -(pull[..., None] * difference).sum(0), atol=1e-6)


def test_golden_vlad(shared_golden):
  golden = {key: jnp.asarray(x, jnp.float32) for key, x in np.load(shared_golden / "vlad.npz").items()}
  x, centres = golden["x"], golden["centers"]
  q = student_q(x, centres)
  np.testing.assert_allclose(q, golden["student_q"], rtol=1e-5)
  np.testing.assert_allclose(residual(x, centres, q), golden["residual_soft"], atol=1e-6)
  np.testing.assert_allclose(residual(x, centres, nearest(q)), golden["residual_hard"], atol=1e-6)
  np.testing.assert_allclose(residual_sums(x, centres, golden["assign"]), golden["vlad_raw"], atol=2e-6)
  np.testing.assert_allclose(residual_sums(x, centres, q), golden["student_vlad_raw"], atol=2e-6)
  np.testing.assert_allclose(vlad(x, centres, golden["assign"]), golden["vlad"], atol=2e-6)


def test_a_cluster_without_members_is_nothing_and_has_finite_gradients():
  x, centres = jnp.ones((1, 3, 2)), jnp.array([[1.0, 1.0], [9.0, 9.0]])
  weights = nearest(student_q(x, centres))

  def total(x, centres):
    return jnp.sum(vlad(x, centres, weights) ** 2)

  np.testing.assert_array_equal(vlad(x, centres, weights), 0)  # every vector is its centre
  assert all(np.isfinite(g).all() for g in jax.grad(total, (0, 1))(x, centres))
  p = target_p(student_q(x, centres), jnp.array([3.0, 0.0]))
  np.testing.assert_array_equal(p[..., 1], 0)
  np.testing.assert_array_equal(target_p(jnp.ones((1, 2)) / 2, jnp.zeros(2)), 0)


def test_far_vectors_have_an_assignment():
  q = student_q(jnp.full((1, 4), 1e4), jnp.zeros((3, 4)), 8.0)
  np.testing.assert_allclose(q, 1 / 3, rtol=1e-6)
  z = jnp.full((1, 2), 1000.0)
  np.testing.assert_allclose(squared_distances(z, z + 0.5), 0.5, rtol=1e-6)
