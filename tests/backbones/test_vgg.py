import jax
import jax.numpy as jnp
import pytest

from vidjax.analyse.cost import count_macs
from vidjax.analyse.module_costs import module_costs
from vidjax.backbones.vgg import VGG
from vidjax.errors import ConfigError
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert, Inside
from vidjax.plugins.tsm import TSM


def test_a_stream_is_the_convolutions_of_vgg16():
  """14,714,688 parameters, as torchvision's VGG-16 has without its fully connected layers; 15.35 GMAC at 224 pixels."""
  (row, *_) = module_costs(Recognizer(VGG(features=None), 10), (1, 224, 224, 3))
  assert row.params == 14_714_688 + 512 * 10 + 10
  assert row.macs / 1e9 == pytest.approx(15.35, rel=1e-3)


def test_parts_and_sites_are_those_of_table_1():
  clip = jnp.zeros((1, 2, 32, 32, 3))
  with pytest.raises(ConfigError, match="it has p1, p2, p3, p4, p5"):
    jax.eval_shape(lambda: VGG(4, inside=(Inside(TSM(), "gap"),)).init(jax.random.key(0), clip, False))
  with pytest.raises(ConfigError, match="has no site"):
    jax.eval_shape(lambda: VGG(4, inserts=(Insert(TSM(), "before", (6,)),)).init(jax.random.key(0), clip, False))


@pytest.mark.parametrize(("until", "share"), [(1, 12.4), (2, 30.2), (3, 59.9)])
def test_the_work_before_each_gate(until, share):
  """What a frame costs up to p1, p2 and p3, in per cent: the bound of what the gate saves."""
  clip = jax.ShapeDtypeStruct((1, 1, 224, 224, 3), jnp.float32)
  network = VGG()
  variables = jax.eval_shape(lambda: network.init(jax.random.key(0), jnp.zeros(clip.shape), False))
  whole = count_macs(lambda v, x: network.apply(v, x, False), variables, clip)
  before = count_macs(lambda v, x: network.apply(v, x, False, 1, until), variables, clip)
  assert 100 * before / whole == pytest.approx(share, abs=0.05)
