import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.analyse.cost import count_macs
from vidjax.ops.attention import QUERIES, AttentionMap, attention, attention_map, halved

COUNTS = [7, QUERIES + 88, 2 * QUERIES - 3]
"""One pass; two chunks of 300; a prime number of queries: one full chunk and a smaller one."""


def tokens(queries, keys=30, dtype=jnp.float32):
  random = jax.random.split(jax.random.key(0), 4)
  shapes = (2, queries, 4), (2, keys, 4), (2, keys, 3), (2, queries, 3)
  return [jax.random.normal(key, shape, dtype) for key, shape in zip(random, shapes, strict=True)]


def in_numpy(query, key, value, form):
  query, key, value = (np.asarray(array, np.float64) for array in (query, key, value))
  products = np.stack([q @ k.T for q, k in zip(query, key, strict=True)])
  if form == "softmax":
    weights = np.exp(products - products.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
  else:
    weights = (np.maximum(products, 0) if form == "relu" else products) / key.shape[1]
  return weights, np.stack([w @ v for w, v in zip(weights, value, strict=True)])


@pytest.mark.parametrize("form", ["softmax", "relu", "dot"])
@pytest.mark.parametrize("count", COUNTS)
def test_sums_and_maps_are_numpys(count, form):
  query, key, value, _ = tokens(count)
  weights, expected = in_numpy(query, key, value, form)
  np.testing.assert_allclose(jax.jit(attention_map, static_argnums=2)(query, key, form), weights, atol=1e-5)
  np.testing.assert_allclose(jax.jit(attention, static_argnums=3)(query, key, value, form), expected, atol=1e-5)


@pytest.mark.parametrize("form", ["softmax", "relu", "dot"])
def test_a_row_is_that_of_the_map_and_costs_no_more(form):
  """Of other keys than queries, as where they are sub-sampled."""
  query, key, _, _ = tokens(24)
  key = key[:, :6]
  weights, _ = in_numpy(query, key, key, form)
  found = AttentionMap(query, key, (2, 3, 4), (2, 3, 1), form)
  full = weights.reshape(-1, 2, 3, 4, 2, 3, 1)
  np.testing.assert_allclose(found.full(), full, atol=1e-5)
  np.testing.assert_allclose(jax.jit(lambda x: x.row(1, 2, 3))(found), full[:, 1, 2, 3], atol=1e-5)
  assert count_macs(lambda x: x.row(1, 0, 2), found) == query.shape[0] * 6 * query.shape[-1]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("form", ["softmax", "relu", "dot"])
@pytest.mark.parametrize("count", COUNTS)
def test_gradients_are_those_of_the_map_times_the_values(count, form, dtype):
  """In bfloat16 too: the chunks' gradients add up in float32."""
  exact = tokens(count)
  rounded = [array.astype(dtype) for array in exact]

  def plain(query, key, value):
    return jnp.einsum("bnm,bme->bne", attention_map(query, key, form), value)

  @jax.jit
  def gradients(*arrays):
    return jax.vjp(lambda q, k, v: attention(q, k, v, form), *arrays[:3])[1](arrays[3])

  expected = jax.vjp(plain, *(array.astype(jnp.float32) for array in rounded[:3]))[1](rounded[3].astype(jnp.float32))
  for ours, theirs in zip(gradients(*rounded), expected, strict=True):
    assert ours.dtype == dtype
    scale = np.abs(theirs).max()
    tolerance = 1e-5 if dtype == "float32" else 2e-2
    np.testing.assert_allclose(ours.astype(jnp.float32) / scale, theirs / scale, atol=tolerance)


def test_memory_does_not_grow_with_the_map():
  """Forward and backward together need less than one map; the map times the values needs several."""
  count = 8 * QUERIES

  def plain(query, key, value):
    return jnp.einsum("bnm,bme->bne", attention_map(query, key), value)

  def peak(function):
    array = jax.ShapeDtypeStruct((1, count, 8), jnp.float32)
    run = jax.jit(lambda q, k, v, g: jax.vjp(function, q, k, v)[1](g))
    return run.lower(array, array, array, array).compile().memory_analysis().temp_size_in_bytes

  one_map = 4 * count**2
  assert peak(plain) > 2 * one_map
  assert peak(attention) < one_map


def test_chunks_execute_what_the_whole_does_and_the_plain_product_less():
  query, key, value, _ = tokens(COUNTS[2])
  pairs = 2 * COUNTS[2] * 30
  assert count_macs(lambda q, k, v: attention(q, k, v), query, key, value) == pairs * (4 + 3)
  assert count_macs(lambda q, k, v: attention(q, k, v, "dot"), query, key, value) == 2 * (30 + COUNTS[2]) * 4 * 3


@pytest.mark.parametrize("size", [(6, 4), (5, 7), (1, 1), (1, 4)])
def test_halved_keeps_the_largest_of_each_square(size):
  x = jax.random.normal(jax.random.key(0), (2, 3, *size, 4))
  height, width = (max(side // 2, 1) for side in size)
  rows, columns = (min(side, 2) for side in size)
  expected = np.asarray(x)[:, :, : rows * height, : columns * width]
  expected = expected.reshape(2, 3, height, rows, width, columns, 4).max((3, 5))
  np.testing.assert_array_equal(jax.jit(halved)(x), expected)
