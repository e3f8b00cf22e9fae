import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.analyse.module_costs import module_costs
from vidjax.backbones.vgg import VGG, DualStreamVGG
from vidjax.errors import ConfigError, InputError
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert, Inside
from vidjax.plugins.tsm import TSM


def test_a_stream_is_the_convolutions_of_vgg16():
  """14,714,688 parameters, as torchvision's VGG-16 has without its fully connected layers; 15.35 GMAC at 224 pixels."""
  (row, *_) = module_costs(Recognizer(VGG(features=None), 10), (1, 224, 224, 3))
  assert row.params == 14_714_688 + 512 * 10 + 10
  assert row.macs / 1e9 == pytest.approx(15.35, rel=1e-3)


def test_two_streams_stand_side_by_side():
  network = DualStreamVGG(width=4, features=6)
  clip = jax.random.normal(jax.random.key(0), (1, 2, 32, 32, 13))
  variables = jax.jit(lambda: network.init(jax.random.key(1), clip, False))()
  run = jax.jit(lambda x: network.apply(variables, x, False))
  both = run(clip)
  assert both.shape == (1, 2, 1, 1, 12)
  assert variables["params"]["t_net"]["stage1"]["block0"]["conv"]["kernel"].shape == (3, 3, 10, 4)
  other = run(clip.at[..., 3:].multiply(2))
  np.testing.assert_array_equal(other[..., :6], both[..., :6])
  assert np.abs(other[..., 6:] - both[..., 6:]).max() > 0


def test_flow_must_be_there():
  with pytest.raises(InputError, match=r"after the first 3, got \(1, 2, 32, 32, 3\): stack the flow"):
    jax.eval_shape(lambda: DualStreamVGG(width=4).init(jax.random.key(0), jnp.zeros((1, 2, 32, 32, 3)), False))


def test_parts_and_sites_are_those_of_table_1():
  clip = jnp.zeros((1, 2, 32, 32, 3))
  with pytest.raises(ConfigError, match="it has p1, p2, p3, p4, p5"):
    jax.eval_shape(lambda: VGG(4, inside=(Inside(TSM(), "gap"),)).init(jax.random.key(0), clip, False))
  with pytest.raises(ConfigError, match="has no site"):
    jax.eval_shape(lambda: VGG(4, inserts=(Insert(TSM(), "before", (6,)),)).init(jax.random.key(0), clip, False))
