import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.backbones.resnet import MiniResNet, ResNet, Stem
from vidjax.errors import ConfigError
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM


def shapes(network, clip_shape):
  clip = jnp.zeros(clip_shape)
  return jax.eval_shape(lambda: network.init_with_output(jax.random.key(0), clip, False))


def count(network, clip_shape=(1, 8, 224, 224, 3)) -> int:
  return sum(leaf.size for leaf in jax.tree.leaves(shapes(network, clip_shape)[1]["params"]))


@pytest.mark.parametrize(("num_classes", "expected"), [(174, 23_864_558), (400, 24_327_632)])
def test_tsm_resnet50_has_the_published_parameters(num_classes, expected):
  """facts.md, as measured on the released code; thesis Table 4.6 prints 24.33M for 400 classes."""
  assert count(Recognizer(ResNet(50, inserts=(Insert(TSM(), "before"),)), num_classes)) == expected


@pytest.mark.parametrize(
  ("depth", "expected"), [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032), (101, 44_549_160)]
)
def test_imagenet_parameter_counts(depth, expected):
  """Those torchvision documents for its ImageNet classifiers of 1000 classes."""
  assert count(Recognizer(ResNet(depth), 1000), (1, 1, 224, 224, 3)) == expected


@pytest.mark.parametrize("size", [(224, 224), (17, 33)])
def test_size_of_the_feature_map(size):
  halved = [-(-n // 32) for n in size]
  assert shapes(ResNet(18, width=8), (2, 3, *size, 3))[0].shape == (2, 3, *halved, 64)
  assert shapes(ResNet(50, width=8), (2, *size, 3))[0].shape == (2, *halved, 256)
  assert shapes(MiniResNet(), (2, 3, *size, 3))[0].shape == (2, 3, *[-(-n // 8) for n in size], 48)


def test_the_mini_network_has_a_tenth_of_a_million_parameters():
  assert 0.05e6 < count(MiniResNet(), (1, 8, 48, 48, 3)) < 0.15e6


def test_every_frame_is_treated_as_an_image():
  network = MiniResNet(widths=(4, 4, 4, 4))
  clip = jax.random.normal(jax.random.key(0), (2, 3, 32, 32, 3))
  variables = jax.jit(functools.partial(network.init, train=False))(jax.random.key(0), clip)
  run = jax.jit(functools.partial(network.apply, train=False))
  images = run(variables, clip.reshape(6, 32, 32, 3))
  np.testing.assert_allclose(run(variables, clip).reshape(images.shape), images, rtol=1e-4, atol=1e-4)


def test_the_stem_halves_once_or_twice():
  assert shapes(Stem(8), (1, 32, 32, 3))[0].shape == (1, 8, 8, 8)
  assert shapes(Stem(8, kernel=5, pool=False), (1, 32, 32, 3))[0].shape == (1, 16, 16, 8)


def test_an_unknown_depth_is_named():
  with pytest.raises(ConfigError, match=r"depth=20\) at the top: must be one of 18, 34, 50, 101"):
    shapes(ResNet(20), (1, 32, 32, 3))
