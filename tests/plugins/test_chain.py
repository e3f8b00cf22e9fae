import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.analyse.module_costs import all_module_costs
from vidjax.backbones.resnet import MiniResNet, ResNet
from vidjax.build import build
from vidjax.errors import ConfigError
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.chain import Chain
from vidjax.plugins.cpa import CPA
from vidjax.plugins.insert import Insert
from vidjax.plugins.rnl import RNL
from vidjax.plugins.se import SpaceTimeSE
from vidjax.plugins.tsm import TSM

CLIP = jax.random.normal(jax.random.key(1), (2, 3, 4, 5, 6))


class Affine(nn.Module):
  """x * gain + a parameter of its own."""

  gain: float

  @nn.compact
  def __call__(self, x, train):
    return x * self.gain + self.param("shift", nn.initializers.normal(), ())


def test_applies_copies_in_order():
  module = Chain((Affine(2.0), TSM(3), Affine(5.0)))
  variables = module.init(jax.random.key(0), CLIP, False)
  assert set(variables["params"]) == {"Affine", "Affine_2"}
  first, second = (float(variables["params"][name]["shift"]) for name in ("Affine", "Affine_2"))
  assert first != second
  expected = TSM(3).apply({}, CLIP * 2 + first) * 5 + second
  np.testing.assert_allclose(module.apply(variables, CLIP, False), expected, rtol=1e-6)


def test_one_template_at_many_sites():
  """The template stays as it was, hashes, and its copies share nothing."""
  template = Chain((Affine(2.0), Affine(2.0)))
  network = MiniResNet((4, 4, 4, 4), inserts=(Insert(template, "after", (2, 3)),))
  clip = jnp.zeros((1, 2, 16, 16, 3))
  variables = jax.jit(functools.partial(network.init, train=False))(jax.random.key(0), clip)
  sites = [variables["params"][stage]["block0"]["after_Chain"] for stage in ("res2", "res3")]
  shifts = {float(site[name]["shift"]) for site in sites for name in ("Affine", "Affine_2")}
  assert len(shifts) == 4
  assert hash(template) == hash(Chain((Affine(2.0), Affine(2.0))))


def test_from_a_config():
  config = {
    "make": "vidjax.plugins.chain.Chain",
    "modules": [{"make": "vidjax.plugins.se.SpaceTimeSE"}, {"make": "vidjax.plugins.cpa.CPA"}],
  }
  assert build(config) == Chain((SpaceTimeSE(), CPA()))


def test_size_of_five_in_a_resnet50():
  """Table 4.6 prints 35.95 M, the released code's constant masks included."""

  def chain(kernel):
    return Chain((SpaceTimeSE(reduction=16, bias=True), RNL(kernel, aggregation="grouped")))

  inserts = (
    Insert(TSM(), "before"),
    Insert(chain((3, 7, 7)), "after", (3,), (0, 2)),
    Insert(chain((3, 3, 3)), "after", (4,), (0, 2, 4)),
  )
  network = Recognizer(ResNet(50, inserts=inserts), 400)
  clip = jax.ShapeDtypeStruct((1, 8, 224, 224, 3), jnp.float32)
  variables = jax.eval_shape(functools.partial(network.init, train=False), jax.random.key(0), clip)
  masks = 2 * 32 * 256 * 3 * 7 * 7 + 3 * 32 * 512 * 3 * 3 * 3
  assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == 35_946_704 - masks
  costs = all_module_costs(network, clip.shape[1:])
  for convention, gmac in (("real", 105.95), ("thop", 41.143)):
    assert costs[convention][0].macs / 1e9 == pytest.approx(gmac, rel=1e-3)


def test_a_chain_of_nothing():
  with pytest.raises(
    ConfigError, match=r"Chain\(modules=\(\)\) at the top: must be a tuple of one or more modules, such as \(SE"
  ):
    Chain(()).init(jax.random.key(0), CLIP, False)
