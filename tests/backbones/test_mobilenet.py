import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from vidjax.analyse.cost import count_macs
from vidjax.backbones.mobilenet import STAGES, TSM_BLOCKS, InvertedResidual, MobileNetV2
from vidjax.backbones.stage import Stage
from vidjax.errors import ConfigError
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM

BN_NAMES = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}
LAYERS = {"0": "conv1", "1": "bn1", "3": "conv2", "4": "bn2", "6": "conv3", "7": "bn3"}
SHIFT = Insert(TSM(), "before", blocks=TSM_BLOCKS)


def outline(network, clip_shape):
  clip = jnp.zeros(clip_shape)
  return jax.eval_shape(lambda: network.init_with_output(jax.random.key(0), clip, False))


def count(network, clip_shape) -> int:
  return sum(leaf.size for leaf in jax.tree.leaves(outline(network, clip_shape)[1]["params"]))


def converted(golden) -> dict:
  """The names and layouts of TSM's block as the variables they are here."""
  variables = {"params": {}, "batch_stats": {}}
  for key in golden:
    if key.startswith("w/"):
      _, layer, leaf = key[2:].split(".")
      name, array = LAYERS[layer], golden[key]
      collection = "batch_stats" if leaf.startswith("running") else "params"
      leaf, array = (BN_NAMES[leaf], array) if "bn" in name else ("kernel", array.transpose(2, 3, 1, 0))
      variables[collection].setdefault(name, {})[leaf] = array
  return variables


@pytest.mark.parametrize(
  ("expected", "bidirectional"), [("offline_bidirectional", True), ("online_unidirectional", False)]
)
def test_golden_tsm_block(expected, bidirectional, shared_golden):
  """TSM's released block, shifted on the input of its first convolution."""
  golden = np.load(shared_golden / "mbv2_tsm_block.npz")
  block = InvertedResidual(16, inserts=(Insert(TSM(bidirectional=bidirectional), "before"),))
  y = jax.jit(lambda x: block.apply(converted(golden), x, False))(np.moveaxis(golden["x"], 1, -1)[None])
  np.testing.assert_allclose(y[0], np.moveaxis(golden[f"y_{expected}"], 1, -1), rtol=1e-4, atol=1e-4)


def test_parameters_and_costs():
  """facts.md, as measured on TSM's released code, and what torchvision documents for ImageNet."""
  assert count(Recognizer(MobileNetV2(), 1000), (1, 1, 224, 224, 3)) == 3_504_872
  network = Recognizer(MobileNetV2(inserts=(SHIFT,)), 174)
  assert count(network, (1, 8, 224, 224, 3)) == 2_446_766
  clip = jnp.zeros((1, 8, 224, 224, 3))
  macs = count_macs(lambda v, x: network.apply(v, x, False), outline(network, clip.shape)[1], clip)
  assert macs / 8e9 == pytest.approx(0.2997, rel=0.005)


@pytest.mark.parametrize(("multiplier", "expected"), [(0.5, 1_968_680), (0.75, 2_636_424), (1.4, 6_108_776)])
def test_width(multiplier, expected):
  """Parameters of torchvision's mobilenet_v2(width_mult=...), counted there."""
  network = Recognizer(MobileNetV2(width_multiplier=multiplier), 1000)
  last = max(1280, round(1280 * multiplier))
  assert outline(network, (1, 1, 32, 32, 3))[0].features.shape == (1, last)
  assert count(network, (1, 1, 32, 32, 3)) == expected


@pytest.mark.parametrize("size", [(64, 64), (33, 65)])
def test_size_of_the_feature_map(size):
  halved = [-(-n // 32) for n in size]
  assert outline(MobileNetV2(), (2, 3, *size, 3))[0].shape == (2, 3, *halved, 1280)
  assert outline(MobileNetV2(), (2, *size, 3))[0].shape == (2, *halved, 1280)


def test_tsm_shifts_the_ten_blocks_with_a_shortcut():
  """facts.md: blocks 2, 4, 5, 7, 8, 9, 11, 12, 14 and 15, counted from 0 over the whole network."""
  sites, shortcuts, index, before = [], [], 0, 32
  for number, (_, features, num_blocks, stride) in enumerate(STAGES, start=2):
    for block in range(num_blocks):
      sites += [index] * SHIFT.chosen(number, block, num_blocks)
      shortcuts += [index] * (before == features and (block > 0 or stride == 1))
      index, before = index + 1, features
  assert sites == shortcuts == [2, 4, 5, 7, 8, 9, 11, 12, 14, 15]


def test_blocks_by_hand():
  """A stage of two blocks, one strided and one with a shortcut, against NumPy in float64."""
  x = np.random.default_rng(1).normal(size=(1, 5, 6, 4))
  stage = Stage((InvertedResidual(8, stride=2, expansion=3), InvertedResidual(8, expansion=3)), number=2)
  variables = jax.jit(lambda x: stage.init(jax.random.key(0), x, False))(x.astype(np.float32))
  rng = np.random.default_rng(0)
  variables = jax.tree.map(lambda leaf: (leaf + rng.uniform(0.05, 1, leaf.shape)).astype(np.float32), variables)
  expected = x[0]
  for name, stride in (("block0", 2), ("block1", 1)):
    params, stats = (jax.tree.map(np.float64, variables[kind][name]) for kind in ("params", "batch_stats"))

    def bn(layer, y, params=params, stats=stats):
      y = (y - stats[layer]["mean"]) / np.sqrt(stats[layer]["var"] + 1e-5)
      return y * params[layer]["scale"] + params[layer]["bias"]

    y = np.clip(bn("bn1", expected @ params["conv1"]["kernel"][0, 0]), 0, 6)
    padded, (height, width, _) = np.pad(y, [(1, 1), (1, 1), (0, 0)]), y.shape
    taps = itertools.product(range(3), range(3))
    y = sum(padded[i : i + height, j : j + width] * params["conv2"]["kernel"][i, j, 0] for i, j in taps)
    y = np.clip(bn("bn2", y[::stride, ::stride]), 0, 6)
    y = bn("bn3", y @ params["conv3"]["kernel"][0, 0])
    expected = y if stride == 2 else expected + y
  output = jax.jit(lambda x: stage.apply(variables, x, False))(x.astype(np.float32))
  np.testing.assert_allclose(output[0], expected, rtol=1e-4, atol=1e-3)


def test_without_expansion_there_is_no_first_convolution():
  x = jnp.zeros((1, 4, 4, 8))
  paths = flatten_dict(jax.eval_shape(lambda: InvertedResidual(8, expansion=1).init(jax.random.key(0), x, False)))
  assert {path[1] for path in paths} == {"conv2", "bn2", "conv3", "bn3"}


def test_what_does_not_fit_is_named():
  clip = jnp.zeros((1, 1, 32, 32, 3))
  with pytest.raises(ConfigError, match=r"width_multiplier=0\): must be positive"):
    MobileNetV2(width_multiplier=0).init(jax.random.key(0), clip, False)
  with pytest.raises(ConfigError, match="has no site"):
    MobileNetV2(inserts=(Insert(TSM(), "before", blocks=(4,)),)).init(jax.random.key(0), clip, False)
