"""Grad-CAM against the closed form of a linear head, and without any trace in the network's variables."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.analyse.gradcam import grad_cam
from vidjax.backbones.resnet import MiniResNet
from vidjax.errors import ConfigError
from vidjax.networks.recognizer import Recognizer
from vidjax.types import Output


@pytest.fixture(scope="module")
def network():
  return Recognizer(MiniResNet(widths=(4, 4, 6, 8)), 5)


@pytest.fixture(scope="module")
def variables(network):
  return jax.jit(network.init, static_argnums=2)(jax.random.key(0), jnp.zeros((1, 3, 16, 24, 3)), False)


def test_equals_the_closed_form_of_a_linear_head(network, variables):
  """logit = mean over T, h, w of A . w + b, so the frame's channel weights are w / (T h w)."""
  clips = jax.random.normal(jax.random.key(1), (2, 3, 16, 24, 3))
  labels = np.array([4, 1])
  (evidence,) = grad_cam(network, variables, clips, labels)
  _, sown = network.apply(variables, clips, False, mutable=["intermediates"])
  feature_map = np.asarray(sown["intermediates"]["feature_map"][0])
  kernel = np.asarray(variables["params"]["classifier"]["kernel"])[:, labels].T
  expected = np.einsum("bthwd,bd->bthw", feature_map, kernel) / np.prod(feature_map.shape[1:4])
  assert evidence.shape == feature_map.shape[:4] == (2, 3, 2, 3)
  assert (expected > 0).any()
  np.testing.assert_allclose(evidence, np.maximum(expected, 0), atol=1e-7)


def test_clips_do_not_see_each_other(network, variables):
  clips = jax.random.normal(jax.random.key(2), (3, 3, 16, 24, 3))
  (together,) = grad_cam(network, variables, clips, np.array([0, 1, 2]))
  (alone,) = grad_cam(network, variables, clips[1:2], np.array([1]))
  np.testing.assert_allclose(together[1:2], alone, atol=1e-7)


def test_the_mark_adds_no_variable(network, variables):
  assert set(variables) <= {"params", "batch_stats", "intermediates"}
  longer = network.apply(variables, jnp.zeros((2, 5, 24, 16, 3)), False)
  assert longer.logits.shape == (2, 5)


class Twin(nn.Module):
  """Two recognizers whose logits are averaged, as in two-stream networks."""

  @nn.compact
  def __call__(self, clips, train):
    outputs = [Recognizer(MiniResNet(widths=(4, 4, 4, 4)), 3, name=name)(clips, train) for name in ("rgb", "flow")]
    return Output((outputs[0].logits + outputs[1].logits) / 2, outputs[0].features)


def test_one_map_for_each_mark():
  clips = jnp.ones((1, 2, 16, 16, 3))
  network = Twin()
  variables = network.init(jax.random.key(0), clips, False)
  maps = grad_cam(network, variables, clips, np.array([2]))
  assert [m.shape for m in maps] == [(1, 2, 2, 2)] * 2


class Plain(nn.Module):
  @nn.compact
  def __call__(self, clips, train):
    x = clips.mean(axis=(1, 2, 3))
    return Output(nn.Dense(2)(x), x)


def test_a_network_without_a_feature_map():
  clips = jnp.ones((1, 2, 4, 4, 3))
  variables = Plain().init(jax.random.key(0), clips, False)
  with pytest.raises(ConfigError, match="Plain marks no 'feature_map'"):
    grad_cam(Plain(), variables, clips, np.array([0]))
