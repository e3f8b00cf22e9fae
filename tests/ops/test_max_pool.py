import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from vidjax.errors import InputError
from vidjax.ops.max_pool import max_pool

CASES = [
  ((2, 9, 8), (3, 3), (2, 2), ((1, 1), (1, 1))),  # the first pool of a ResNet, on odd and even sizes
  ((2, 8, 9), (3, 3), (2, 2), "VALID"),
  ((2, 7, 5), (2, 2), (2, 2), "SAME"),
  ((2, 7), (2,), (3,), "VALID"),  # pixels that no window sees
  ((2, 3, 6, 5), (3, 3, 3), (1, 1, 1), "SAME"),
  ((2, 4, 7, 8), (1, 2, 2), (1, 2, 2), "VALID"),
  ((2, 1, 1), (3, 3), (2, 2), ((1, 1), (1, 1))),
  ((0, 5, 5), (3, 3), (2, 2), "SAME"),
]


def by_lax(x, window, strides, padding):
  sizes = x.shape[1:-1]
  pads = lax.padtype_to_pads(sizes, window, strides, padding) if isinstance(padding, str) else padding
  return lax.reduce_window(x, -jnp.inf, lax.max, (1, *window, 1), (1, *strides, 1), ((0, 0), *pads, (0, 0)))


def value_and_gradient(fn, x, *options):
  y, pull_back = jax.vjp(lambda x: fn(x, *options), x)
  weights = (1 + jnp.arange(y.size) % 5).astype(x.dtype).reshape(y.shape)  # of which sums are exact
  return y, pull_back(weights)[0]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize(("shape", "window", "strides", "padding"), CASES)
def test_value_and_gradient_are_those_of_lax(shape, window, strides, padding, dtype):
  """Numbers of which many are equal, as after a ReLU: the gradient is the first one's."""
  x = np.maximum(0, np.random.default_rng(0).integers(-3, 4, (*shape, 3))).astype(dtype)
  ours, theirs = (
    jax.jit(value_and_gradient, static_argnums=(0, 2, 3, 4))(fn, x, window, strides, padding)
    for fn in (max_pool, by_lax)
  )
  for one, other in zip(ours, theirs, strict=True):
    assert one.dtype == dtype
    np.testing.assert_array_equal(one, other)
  assert "reduce_window" not in jax.jit(max_pool, static_argnums=(1, 2, 3)).lower(x, window, strides, padding).as_text()


def test_padding_never_wins():
  x = -1 - jnp.arange(25.0).reshape(1, 1, 5, 5, 1)
  expected = [[-1, -2, -4], [-6, -7, -9], [-16, -17, -19]]
  for clip in (x, x[0]):  # images and clips alike
    y = max_pool(clip, (3, 3), (2, 2), ((1, 1), (1, 1)))
    np.testing.assert_array_equal(y.reshape(3, 3), expected)


def test_a_map_smaller_than_the_window_is_named():
  with pytest.raises(InputError, match=r"x \(1, 2, 8, 3\) padded by .* smaller than the window \(3, 3\)"):
    max_pool(jnp.zeros((1, 2, 8, 3)), (3, 3), (2, 2), "VALID")


def test_batches_over_a_mesh():
  x = jax.random.normal(jax.random.key(0), (8, 5, 6, 2))
  batch = PartitionSpec("batch")

  def pool(x):
    return max_pool(x, (3, 3), (2, 2), "SAME")

  def gradient(fn):
    return jax.jit(jax.grad(lambda x: jnp.sum(jnp.sin(fn(x)))))(x)

  spread = jax.shard_map(pool, mesh=Mesh(np.array(jax.devices()), ("batch",)), in_specs=batch, out_specs=batch)
  np.testing.assert_array_equal(gradient(spread), gradient(pool))
  np.testing.assert_array_equal(gradient(jax.vmap(pool)), gradient(pool))
