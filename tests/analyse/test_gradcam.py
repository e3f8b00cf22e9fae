"""Grad-CAM against the closed form of a linear head, and without any trace in the network's variables."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.analyse.gradcam import cell_centres, grad_cam, to_pixels
from vidjax.backbones.resnet import MiniResNet
from vidjax.errors import ConfigError, InputError
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


class Strides(nn.Module):
  """Strided convolutions (kernel, stride, padding), the layers of old and new backbones."""

  layers: tuple[tuple[int, int, int], ...]

  @nn.compact
  def __call__(self, x, train):
    for kernel, stride, padding in self.layers:
      x = nn.relu(nn.Conv(2, (kernel, kernel), strides=stride, padding=padding, use_bias=False)(x))
    return x


LAYERS = {
  "half the kernel": ((7, 2, 3), (3, 2, 1), (3, 1, 1), (3, 2, 1)),
  "none": ((3, 2, 0), (3, 1, 0), (3, 2, 0)),
  "pools of two": ((3, 1, 1), (2, 2, 0), (3, 1, 1), (2, 2, 0)),
  "patches": ((6, 6, 0),),
  "no stride": ((3, 1, 1),),
}


@pytest.mark.parametrize("size", [(48, 48), (50, 37)])
@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
def test_centres_of_cells_are_those_of_their_receptive_fields(layers, size):
  """By the layers: a first cell is centred (kernel - 1) / 2 - padding steps of its input further on."""
  first, stride = 0.0, 1
  for kernel, step, padding in layers:
    first += stride * ((kernel - 1) / 2 - padding)
    stride *= step
  assert cell_centres(Recognizer(Strides(layers), 2), (1, 2, *size, 3)) == ((first, stride),)


def positive(variables):
  """Parameters that let every layer blur its input: a cell's value is the light in its receptive field."""
  return jax.tree.map(lambda x: jnp.full_like(x, 1 / x[..., 0].size) if x.ndim > 1 else x, variables)


@pytest.mark.parametrize("backbone", [MiniResNet(widths=(4, 4, 4, 4)), Strides(LAYERS["pools of two"])])
@pytest.mark.parametrize("size", [(48, 48), (52, 61)])
def test_evidence_lies_on_its_object(backbone, size):
  """A bright square at a known place; cells stretched over the frame would lie half a cell beside it."""
  network = Recognizer(backbone, 2)
  shape = (1, 2, *size, 3)
  init = jax.jit(network.init, static_argnums=2)
  variables = positive(init(jax.random.key(0), jnp.zeros(shape), False))
  places = [(y, x) for y in (18, 20, 23, 25, 27) for x in (19, 22, 24, 28)]
  clips = np.zeros((len(places), *shape[1:]), np.float32)
  for clip, (y, x) in zip(clips, places, strict=True):
    clip[:, y - 2 : y + 3, x - 2 : x + 3] = 1
  (evidence,) = grad_cam(network, variables, clips, np.zeros(len(places), int))
  (cells,) = cell_centres(network, shape)
  found = []
  for maps in np.asarray(evidence):
    heat = to_pixels(maps, shape[1:4], *cells)[1] ** 4  # the peak, not its skirts
    found.append(
      (heat.sum(axis=1) @ np.arange(size[0]) / heat.sum(), heat.sum(axis=0) @ np.arange(size[1]) / heat.sum())
    )
  offset = np.array(found) - places
  np.testing.assert_allclose(offset.mean(axis=0), 0, atol=1.0)
  np.testing.assert_allclose(offset, 0, atol=3.0)


def test_evidence_keeps_its_place_in_space_and_time():
  evidence = np.zeros((2, 3, 4))
  evidence[1, 1, 2] = 1
  heat = to_pixels(evidence, (8, 24, 32), 0.0, 8.0)
  assert heat.shape == (8, 24, 32)
  assert np.unravel_index(heat[7].argmax(), (24, 32)) == (8, 16)
  assert heat[7, 8, 16] == pytest.approx(1)
  assert heat[7, 12, 16] == pytest.approx(0.5)
  np.testing.assert_allclose(heat[:, 8, 16], [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])


class Fixed(nn.Module):
  """A network of one size."""

  @nn.compact
  def __call__(self, clips, train):
    if clips.shape[-3:-1] != (12, 18):
      raise InputError("clips must be of 12 x 18 pixels")
    x = nn.Conv(2, (3, 3), strides=3, padding=0)(clips)
    self.sow("intermediates", "feature_map", self.perturb("feature_map", x) if not self.is_initializing() else x)
    return Output(nn.Dense(2)(x.mean(axis=(1, 2, 3))), x.mean(axis=(1, 2, 3)))


def test_cells_of_a_network_of_one_size_share_its_frame():
  assert cell_centres(Fixed(), (1, 2, 12, 18, 3)) == ((1.0, 3.0),)
