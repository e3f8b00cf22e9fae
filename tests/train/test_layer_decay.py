"""Rates of a ViT's layers, against the published rule, on the parameters of real networks."""

import re

import jax
import jax.numpy as jnp
import optax
import pytest
from flax.traverse_util import flatten_dict

from vidjax import recipe
from vidjax.backbones.released_vits import clip, videomae
from vidjax.errors import ConfigError
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert
from vidjax.plugins.tim import TIM
from vidjax.train.layer_decay import TRANSFORMER_GROUPS, layer_decay
from vidjax.train.optimizer import check_groups, multipliers


def shapes(backbone, **settings):
  network = Recognizer(backbone, 5, **settings)
  clips = jnp.zeros((1, 2, 32, 32, 3))
  return jax.eval_shape(lambda: network.init(jax.random.key(0), clips, False))["params"]


def found(params, groups):
  return flatten_dict(multipliers(params, groups), sep="/")


@pytest.mark.parametrize(
  ("backbone", "settings", "depth", "decay"),
  [
    (videomae("base", width=24, heads=4, inserts=(Insert(TIM(), "before"),)), {"pooled_norm": 1e-6}, 12, 0.75),
    (clip("base", width=24, heads=4, depth=6, layer_scale=0.1), {}, 6, 0.6),
  ],
)
def test_rates_are_those_of_the_published_rule(backbone, settings, depth, decay):
  """Layer 0 is what comes before the blocks, the last of depth + 2 the rest; vectors, biases and positions stay."""
  params = shapes(backbone, **settings)
  sizes = flatten_dict(params, sep="/")
  numbers = []
  for path, group in found(params, layer_decay(depth, decay)).items():
    block = re.search(r"stage(\d)/block(\d+)/", path)
    stem = "/stem/" in path
    long, rest = divmod(depth, 4)
    before = [i * long + min(i, rest) for i in range(4)]
    layer = 0 if stem else depth + 1 if block is None else 1 + before[int(block[1]) - 2] + int(block[2])
    numbers.append(layer)
    assert group.rate == pytest.approx(decay ** (depth + 1 - layer)), path
    vector = sizes[path].ndim == 1 or path.endswith(("/bias", "positions", "class_token"))
    assert group.decay == (not vector), path
    assert found(params, TRANSFORMER_GROUPS)[path].decay == group.decay
  assert set(numbers) == set(range(depth + 2))


def test_a_config_makes_the_groups_and_the_steps_are_in_proportion():
  groups = {"make": "vidjax.train.layer_decay.layer_decay", "depth": 4, "decay": 0.5}
  section = {"make": "vidjax.train.optimizer.make_optimizer", "kind": "sgd", "momentum": 0.0, "groups": groups}
  params = {"backbone": {"stem": {"w": 0.0}, "stage5": {"block0": {"w": 0.0}}, "last": {"w": 0.0}}, "head": {"w": 0.0}}
  optimizer = recipe.make_optimizer(section, optax.constant_schedule(1.0))
  params = jax.tree.map(jnp.asarray, params)
  updates, _ = optimizer.update(jax.tree.map(jnp.ones_like, params), optimizer.init(params), params)
  steps = {path: -float(x) for path, x in flatten_dict(updates, sep="/").items()}
  assert steps == {"backbone/stem/w": 0.5**5, "backbone/stage5/block0/w": 0.5, "backbone/last/w": 1.0, "head/w": 1.0}


def test_a_vit_of_another_depth_is_refused():
  params = shapes(clip("base", width=24, heads=4, depth=6))
  check_groups(params, layer_decay(6))
  check_groups({"encoder": params}, layer_decay(6))
  for depth, found in ((12, "no parameter"), (5, "a parameter")):
    with pytest.raises(
      ConfigError, match=rf"rules {found}: layer_decay\(depth={depth}\) is for a ViT of {depth} blocks"
    ):
      check_groups(params, layer_decay(depth))


def test_a_decay_above_one_is_refused():
  with pytest.raises(ConfigError, match=r"decay=1\.5"):
    layer_decay(12, 1.5)
