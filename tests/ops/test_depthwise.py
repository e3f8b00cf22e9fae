import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vidjax.analyse.cost import count_macs
from vidjax.errors import InputError
from vidjax.ops import depthwise
from vidjax.ops.depthwise import depthwise_convolution

MODES = {"zero": "constant", "reflect": "reflect", "edge": "edge"}


def by_numpy(x, kernel, strides, padding, mode):
  padded = np.pad(x, ((0, 0), *padding, (0, 0)), MODES[mode])
  windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:-2], tuple(range(1, x.ndim - 1)))
  windows = windows[(slice(None), *(slice(None, None, s) for s in strides))]
  axes = "ijk"[: len(strides)]
  return np.einsum(f"n...c{axes},{axes}c->n...c", windows, kernel[..., 0, :])


def by_numpy_gradients(x, kernel, strides, padding, mode, g):
  """Linear in x and in the kernel: the gradient is what each unit vector gives."""
  dx, dkernel = np.zeros_like(x), np.zeros_like(kernel)
  for i in np.ndindex(x.shape):
    unit = np.zeros_like(x)
    unit[i] = 1
    dx[i] = (by_numpy(unit, kernel, strides, padding, mode) * g).sum()
  for i in np.ndindex(kernel.shape):
    unit = np.zeros_like(kernel)
    unit[i] = 1
    dkernel[i] = (by_numpy(x, unit, strides, padding, mode) * g).sum()
  return dx, dkernel


CASES = [
  ((2, 9, 3), (3,), (1,), ((1, 1),), "zero"),
  ((1, 5, 6, 2), (3, 2), (2, 1), ((1, 1), (1, 0)), "zero"),
  ((1, 5, 6, 2), (5, 3), (1, 2), ((2, 2), (1, 1)), "reflect"),
  ((2, 4, 5, 3), (3, 3), (2, 2), ((0, 1), (2, 2)), "edge"),
  ((1, 4, 5, 4, 2), (3, 1, 1), (1, 1, 1), ((1, 1), (0, 0), (0, 0)), "zero"),
  ((1, 4, 5, 5, 2), (3, 3, 3), (1, 2, 2), ((1, 1), (1, 1), (1, 1)), "zero"),
  ((1, 7, 8, 2), (2, 2), (3, 3), ((0, 0), (0, 0)), "zero"),  # strides beyond the kernel
  ((1, 1, 4, 2), (3, 3), (1, 1), ((1, 1), (1, 1)), "edge"),
  ((1, 5, 6, 2), (7, 5), (1, 2), ((3, 3), (2, 2)), "zero"),  # 35 taps: in groups
  ((1, 5, 6, 131), (7, 5), (1, 2), ((3, 3), (2, 2)), "zero"),  # and 128 channels at a time
  ((1, 5, 6, 33), (3, 3), (1, 2), ((1, 1), (1, 1)), "zero"),
  ((1, 5, 6, 33), (3, 3), (1, 1), ((1, 1), (1, 1)), "zero"),  # filled up to 40 channels
  ((1, 2, 3, 3, 34), (3, 3, 3), (1, 1, 1), ((1, 1), (1, 1), (1, 1)), "zero"),
]


@functools.partial(jax.jit, static_argnums=(3, 4, 5))
def pull_back(x, kernel, g, strides, padding, mode):
  y, vjp = jax.vjp(lambda x, kernel: depthwise_convolution(x, kernel, strides, padding, mode), x, kernel)
  return y, *vjp(g.reshape(y.shape))


@pytest.mark.parametrize(("shape", "taps", "strides", "padding", "mode"), CASES)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_value_and_gradients_are_those_of_the_definition(shape, taps, strides, padding, mode, dtype):
  random = np.random.default_rng(0)

  def draw(*shape):
    return np.asarray(jnp.asarray(random.normal(size=shape), dtype), np.float64)

  x, kernel = draw(*shape), draw(*taps, 1, shape[-1])
  y = by_numpy(x, kernel, strides, padding, mode)
  g = draw(*y.shape)
  arrays = [jnp.asarray(value, dtype) for value in (x, kernel, g)]
  results = pull_back(*arrays, strides, padding, mode)
  tolerance = 1e-5 if dtype == jnp.float32 else 2e-2
  for ours, theirs in zip(results, (y, *by_numpy_gradients(x, kernel, strides, padding, mode, g)), strict=True):
    assert ours.dtype == dtype
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(np.asarray(ours, np.float64), theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("size", "channels"), [(3, 4), (5, 4), (3, 33)])
def test_reverse_mode_goes_through_vmap_remat_scan_and_a_mesh(size, channels):
  keys = jax.random.split(jax.random.key(0), 2)
  x, kernel = jax.random.normal(keys[0], (8, 6, 6, channels)), jax.random.normal(keys[1], (size, size, 1, channels))
  padding = ((size // 2, size // 2),) * 2

  def loss(kernel, x):
    return jnp.sum(jnp.sin(depthwise_convolution(x, kernel, (1, 1), padding, "reflect")))

  def scanned(kernel, x):
    return lax.scan(lambda total, x: (total + jax.checkpoint(loss)(kernel, x[None]), None), 0.0, x)[0]

  def mapped(kernel, x):
    return jnp.sum(jax.vmap(loss, in_axes=(None, 0))(kernel, x[:, None]))

  expected = jax.jit(jax.grad(loss, argnums=(0, 1)))(kernel, x)
  mesh = Mesh(np.array(jax.devices()), ("batch",))
  spread, whole = NamedSharding(mesh, PartitionSpec("batch")), NamedSharding(mesh, PartitionSpec())
  sharded = jax.jit(jax.grad(loss, argnums=(0, 1)), in_shardings=(whole, spread))
  for gradient in (jax.jit(jax.grad(scanned, (0, 1))), jax.jit(jax.grad(mapped, (0, 1))), sharded):
    for ours, theirs in zip(gradient(kernel, x), expected, strict=True):
      np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
  by_hand = jax.shard_map(
    lambda kernel, x: depthwise_convolution(x, kernel, (1, 1), padding),
    mesh=mesh,
    in_specs=(PartitionSpec(), PartitionSpec("batch")),
    out_specs=PartitionSpec("batch"),
  )
  gradient = jax.jit(jax.grad(lambda kernel, x: jnp.sum(jnp.sin(by_hand(kernel, x)))))(kernel, x)
  zero = jax.grad(lambda kernel: jnp.sum(jnp.sin(depthwise_convolution(x, kernel, (1, 1), padding))))(kernel)
  np.testing.assert_allclose(gradient, zero, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_gradient_of_the_kernel_is_whole_where_it_goes_block_by_block(monkeypatch, stride):
  monkeypatch.setattr(depthwise, "BLOCK", 40)  # of 3 rows of 4 pixels, the last one filled up
  monkeypatch.setattr(depthwise, "STRIPS", 2)
  random = np.random.default_rng(0)
  x, kernel = random.normal(size=(3, 5, 4 * stride, 3)), random.normal(size=(3, 2, 1, 3))
  strides, padding = (1, stride), ((1, 1), (1, 0))
  g = random.normal(size=by_numpy(x, kernel, strides, padding, "zero").shape)
  sums = depthwise._kernel_gradient(jnp.float32(x), jnp.float32(g), (3, 2), strides, padding)
  np.testing.assert_allclose(sums, by_numpy_gradients(x, kernel, strides, padding, "zero", g)[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
  ("size", "taps", "strides", "padding"),
  [
    ((5, 9), (3, 3), (1, 1), ((1, 1), (1, 1))),
    ((4, 8), (3, 3), (2, 2), ((1, 1), (1, 1))),
    ((3, 2), (3, 2), (1, 1), ((0, 0), (0, 0))),  # one place
    ((11, 10), (2, 5), (3, 4), ((0, 4), (5, 1))),  # places that no tap sees, and more border than the kernel reaches
    ((10, 3), (5, 1), (1, 2), ((2, 2), (0, 0))),
    ((4, 5, 6), (3, 3, 3), (1, 2, 2), ((1, 1), (1, 1), (1, 1))),
    ((9, 3, 4), (5, 1, 1), (1, 1, 1), ((2, 2), (0, 0), (0, 0))),
    ((7, 7), (5, 6), (1, 1), ((2, 2), (3, 2))),  # a tile grows with the kernel
  ],
)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_gradient_of_the_kernel_is_whole_where_it_goes_tile_by_tile(size, taps, strides, padding, dtype):
  random = np.random.default_rng(0)
  x, kernel = jnp.asarray(random.normal(size=(2, *size, 8)), dtype), random.normal(size=(*taps, 1, 8))
  wide = np.asarray(x, "float64")
  g = jnp.asarray(random.normal(size=by_numpy(wide, kernel, strides, padding, "zero").shape), dtype)
  expected = by_numpy_gradients(wide, kernel, strides, padding, "zero", np.asarray(g, "float64"))[1]
  np.testing.assert_allclose(depthwise._sum_of_tiles(x, g, taps, strides, padding), expected, rtol=1e-4, atol=1e-4)
  np.testing.assert_allclose(depthwise._kernel_gradient(x, g, taps, strides, padding), expected, rtol=1e-4, atol=1e-4)


def test_many_taps_go_over_a_mesh():
  """Under shard_map the loops carry what varies over the mesh."""
  keys = jax.random.split(jax.random.key(0), 2)
  x, kernel = jax.random.normal(keys[0], (8, 4, 6, 2)), jax.random.normal(keys[1], (3, 13, 1, 2))

  def conv(kernel, x):
    return depthwise_convolution(x, kernel, (1, 1), ((1, 1), (6, 6)))

  specs = PartitionSpec(), PartitionSpec("batch")
  spread = jax.shard_map(conv, mesh=Mesh(np.array(jax.devices()), ("batch",)), in_specs=specs, out_specs=specs[1])
  ours, theirs = (
    jax.jit(jax.grad(lambda kernel, x, conv=conv: jnp.sum(jnp.sin(conv(kernel, x))), (0, 1)))(kernel, x)
    for conv in (spread, conv)
  )
  for one, other in zip(ours, theirs, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("strides", [(1, 1, 1), (1, 2, 2)])
def test_counts_output_size_times_taps(strides):
  x, kernel = jax.ShapeDtypeStruct((2, 8, 56, 56, 54), jnp.float32), jax.ShapeDtypeStruct((3, 3, 3, 1, 54), jnp.float32)
  conv = functools.partial(depthwise_convolution, strides=strides, padding=((1, 1),) * 3)
  y = jax.eval_shape(conv, x, kernel)
  macs = y.size * 27
  assert count_macs(conv, x, kernel) == macs
  gradient = jax.grad(lambda x, kernel: jnp.sum(conv(x, kernel) ** 2), (0, 1))
  assert count_macs(gradient, x, kernel) == 3 * macs


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_any_shape_agrees_with_lax(data):
  axes = data.draw(st.integers(1, 3))
  draw = data.draw
  taps = draw(st.tuples(*[st.integers(1, 3 if axes < 3 else 2)] * axes))
  strides = draw(st.tuples(*[st.integers(1, 3)] * axes))
  padding = draw(st.tuples(*[st.tuples(st.integers(0, 4), st.integers(0, 4))] * axes))
  sizes = tuple(draw(st.integers(max(1, k - sum(p)), 6)) for k, p in zip(taps, padding, strict=True))
  channels = draw(st.integers(1, 4))
  random = np.random.default_rng(0)
  x, kernel = random.normal(size=(2, *sizes, channels)), random.normal(size=(*taps, 1, channels))
  y = by_numpy(x, kernel, strides, padding, "zero")
  g = random.normal(size=y.shape)
  ours = pull_back(*map(jnp.float32, (x, kernel, g)), strides, padding, "zero")
  np.testing.assert_allclose(ours[0], y, rtol=1e-4, atol=1e-4)
  assert np.vdot(y, g) == pytest.approx(np.vdot(np.float64(ours[1]), x), rel=1e-3, abs=1e-3)
  assert np.vdot(y, g) == pytest.approx(np.vdot(np.float64(ours[2]), kernel), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize(
  ("shape", "kernel", "strides", "padding", "mode", "message"),
  [
    ((1, 2, 8, 3), (5, 5, 1, 3), (1, 1), ((2, 2), (2, 2)), "reflect", r"x \(1, 2, 8, 3\) is too small to be reflected"),
    ((1, 8, 8, 3), (3, 3, 1, 4), (1, 1), ((1, 1), (1, 1)), "zero", r"\(3, 3, 1, 4\)"),
    ((1, 8, 8, 3), (3, 1, 3), (1, 1), ((1, 1), (1, 1)), "zero", r"\(3, 1, 3\)"),
    ((1, 3), (1, 3), (), (), "zero", r"x \(1, 3\) must be"),
    ((1, 8, 8, 3), (3, 3, 1, 3), (1,), ((1, 1), (1, 1)), "zero", r"wants 2 strides"),
    ((1, 8, 8, 3), (3, 3, 1, 3), (1, 1), ((1, 1), (1, 1)), "wrap", "mode='wrap'"),
    ((1, 2, 8, 3), (5, 3, 1, 3), (1, 1), ((1, 1), (1, 1)), "zero", "smaller than the kernel"),
    (
      (1, 8, 8, 3),
      (3, 3, 1, 3),
      (0, 1),
      ((1, 1), (1, 1)),
      "zero",
      r"strides=\(0, 1\)\): must be a tuple, each an int of at least 1",
    ),
    (
      (1, 8, 8, 3),
      (3, 3, 1, 3),
      (1, 1),
      ((-1, 1), (1, 1)),
      "zero",
      r"padding=\(\(-1, 1\), .* each an int of at least 0",
    ),
  ],
)
def test_what_does_not_fit_is_named(shape, kernel, strides, padding, mode, message):
  with pytest.raises(InputError, match=message):
    depthwise_convolution(jnp.ones(shape), jnp.ones(kernel), strides, padding, mode)


@pytest.mark.parametrize("dtypes", [(jnp.bfloat16, jnp.float32), (jnp.float32, jnp.bfloat16)])
def test_a_kernel_of_another_dtype(dtypes):
  """As a layer with float32 parameters has it that is given a clip in bfloat16."""
  x, kernel = jnp.ones((2, 6, 7, 3), dtypes[0]), jnp.full((3, 3, 1, 3), 0.5, dtypes[1])

  def run(x, kernel):
    return depthwise_convolution(x, kernel, (1, 1), ((1, 1), (1, 1))).astype(jnp.float32).sum()

  y, (dx, dk) = jax.jit(jax.value_and_grad(run, (0, 1)))(x, kernel)
  assert (dx.dtype, dk.dtype) == dtypes
  assert y == 0.5 * dk.astype(jnp.float32).sum()
