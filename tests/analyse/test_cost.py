"""Multiply-accumulates against sums by hand."""

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidjax.analyse.cost import count_macs
from vidjax.backbones.resnet import ResNet
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM


def floats(*shape):
  return jax.ShapeDtypeStruct(shape, jnp.float32)


def conv(x, kernel, stride=1, groups=1):
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    (stride, stride),
    ((1, 1), (1, 1)),
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
    feature_group_count=groups,
  )


def test_a_convolution_costs_outputs_times_taps():
  assert count_macs(conv, floats(2, 10, 8, 6), floats(3, 3, 6, 4)) == 2 * 10 * 8 * 4 * 3 * 3 * 6


def test_a_group_sees_its_own_channels_only():
  macs = count_macs(lambda x, k: conv(x, k, groups=3), floats(2, 10, 8, 6), floats(3, 3, 2, 12))
  assert macs == 2 * 10 * 8 * 12 * 3 * 3 * 2


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("stride", [1, 2])
def test_each_gradient_of_a_convolution_costs_what_it_costs(stride, groups):
  x, kernel = floats(2, 8, 12, 8), floats(3, 3, 8 // groups, 16)

  def loss(x, kernel):
    return (conv(x, kernel, stride, groups) ** 2).sum()

  forward = count_macs(loss, x, kernel)
  assert forward == 2 * (8 // stride) * (12 // stride) * 16 * 3 * 3 * 8 // groups
  assert count_macs(jax.grad(loss, argnums=1), x, kernel) == 2 * forward
  assert count_macs(jax.grad(loss, argnums=(0, 1)), x, kernel) == 3 * forward


@given(*[st.integers(1, 9)] * 4)
def test_a_matrix_product_with_a_batch_axis(b, n, k, m):
  assert count_macs(lambda x, y: x @ y, floats(b, n, k), floats(b, k, m)) == b * n * k * m


def test_loops_jit_remat_and_branches():
  x = floats(4, 4)

  @jax.jit
  def square(x):
    return jnp.tanh(x @ x)

  def scanned(x):
    return jax.lax.scan(lambda carry, _: (square(carry), None), x, length=7)[0]

  assert count_macs(square, x) == 64
  assert count_macs(scanned, x) == 7 * 64
  assert count_macs(jax.value_and_grad(lambda x: jax.checkpoint(square)(x).sum()), x) == 4 * 64  # forward again
  assert count_macs(lambda x: jax.lax.cond(x[0, 0] > 0, square, lambda x: x @ x @ x, x), x) == 2 * 64
  assert count_macs(lambda x: jax.lax.while_loop(lambda x: x[0, 0] > 0, lambda x: x - 1, x), x) == 0
  with pytest.raises(ValueError, match="unknown number of times"):
    count_macs(lambda x: jax.lax.while_loop(lambda x: x[0, 0] > 0, square, x), x)


def test_what_no_result_needs_costs_nothing():
  x = floats(4, 4)
  assert count_macs(lambda x: jax.vjp(lambda x: x @ x, x)[1](x), x) == 2 * 64
  assert count_macs(jax.jit(lambda x: (x @ x, x)[1]), x) == 0


def test_tsm_resnet_50_costs_what_is_known_of_it():
  network = Recognizer(ResNet(50, inserts=(Insert(TSM(), "before"),)), num_classes=400)
  clip = floats(1, 8, 224, 224, 3)
  variables = jax.eval_shape(lambda key, x: network.init(key, x, False), jax.random.key(0), clip)
  macs = count_macs(lambda v, x: network.apply(v, x, False), variables, clip)
  assert macs == pytest.approx(32.70e9, rel=0.005)
