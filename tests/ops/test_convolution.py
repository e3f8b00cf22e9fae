import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from vidjax.ops.convolution import LARGE, convolution


@pytest.mark.parametrize(
  ("size", "kernel", "stride", "padding", "dtype"),
  [
    ((20, 19), (3, 3), 1, ((1, 1), (1, 1)), jnp.float32),
    ((41, 40), (5, 3), 2, ((2, 2), (1, 0)), jnp.float32),
    ((20, 20), (3, 3), 1, ((1, 1), (1, 1)), jnp.bfloat16),
    ((8, 8), (3, 3), 1, ((1, 1), (1, 1)), jnp.float32),  # below LARGE: XLA's own
    ((20, 20), (1, 1), 1, ((0, 0), (0, 0)), jnp.float32),
  ],
)
def test_value_and_gradients_are_those_of_lax(size, kernel, stride, padding, dtype):
  keys = jax.random.split(jax.random.key(0), 3)
  x = jax.random.normal(keys[0], (2, *size, 3), dtype)
  w = jax.random.normal(keys[1], (*kernel, 3, 4), dtype)
  layout = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}

  def pullback(conv):
    y, vjp = jax.vjp(lambda x, w: conv(x, w, (stride, stride), padding, **layout), x, w)
    return y, *vjp(jax.random.normal(keys[2], y.shape, dtype))

  ours, theirs = (
    jax.jit(pullback, static_argnums=0)(convolution),
    jax.jit(pullback, static_argnums=0)(lax.conv_general_dilated),
  )
  assert (ours[0].shape[1] * ours[0].shape[2] >= LARGE) == (size != (8, 8))
  tolerance = 3e-2 if dtype == jnp.bfloat16 else 1e-5
  for a, b in zip(ours, theirs, strict=True):
    assert a.dtype == b.dtype == dtype
    scale = np.abs(np.asarray(b, np.float32)).max()
    np.testing.assert_allclose(np.asarray(a, np.float32) / scale, np.asarray(b, np.float32) / scale, atol=tolerance)


@pytest.mark.parametrize("options", [{"feature_group_count": 3}, {"rhs_dilation": (2, 2)}])
def test_other_convolutions_are_left_to_lax(options):
  x, groups = jnp.ones((1, 20, 20, 3)), options.get("feature_group_count", 1)
  w = jnp.ones((3, 3, 3 // groups, 3))
  args = (x, w, (1, 1), ((1, 1), (1, 1)))
  layout = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), **options}
  np.testing.assert_array_equal(convolution(*args, **layout), lax.conv_general_dilated(*args, **layout))
