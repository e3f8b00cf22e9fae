import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vidjax.ops.batch_norm import normalise_by_batch


def plain(x, scale, bias, one_pass):
  """The same by operations that JAX differentiates itself."""
  del one_pass
  wide, axes = x.astype(jnp.float32), tuple(range(x.ndim - 1))
  mean, var = wide.mean(axes), wide.var(axes)
  y = (wide - jnp.expand_dims(mean, axes)) * jnp.expand_dims(jax.lax.rsqrt(var + 1e-3), axes)
  y = y * jnp.expand_dims(scale, axes) + jnp.expand_dims(bias, axes)
  return y.astype(jnp.result_type(x, scale, bias)), mean, var


def ours(x, scale, bias, one_pass):
  return normalise_by_batch(x, scale, bias, 1e-3, one_pass)


def value_and_gradients(fn, args, one_pass=True):
  """All results, and the gradients of a number that depends on each of them."""

  def number(*args):
    results = fn(*args, one_pass)
    return sum(jnp.sum(jnp.sin(3 * x.astype(jnp.float32))) for x in results), results

  return jax.jit(jax.value_and_grad(number, (0, 1, 2), has_aux=True))(*args)


def draw(shape=(3, 4, 5, 6), dtype=jnp.float32):
  keys = jax.random.split(jax.random.key(0), 3)
  x = (2 * jax.random.normal(keys[0], shape) + 1).astype(dtype)
  return x, *(jax.random.normal(key, shape[-1:]) for key in keys[1:])


@pytest.mark.parametrize("one_pass", [True, False])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_value_and_gradients_are_those_of_the_formula(one_pass, dtype):
  args = draw(dtype=dtype)
  (_, results), gradients = value_and_gradients(ours, args, one_pass)
  (_, expected), wanted = value_and_gradients(plain, args, one_pass)
  tolerance = 1e-4 if dtype == jnp.float32 else 2e-2
  for one, other in zip((*results, *gradients), (*expected, *wanted), strict=True):
    assert (one.dtype, one.shape) == (other.dtype, other.shape)
    np.testing.assert_allclose(np.float32(one), np.float32(other), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("one_pass", [True, False])
def test_a_far_mean_keeps_variance_map_and_gradients(one_pass):
  """A hundred deviations from 0, against the formula in float64."""
  x, scale, bias = draw((4, 16, 16, 8))
  x = 200 + x  # the deviation is 2
  wide, axes, count = np.asarray(x, "float64"), (0, 1, 2), 4 * 16 * 16
  mean, var = wide.mean(axes), wide.var(axes)
  inverse = 1 / np.sqrt(var + 1e-3)
  centred = (wide - mean) * inverse
  cotangent = np.random.default_rng(0).standard_normal(x.shape)
  of_scale, of_bias = (cotangent * centred).sum(axes), cotangent.sum(axes)
  of_x = np.asarray(scale) * inverse * (cotangent - of_bias / count - centred * of_scale / count)
  (y, *moments), pull_back = jax.vjp(lambda *args: ours(*args, one_pass), x, scale, bias)
  gradients = pull_back((jnp.float32(cotangent), jnp.zeros(8), jnp.zeros(8)))
  np.testing.assert_allclose(moments[0], mean, rtol=1e-6)
  np.testing.assert_allclose(moments[1], var, rtol=1e-4)
  np.testing.assert_allclose(y, centred * np.asarray(scale) + np.asarray(bias), atol=3e-4)
  for found, expected, atol in zip(gradients, (of_x, of_scale, of_bias), (1e-4, 2e-2, 1e-3), strict=True):
    np.testing.assert_allclose(found, expected, atol=atol)


def test_batches_over_a_mesh():
  """Of the whole batch under jit over a sharded one; of each part under shard_map and vmap."""
  x, scale, bias = draw((8, 3, 3, 4))
  mesh, batch, whole = Mesh(np.array(jax.devices()), ("batch",)), PartitionSpec("batch"), PartitionSpec()

  def number(fn):
    return jax.jit(jax.grad(lambda *args: jnp.sum(jnp.sin(3 * fn(*args))), (0, 1, 2)))

  def of(part, scale, bias):
    return ours(part, scale, bias, True)[0]

  spread = NamedSharding(mesh, batch), NamedSharding(mesh, whole), NamedSharding(mesh, whole)
  sharded = jax.jit(number(of), in_shardings=spread)(x, scale, bias)
  for one, other in zip(sharded, number(of)(x, scale, bias), strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
  by_hand = jax.shard_map(of, mesh=mesh, in_specs=(batch, whole, whole), out_specs=batch)
  parts = len(jax.devices())

  def mapped(x, scale, bias):
    y = jax.vmap(of, (0, None, None))(x.reshape(parts, -1, *x.shape[1:]), scale, bias)
    return y.reshape(x.shape)

  for one, other in zip(number(by_hand)(x, scale, bias), number(mapped)(x, scale, bias), strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
