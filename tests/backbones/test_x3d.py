import functools
import itertools
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from vidjax.analyse.cost import count_macs
from vidjax.analyse.module_costs import module_costs
from vidjax.backbones.x3d import X3D, Block, Stem
from vidjax.errors import ConfigError
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM

BN_NAMES = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}
LAYERS = {
  "branch1_conv": "shortcut_conv",
  "branch1_norm": "shortcut_bn",
  "branch2.conv_a": "conv1",
  "branch2.norm_a": "bn1",
  "branch2.conv_b": "conv2",
  "branch2.norm_b.0": "bn2",
  "branch2.norm_b.1.block.0": "squeeze",
  "branch2.norm_b.1.block.2": "excite",
  "branch2.conv_c": "conv3",
  "branch2.norm_c": "bn3",
  "blocks.0.conv.conv_t": "backbone/stem/conv",
  "blocks.0.conv.conv_xy": "backbone/stem/conv_t",
  "blocks.0.norm": "backbone/stem/bn",
  "blocks.5.pool.pre_conv": "backbone/last/conv",
  "blocks.5.pool.pre_norm": "backbone/last/bn",
  "blocks.5.pool.post_conv": "hidden",
  "blocks.5.proj": "classifier",
}


def recognizer(num_classes: int, **arguments) -> Recognizer:
  return Recognizer(X3D(**arguments), num_classes, consensus="features", hidden=2048)


def converted(golden) -> dict:
  """PyTorchVideo's names and layouts as the variables they are here."""
  variables = {}
  for key in golden:
    if not key.startswith("w/"):
      continue
    module, _, leaf = key[2:].rpartition(".")
    place = re.match(r"blocks\.(\d)\.res_blocks\.(\d+)\.(.*)", module)
    path = LAYERS[place[3] if place else module]
    path = f"backbone/res{int(place[1]) + 1}/block{place[2]}/{path}" if place else path
    array, layer = golden[key], path.rpartition("/")[2]
    if "bn" in layer:
      collection = "batch_stats" if leaf.startswith("running") else "params"
      variables[f"{collection}/{path}/{BN_NAMES[leaf]}"] = array
      continue
    if array.ndim == 5:
      array = array.transpose(2, 3, 4, 1, 0)
      if layer in ("squeeze", "excite", "hidden"):
        array = array[0, 0, 0]
      elif layer not in ("conv_t", "conv2"):
        array = array[0]
    elif array.ndim == 2:
      array = array.T
    variables[f"params/{path}/{'kernel' if leaf == 'weight' else 'bias'}"] = array
  return unflatten_dict(variables, sep="/")


def outline(variables) -> dict:
  return {path: leaf.shape for path, leaf in flatten_dict(variables, sep="/").items()}


def channels_last(x: np.ndarray) -> np.ndarray:
  return np.moveaxis(x, 1, -1)


@pytest.mark.parametrize(
  ("name", "block"),
  [
    ("x3d_block_down_se", Block(48, stride=2)),
    ("x3d_block_res_nose", Block(48, excite=False)),
    ("x3d_block_stage1_first", Block(24, stride=2)),
  ],
)
def test_golden_blocks(name, block, shared_golden):
  """PyTorchVideo's blocks, by running statistics and by those of the batch."""
  golden = np.load(shared_golden / f"{name}.npz")
  x, variables = jnp.asarray(channels_last(golden["x"])), converted(golden)
  wanted = jax.eval_shape(lambda: block.init(jax.random.key(0), x, False))
  assert outline(variables) == outline(wanted)

  @jax.jit
  def run(variables, x):
    return block.apply(variables, x, False), block.apply(variables, x, True, mutable=["batch_stats"])[0]

  for y, expected in zip(run(variables, x), ("y_eval", "y_train_batchstats"), strict=True):
    np.testing.assert_allclose(y, channels_last(golden[expected]), rtol=1e-4, atol=1e-4)


def test_golden_network(shared_golden):
  """PyTorchVideo's network with factors of 1: every stage and the scores."""
  golden = np.load(shared_golden / "x3d_tiny.npz")
  clips, variables = jnp.asarray(channels_last(golden["x"])), converted(golden)
  network = Recognizer(X3D(1.0, 1.0), num_classes=7, consensus="features", hidden=64)
  wanted = jax.eval_shape(functools.partial(network.init, train=False), jax.random.key(0), clips)
  assert outline(variables) == outline(wanted)
  stages = ("stem", "res2", "res3", "res4", "res5")

  def is_stage(module: nn.Module, method: str) -> bool:
    return method == "__call__" and module.path[1:] in {(stage,) for stage in stages}

  run = functools.partial(network.apply, train=False, capture_intermediates=is_stage)
  output, captured = jax.jit(run)(variables, clips)
  checks = {stage: captured["intermediates"]["backbone"][stage]["__call__"][0] for stage in stages}
  checks = {stage: np.moveaxis(value, -1, 1) for stage, value in checks.items()} | {"logits": output.logits}
  for name, value in checks.items():
    np.testing.assert_allclose(value, golden[name], rtol=1e-3, atol=1e-3 * np.abs(golden[name]).max(), err_msg=name)


@pytest.mark.parametrize(
  ("num_classes", "frames", "size", "params", "gmacs"),
  [
    (174, 16, 256, 3_331_200, 6.18),
    (400, 16, 224, 3_794_274, 4.73),
    (400, 4, 160, 3_794_274, 0.605),
    (400, 13, 160, 3_794_274, 1.963),
  ],
)
def test_parameters_and_costs(num_classes, frames, size, params, gmacs):
  """facts.md, as measured on the released code: M as the thesis uses it, then M, XS and S."""
  network = recognizer(num_classes)
  clip = jnp.zeros((1, frames, size, size, 3))
  variables = jax.eval_shape(lambda: network.init(jax.random.key(0), clip, False))
  assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == params
  macs = count_macs(lambda variables, clip: network.apply(variables, clip, False), variables, clip)
  assert macs / 1e9 == pytest.approx(gmacs, rel=0.005)
  if size == 256:
    assert module_costs(network, clip.shape[1:], "thop")[0].macs / 1e9 == pytest.approx(6.394, rel=0.001)


def test_the_factors_give_the_published_blocks_and_widths():
  """The stages of M and L, squeezed widths as in facts.md, and the parameters of L as PyTorchVideo builds it."""
  clip = jnp.zeros((1, 1, 32, 32, 3))
  for factor, blocks, count in ((2.2, (3, 5, 11, 7), 3_794_274), (5.0, (5, 10, 25, 15), 6_153_384)):
    network = recognizer(400, depth_factor=factor)
    params = jax.eval_shape(lambda network=network: network.init(jax.random.key(0), clip, False))["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count
    params = params["backbone"]
    assert tuple(len(params[f"res{i}"]) for i in (2, 3, 4, 5)) == blocks
  firsts = [params[f"res{i}"]["block0"] for i in (2, 3, 4, 5)]
  assert [first["conv3"]["kernel"].shape[-2:] for first in firsts] == [(54, 24), (108, 48), (216, 96), (432, 192)]
  assert [first["squeeze"]["kernel"].shape[-1] for first in firsts] == [8, 8, 16, 32]
  assert all(("squeeze" in params["res4"][f"block{i}"]) == (i % 2 == 0) for i in range(25))


def test_a_shortcut_that_keeps_its_width_has_a_bn_where_asked():
  clip = jnp.zeros((1, 1, 32, 32, 3))
  plain, slowfast = (
    outline(jax.eval_shape(lambda b=b: X3D(0.2, 1.0, shortcut_bn=b).init(jax.random.key(0), clip, False)))
    for b in (False, True)
  )
  assert set(slowfast) - set(plain) == {
    f"{leaf}/res2/block0/shortcut_bn/{name}"
    for leaf, names in (("params", ("scale", "bias")), ("batch_stats", ("mean", "var")))
    for name in names
  }


def correlate(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
  """Channel-wise correlation of [T, H, W, C] with [t, h, w, 1, C], zeros beyond the border; the stride is of space."""
  pads = [(k // 2, k // 2) for k in kernel.shape[:3]]
  padded = np.pad(x, [*pads, (0, 0)])
  taps = itertools.product(*(range(k) for k in kernel.shape[:3]))
  full = sum(padded[t:, i:, j:][: x.shape[0], : x.shape[1], : x.shape[2]] * kernel[t, i, j, 0] for t, i, j in taps)
  return full[:, ::stride, ::stride]


def moved(variables):
  rng = np.random.default_rng(0)
  return jax.tree.map(lambda leaf: (leaf + rng.uniform(0.05, 0.5, leaf.shape)).astype(np.float32), variables)


def normalised(variables, name: str, x: np.ndarray) -> np.ndarray:
  scale, bias = (np.asarray(variables["params"][name][key], np.float64) for key in ("scale", "bias"))
  mean, var = (np.asarray(variables["batch_stats"][name][key], np.float64) for key in ("mean", "var"))
  return (x - mean) / np.sqrt(var + 1e-5) * scale + bias


def test_a_block_by_hand():
  """A strided block with excitation against NumPy in float64."""
  x = np.random.default_rng(1).normal(size=(1, 3, 5, 6, 4))
  block = Block(8, stride=2)
  variables = moved(jax.jit(lambda x: block.init(jax.random.key(0), x, False))(x.astype(np.float32)))
  params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])
  bn = functools.partial(normalised, variables)

  def sigmoid(value):
    return 1 / (1 + np.exp(-value))

  y = np.maximum(bn("bn1", x[0] @ params["conv1"]["kernel"][0, 0]), 0)
  y = bn("bn2", correlate(y, params["conv2"]["kernel"], 2))
  squeezed = y.mean((0, 1, 2)) @ params["squeeze"]["kernel"] + params["squeeze"]["bias"]
  y = y * sigmoid(np.maximum(squeezed, 0) @ params["excite"]["kernel"] + params["excite"]["bias"])
  y = bn("bn3", y * sigmoid(y) @ params["conv3"]["kernel"][0, 0])
  shortcut = bn("shortcut_bn", x[0, :, ::2, ::2] @ params["shortcut_conv"]["kernel"][0, 0])
  output = jax.jit(lambda x: block.apply(variables, x, False))(x.astype(np.float32))
  np.testing.assert_allclose(output[0], np.maximum(y + shortcut, 0), rtol=1e-4, atol=1e-4)


def test_the_stem_sees_two_frames_either_way():
  x = np.random.default_rng(1).normal(size=(1, 7, 6, 6, 3)).astype(np.float32)
  stem = Stem(8)
  variables = moved(jax.jit(lambda x: stem.init(jax.random.key(0), x, False))(x))
  run = jax.jit(lambda x: stem.apply(variables, x, False))
  last = (np.arange(7) == 6).reshape(1, 7, 1, 1, 1).astype(np.float32)
  y, other = run(x), run(x + last)
  changed = np.abs(np.asarray(y) - other).max((0, 2, 3, 4)) > 0
  assert changed.tolist() == [False] * 4 + [True] * 3
  assert y.shape == (1, 7, 3, 3, 8)


def test_a_new_block_is_its_shortcut():
  x = jax.nn.relu(jax.random.normal(jax.random.key(0), (1, 2, 4, 4, 8)))
  output, _ = jax.jit(lambda x: Block(8).init_with_output(jax.random.key(0), x, False))(x)
  np.testing.assert_array_equal(output, x)


def test_frozen_statistics():
  """With "all_but_first" the stem's statistics alone move."""
  clip = jax.random.normal(jax.random.key(0), (1, 1, 32, 32, 3))
  network = X3D(0.2, 0.5, frozen_bn="all_but_first")

  @jax.jit
  def run(clip):
    variables = network.init(jax.random.key(0), clip, False)
    changed = network.apply(variables, clip, True, mutable=["batch_stats"])[1]["batch_stats"]
    return jax.tree.map(lambda a, b: jnp.any(a != b), changed, variables["batch_stats"])

  moves = {path for path, leaf in flatten_dict(run(clip), sep="/").items() if leaf}
  assert moves == {"stem/bn/mean", "stem/bn/var"}


def test_what_does_not_fit_is_named():
  clip = jnp.zeros((1, 1, 32, 32, 3))
  with pytest.raises(ConfigError, match=r"depth_factor=0, width_factor=2.0\): both must be positive"):
    X3D(0).init(jax.random.key(0), clip, False)
  with pytest.raises(ConfigError, match="has no site"):
    X3D(inserts=(Insert(TSM(), "before", stages=(6,)),)).init(jax.random.key(0), clip, False)
