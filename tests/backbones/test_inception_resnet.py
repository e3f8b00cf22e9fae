import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.analyse.module_costs import module_costs
from vidjax.backbones.inception_resnet import Block, Entry, InceptionResNetV2
from vidjax.errors import ConfigError, InputError
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Inside


class EveryOther(nn.Module):
  def __call__(self, x, train):
    return x[:, ::2]


def output(module, shape):
  return jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), jnp.zeros(shape), False)[0])


def test_the_whole_network_costs_what_facts_say():
  rows = {row.path: row for row in module_costs(Recognizer(InceptionResNetV2(), 1000), (1, 299, 299, 3))}
  assert rows[""].params == 55_843_464  # timm's count for ImageNet; 54.46M with 101 classes
  assert rows[""].params - 899 * (1536 + 1) == pytest.approx(54.46e6, rel=1e-4)
  assert rows[""].macs / 1e9 == pytest.approx(13.15, rel=5e-3)
  sizes = {
    "stem/conv2d_1a": 149 * 149 * 32,
    "stem/conv2d_4a": 71 * 71 * 192,
    "block_a": 35 * 35 * 320,
    "block_b": 17 * 17 * 1088,
    "block_c": 8 * 8 * 2080,
    "": 1000 + 1536 + 1000,
  }
  for name, elements in sizes.items():
    assert rows[f"backbone/{name}" if name else ""].activations == elements, name


def test_parts_inside_may_change_the_number_of_frames():
  inside = (Inside(EveryOther(), "conv2d_1a"), Inside(EveryOther(), "block_b/1"), Inside(EveryOther(), "block_c"))
  network = InceptionResNetV2(0.125, (1, 2, 1), inside=inside)
  assert output(network, (1, 8, 75, 75, 3)).shape == (1, 1, 1, 1, 192)
  with pytest.raises(ConfigError, match=r"after='block_b/2'.*conv2d_1a, conv2d_4a, block_a, .*block_b/1"):
    output(InceptionResNetV2(0.125, (1, 2, 1), inside=(Inside(EveryOther(), "block_b/2"),)), (1, 8, 75, 75, 3))


def test_small_frames_are_refused():
  with pytest.raises(InputError, match=r"at stem needs frames of 75 x 75 at least, got \(64, 80\)"):
    output(InceptionResNetV2(0.125, (1, 1, 1)), (1, 2, 64, 80, 3))


def test_three_numbers_of_blocks_are_needed():
  with pytest.raises(ConfigError, match=r"blocks=\(1, 1\).*must be a tuple of 3, each an int of at least 1"):
    output(InceptionResNetV2(0.125, (1, 1)), (1, 1, 75, 75, 3))


def test_a_block_adds_its_scaled_branches():
  """y = ReLU(x + scale conv(branches(x))): with a branch of one 1x1 convolution, by hand."""
  block = Block(branches=(((4, (1, 1)),),), scale=0.3)
  x = jax.random.normal(jax.random.key(0), (2, 3, 3, 5))
  variables = block.init(jax.random.key(1), x, False)
  p = jax.tree.map(np.asarray, variables["params"])
  hidden = np.maximum(x @ p["branch0_0"]["conv"]["kernel"][0, 0] / np.sqrt(1 + 1e-3), 0)
  y = hidden @ p["conv"]["kernel"][0, 0] + p["conv"]["bias"]
  np.testing.assert_allclose(block.apply(variables, x, False), np.maximum(x + 0.3 * y, 0), atol=1e-5)
  linear = Block(branches=(((4, (1, 1)),),), scale=1.0, activate=False)
  np.testing.assert_allclose(linear.apply(variables, x, False), x + y, atol=1e-5)


def test_the_average_pool_leaves_its_padding_out():
  entry = Entry(branches=(), pooled=1)
  x = jnp.ones((1, 4, 4, 2))
  variables = jax.tree.map(jnp.ones_like, entry.init(jax.random.key(0), x, False))
  run = jax.jit(functools.partial(entry.apply, train=False))
  np.testing.assert_allclose(run(variables, x)[0, ..., 0], run(variables, x)[0, 1, 1, 0] * np.ones((4, 4)), rtol=1e-6)
