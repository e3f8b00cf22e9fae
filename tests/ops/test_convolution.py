import functools
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vidjax.layers import conv
from vidjax.ops.convolution import convolution

LAYOUTS = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC")}


def primitives(fn, *args) -> set[str]:
  """Names of what `fn` computes on a CPU."""
  text = jax.jit(fn).trace(*args).lower(lowering_platforms=("cpu",)).as_text()
  return {name for name in ("convolution", "dot_general", "multiply") if f"stablehlo.{name}" in text}


def check_against_lax(x, w, key, strides, padding, options):
  """Value and gradients, to rounding in the dtype of `x`."""
  dtype = x.dtype

  def pull_back(conv, x, w):
    y, vjp = jax.vjp(lambda x, w: conv(x, w, strides, padding, **options), x, w)
    return y, *vjp(jax.random.normal(key, y.shape, dtype).astype(y.dtype))

  ours = jax.jit(pull_back, static_argnums=0)(convolution, x, w)
  theirs = jax.jit(pull_back, static_argnums=0)(lax.conv_general_dilated, jnp.float32(x), jnp.float32(w))
  tolerance = 1e-2 if dtype == jnp.bfloat16 else 1e-5
  for a, b in zip(ours, theirs, strict=True):
    assert a.dtype == dtype
    np.testing.assert_allclose(np.float32(a), b, rtol=tolerance, atol=tolerance * np.abs(b).max(initial=0))


@pytest.mark.parametrize(
  ("size", "kernel", "strides", "padding", "groups", "dtype", "used"),
  [
    ((8, 9), (3, 3, 4, 6), (1, 2), ((1, 1), (2, 0)), 1, jnp.float32, "convolution"),
    ((8, 9), (3, 3, 2, 6), (1, 1), "SAME", 2, jnp.float32, "convolution"),
    ((8, 9), (3, 3, 1, 8), (1, 1), "SAME", 4, jnp.float32, "convolution"),  # two outputs of a channel
    ((8, 9), (1, 1, 4, 6), (1, 1), ((0, 0), (0, 0)), 1, jnp.float32, "dot_general"),
    ((8, 9), (1, 1, 4, 6), (2, 3), "SAME", 1, jnp.float32, "dot_general"),
    ((3, 5, 4), (1, 1, 1, 4, 6), (1, 2, 2), "VALID", 1, jnp.bfloat16, "dot_general"),
    ((8, 9), (1, 1, 4, 6), (1, 1), ((1, 1), (0, 0)), 1, jnp.float32, "convolution"),  # the border grows
    ((9,), (3, 1, 4), (2,), ((1, 1),), 4, jnp.float32, "multiply"),
    ((8, 9), (3, 3, 1, 4), (2, 2), "SAME", 4, jnp.float32, "multiply"),
    ((4, 5, 6), (3, 3, 3, 1, 4), (1, 2, 2), ((1, 1), (1, 1), (1, 1)), 4, jnp.bfloat16, "multiply"),
  ],
)
def test_value_and_gradients_are_those_of_lax(size, kernel, strides, padding, groups, dtype, used):
  keys = jax.random.split(jax.random.key(0), 3)
  x, w = jax.random.normal(keys[0], (2, *size, 4), dtype), jax.random.normal(keys[1], kernel, dtype)
  options = {"dimension_numbers": LAYOUTS[len(size)], "feature_group_count": groups}
  check_against_lax(x, w, keys[2], strides, padding, options)
  assert primitives(lambda x, w: convolution(x, w, strides, padding, **options), x, w) == {used}


def test_sums_are_in_float32():
  """Of 4096 ones: bfloat16 itself would stop at 256."""
  options = {"dimension_numbers": LAYOUTS[2]}
  ones = functools.partial(jnp.ones, dtype=jnp.bfloat16)
  assert convolution(ones((1, 1, 1, 4096)), ones((1, 1, 4096, 1)), (1, 1), "VALID", **options).item() == 4096

  def total(w, x):
    return convolution(x, w, (1, 1), "SAME", x.shape[-1], **options).astype(jnp.float32).sum()

  assert jax.grad(total)(ones((1, 1, 1, 1)), ones((1, 64, 64, 1))).item() == 4096
  np.testing.assert_array_equal(jax.grad(total)(ones((3, 3, 1, 2)), ones((1, 64, 64, 2)))[1, 1, 0], 4096)


@pytest.mark.parametrize(
  ("size", "kernel", "strides", "padding", "forward", "gradient"),
  [
    ((9, 11), (3, 3, 3, 24), (2, 2), ((1, 1), (1, 1)), "dot_general", "dot_general"),
    ((9, 11), (7, 5, 4, 32), (2, 1), ((2, 1), (0, 2)), "dot_general", "dot_general"),
    ((9, 11), (3, 3, 3, 40), (1, 2), "VALID", "convolution", "dot_general"),
    ((9, 11), (3, 3, 5, 48), (1, 1), "SAME", "convolution", "dot_general"),
    ((9, 11), (3, 3, 5, 200), (2, 2), "SAME", "convolution", "dot_general"),
    ((9, 11), (2, 2, 3, 40), (3, 4), ((0, 3), (2, 0)), "convolution", "dot_general"),  # places that no tap sees
    ((9, 11), (5, 4, 1, 20), (3, 1), ((4, 0), (1, 7)), "dot_general", "dot_general"),
    ((9, 11), (5, 4, 1, 8), (3, 1), ((4, 0), (1, 7)), "convolution", "dot_general"),
    ((13, 14), (12, 11, 3, 5), (1, 1), "VALID", "convolution", "convolution"),  # many taps
  ],
)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_few_channels_are_products(monkeypatch, size, kernel, strides, padding, forward, gradient, dtype):
  """As with jaxlib 0.10."""
  monkeypatch.setattr("vidjax.ops.convolution.SLOW_OUTPUTS", range(17, 33))
  keys = jax.random.split(jax.random.key(0), 3)
  x, w = jax.random.normal(keys[0], (2, *size, kernel[2]), dtype), jax.random.normal(keys[1], kernel, dtype)
  options = {"dimension_numbers": LAYOUTS[2]}
  check_against_lax(x, w, keys[2], strides, padding, options)
  run = functools.partial(convolution, strides=strides, padding=padding, **options)
  assert primitives(run, x, w) - {"multiply"} == {forward}
  assert gradient in primitives(jax.grad(lambda w, x: run(x, w).sum().astype(jnp.float32)), w, x)


@pytest.mark.parametrize(
  ("channels", "taps", "strides", "padding", "forward", "backward"),
  [
    ((64, 96), (3, 3), (1, 1), "SAME", 10, 10),
    ((40, 200), (3, 5), (1, 1), ((0, 2), (1, 1)), 9, 10),
    ((200, 40), (3, 3), (1, 1), "SAME", 10, 9),
    ((96, 64), (1, 7), (1, 2), ((0, 0), (4, 5)), 10, 9),
    ((64, 64), (3, 3), (2, 2), "SAME", 5, 9),
    ((64, 64), (3, 3), (1, 1), "VALID", 7, 9),
    ((64, 32), (3, 3), (1, 1), ((3, -1), (4, -1)), 10, 10),  # more than the kernel reaches
  ],
)
def test_one_row_more_takes_all_cores(monkeypatch, channels, taps, strides, padding, forward, backward):
  """Of 9 rows; with jaxlib 0.10."""
  monkeypatch.setattr("vidjax.ops.convolution.ONE_CORE", range(32, 128))
  keys = jax.random.split(jax.random.key(0), 3)
  x = jax.random.normal(keys[0], (2, 9, 11, channels[0]))
  w = jax.random.normal(keys[1], (*taps, *channels))
  options = {"dimension_numbers": LAYOUTS[2]}
  check_against_lax(x, w, keys[2], strides, padding, options)

  def rows(fn) -> list[int]:
    text = jax.jit(fn).trace(x).lower(lowering_platforms=("cpu",)).as_text()
    return [int(number) for number in re.findall(r"stablehlo.convolution.*-> tensor<2x(\d+)x", text)]

  def run(x):
    return convolution(x, w, strides, padding, **options)

  assert rows(run) == [forward]
  assert rows(jax.grad(lambda x: run(x).sum())) == [backward]


@pytest.mark.parametrize(
  ("kernel", "strides"), [((3, 3, 8, 64), (1, 1)), ((3, 3, 3, 64), (2, 2)), ((3, 3, 1, 8), (1, 1))]
)
def test_gradients_of_a_batch_over_a_mesh(kernel, strides):
  """Every device takes its own samples: no map is gathered."""
  keys, mesh = jax.random.split(jax.random.key(0)), Mesh(np.array(jax.devices()), ("batch",))
  channels = 8 if kernel[2] == 1 else kernel[2]
  x, w = jax.random.normal(keys[0], (len(jax.devices()), 9, 8, channels)), jax.random.normal(keys[1], kernel)
  options = {"dimension_numbers": LAYOUTS[2], "feature_group_count": channels // kernel[2]}

  def number(x, w):
    return jnp.sin(convolution(x, w, strides, "SAME", **options)).sum()

  spread = NamedSharding(mesh, PartitionSpec("batch")), NamedSharding(mesh, PartitionSpec())
  gradients = jax.jit(jax.grad(number, (0, 1)), in_shardings=spread).lower(x, w).compile()
  assert "all-gather" not in gradients.as_text()
  for one, other in zip(gradients(*jax.device_put((x, w), spread)), jax.grad(number, (0, 1))(x, w), strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.fixture
def in_parts(monkeypatch):
  """Kernels' gradients of small maps are taken in parts, too, as where there is one device."""
  monkeypatch.setattr("vidjax.ops.convolution.CACHED", 2**12)
  monkeypatch.setattr("jax.device_count", lambda: 1)
  jax.clear_caches()
  yield
  jax.clear_caches()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize(("kernel", "strides"), [((3, 3, 4, 6), (1, 2)), ((5, 3, 3, 24), (2, 2))])
def test_gradients_in_parts_are_those_of_lax(in_parts, kernel, strides, dtype):
  keys = jax.random.split(jax.random.key(0), 3)
  x, w = jax.random.normal(keys[0], (24, 16, 18, kernel[2]), dtype), jax.random.normal(keys[1], kernel, dtype)
  options = {"dimension_numbers": LAYOUTS[2]}
  check_against_lax(x, w, keys[2], strides, ((1, 1), (2, 0)), options)
  text = jax.jit(jax.grad(lambda w: convolution(x, w, strides, "SAME", **options).sum())).lower(w).as_text()
  assert "stablehlo.while" in text


def test_gradients_in_parts_of_a_kernel_that_varies_over_the_mesh(in_parts):
  check_over_outputs(24, "stablehlo.while")


def test_several_devices_take_no_parts(monkeypatch):
  """Each would be an all-reduce."""
  monkeypatch.setattr("vidjax.ops.convolution.CACHED", 2**12)
  check_over_outputs(24)


def test_a_kernel_that_varies_over_the_mesh():
  check_over_outputs(2)


def check_over_outputs(images, loop=""):
  """Under shard_map with the map whole and the kernel split by outputs."""
  mesh, split = Mesh(np.array(jax.devices()), ("outputs",)), PartitionSpec(None, None, None, "outputs")
  for channels, strides in ((16, (1, 1)), (3, (2, 2))):
    x = jax.random.normal(jax.random.key(0), (images, 8, 8, channels))
    w = jax.random.normal(jax.random.key(1), (3, 3, channels, 16))

    def gradients(x, w, strides=strides):
      def number(x, w):
        return jnp.sin(convolution(x, w, strides, "SAME", dimension_numbers=LAYOUTS[2])).sum()

      return jax.grad(number, (0, 1))(x, w)

    specs = PartitionSpec(), split
    ours = jax.jit(jax.shard_map(gradients, mesh=mesh, in_specs=specs, out_specs=specs))
    text = ours.lower(x, w).as_text()
    assert loop in text if loop else "stablehlo.while" not in text
    ours = ours(x, w)
    for one, other in zip(ours, gradients(x, w), strict=True):
      np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_what_lax_alone_can_do_is_left_to_it():
  """Complex numbers, another result's dtype, a map smaller than the kernel; float64 keeps its digits."""
  keys, options = jax.random.split(jax.random.key(0)), {"dimension_numbers": LAYOUTS[2]}
  x, w = jax.random.normal(keys[0], (2, 5, 5, 8)), jax.random.normal(keys[1], (3, 3, 8, 64))

  def gradient(conv, x, w):
    return jax.grad(lambda w: jnp.abs(conv(x, w, (1, 1), "SAME", **options)).sum())(w)

  for one, other in ((x * (1 + 2j), w * (1 - 1j)), (x, w)):
    ours, theirs = (gradient(conv, one, other) for conv in (convolution, lax.conv_general_dilated))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
  with jax.enable_x64(True):
    ours, theirs = (gradient(conv, np.float64(x), np.float64(w)) for conv in (convolution, lax.conv_general_dilated))
    np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-11)
  half = x.astype(jnp.bfloat16), w.astype(jnp.bfloat16), (1, 1), "SAME"
  assert convolution(*half, preferred_element_type=jnp.float32, **options).dtype == jnp.float32
  small = jax.grad(lambda x: convolution(x, w, (1, 1), "VALID", **options).sum())(x[:, :2])
  np.testing.assert_array_equal(small, jnp.zeros((2, 2, 5, 8)))


@pytest.mark.parametrize("options", [{"rhs_dilation": (2, 2)}, {"lhs_dilation": (1, 2)}])
@pytest.mark.parametrize("kernel", [(3, 3, 1, 3), (1, 1, 3, 5)])
def test_dilated_convolutions_are_left_to_lax(options, kernel):
  x, w = jnp.ones((1, 9, 8, 3)), jnp.ones(kernel)
  args = (x, w, (1, 1), ((0, 0), (0, 0)))
  options = {"dimension_numbers": LAYOUTS[2], "feature_group_count": 3 // kernel[2], **options}
  np.testing.assert_array_equal(convolution(*args, **options), lax.conv_general_dilated(*args, **options))


@pytest.mark.parametrize(
  ("arguments", "used"),
  [
    ({"features": 6, "kernel_size": (1, 1), "strides": 2}, "dot_general"),
    ({"features": 4, "kernel_size": (3, 3), "feature_group_count": 4, "padding": 1}, "multiply"),
    ({"features": 4, "kernel_size": (3, 1, 1), "feature_group_count": 4, "padding": "CIRCULAR"}, "multiply"),
  ],
)
def test_layers_take_clips_there(arguments, used):
  """As plain `nn.Conv` does, over any number of axes before."""
  x = jax.random.normal(jax.random.key(0), (2, 3, 5, 6, 4))
  ours, theirs = conv(**arguments), nn.Conv(**arguments, use_bias=False)
  variables = ours.init(jax.random.key(1), x)
  np.testing.assert_allclose(ours.apply(variables, x), theirs.apply(variables, x), rtol=1e-5, atol=1e-5)
  assert primitives(ours.apply, variables, x) == {used}


def test_large_kernels_are_not_taken_apart():
  """Each tap by itself: a kernel of 99 x 99 pixels took minutes to trace."""
  shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((2, 32, 32, 2), (33, 33, 2, 4))]

  def loss(x, w):
    return jnp.sum(convolution(x, w, (1, 1), "SAME", dimension_numbers=LAYOUTS[2]))

  assert len(jax.make_jaxpr(jax.grad(loss, 1))(*shapes).eqns) < 100


@pytest.mark.parametrize("size", [1, 3])
def test_batches_over_a_mesh(size):
  mesh = jax.sharding.Mesh(np.array(jax.devices()), ("batch",))
  spec, whole = jax.sharding.PartitionSpec("batch"), jax.sharding.PartitionSpec()
  keys = jax.random.split(jax.random.key(0), 2)
  x, w = jax.random.normal(keys[0], (8, 4, 4, 3)), jax.random.normal(keys[1], (size, size, 3, 5))

  def run(x, w):
    return convolution(x, w, (2, 2), "VALID", dimension_numbers=LAYOUTS[2])

  def gradients(fn):
    return jax.grad(lambda x, w: jnp.sum(jnp.sin(fn(x, w))), (0, 1))

  by_hand = jax.shard_map(run, mesh=mesh, in_specs=(spec, whole), out_specs=spec)
  spread = [jax.sharding.NamedSharding(mesh, one) for one in (spec, whole)]
  expected = jax.jit(gradients(run))(x, w)
  mapped = gradients(lambda x, w: jax.vmap(run, (0, None))(x[:, None], w))
  for fn in (jax.jit(gradients(by_hand)), jax.jit(gradients(run), in_shardings=spread), jax.jit(mapped)):
    for ours, theirs in zip(fn(x, w), expected, strict=True):
      np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
