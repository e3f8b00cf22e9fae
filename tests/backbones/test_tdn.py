import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from vidjax.backbones.resnet import MiniResNet, ResNet
from vidjax.backbones.tdn import TDN, between_segments
from vidjax.errors import InputError
from vidjax.networks.recognizer import Recognizer
from vidjax.weights.export import torch_tensors
from vidjax.weights.load import load_weights

MINI = MiniResNet(widths=(8, 8, 8, 8))
CLIP = jax.random.normal(jax.random.key(1), (1, 10, 32, 32, 3))
MIDDLE = CLIP[:, 2::5]


@functools.cache
def variables():
  """Random ones, without compiling the initialisation."""
  shapes = flatten_dict(jax.eval_shape(lambda: TDN(MINI, reduction=4).init(jax.random.key(0), CLIP, False)))
  rng = np.random.default_rng(0)
  he = {path: rng.normal(size=x.shape) / np.prod(x.shape[:-1]) ** 0.5 for path, x in shapes.items()}
  scales = {path: np.ones(x.shape) for path, x in shapes.items() if path[-1] in ("scale", "var")}
  return unflatten_dict({path: jnp.float32(x) for path, x in {**he, **scales}.items()})


def test_without_differences_it_is_the_resnet_of_the_middle_frames():
  @jax.jit
  def run(variables):
    inner = {kind: tree["frames"] for kind, tree in variables.items()}
    plain = MINI.copy(inserts=between_segments(4, (3, 4))).apply(inner, MIDDLE, False)
    return TDN(MINI, share=0.0, reduction=4).apply(variables, CLIP, False), plain

  np.testing.assert_allclose(*run(variables()), rtol=1e-4, atol=1e-5)


def test_differences_alone():
  """They see every frame of a segment, no brightness, and nothing where nothing moves."""
  still = jnp.repeat(MIDDLE, 5, axis=1)
  clips = jnp.concatenate([CLIP, CLIP + 0.5, still, still[:, ::-1] * 2])

  @jax.jit
  def run(clips):
    output, pullback = jax.vjp(lambda x: TDN(MINI, share=1.0, reduction=4).apply(variables(), x, False), clips)
    return output, pullback(output)[0]

  output, gradient = run(clips)
  np.testing.assert_allclose(output[1], output[0], rtol=1e-3, atol=1e-4)
  np.testing.assert_allclose(output[3], output[2], rtol=1e-3, atol=1e-4)
  assert np.abs(output[2] - output[0]).max() > 0.01
  assert (np.abs(gradient[0]).max((1, 2, 3)) > 0).all()


def test_size_of_the_whole_network():
  """ResNet-50 for 174 classes, a second stem of 12 channels, a second res2, LTDM and shift in thirteen blocks."""
  shape = jax.ShapeDtypeStruct((1, 40, 224, 224, 3), jnp.float32)
  network = Recognizer(TDN(), 174)
  params = jax.eval_shape(lambda x: network.init(jax.random.key(0), x, False), shape)["params"]
  differences = 12 * 64 * 49 + 128 + 215_808  # convolution and BN of the stem, res2

  def long_term(channels):
    hidden = channels // 16
    ltdm = 2 * channels * hidden + 9 * hidden + 2 * 9 * hidden**2 + 3 * 2 * hidden + 2 * channels
    return ltdm + 3 * channels

  blocks = 4 * long_term(128) + 6 * long_term(256) + 3 * long_term(512)
  assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 23_864_558 + differences + blocks


def test_an_imagenet_checkpoint_fills_both_paths():
  """The differences' first kernel has the mean over the colours in each of its twelve channels, as released."""
  network = Recognizer(TDN(ResNet(18, 8)), 5)
  wanted = jax.eval_shape(lambda: network.init(jax.random.key(0), CLIP, False))
  plain = jax.eval_shape(lambda: Recognizer(ResNet(18, 8), 5).init(jax.random.key(0), CLIP, False))
  rng = np.random.default_rng(0)
  plain = jax.tree.map(lambda leaf: rng.uniform(0.5, 1.5, leaf.shape).astype("float32"), plain)
  values = flatten_dict(plain)
  tensors = torch_tensors(plain)
  fresh = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), wanted)
  loaded, _ = load_weights(fresh, tensors, network=network)
  flat = flatten_dict(loaded, sep="/")
  stem = values["params", "backbone", "stem", "conv", "kernel"]
  np.testing.assert_array_equal(flat["params/backbone/frames/stem/conv/kernel"], stem)
  expected = np.repeat(stem.mean(2, keepdims=True), 12, axis=2)
  np.testing.assert_allclose(flat["params/backbone/differences/stem/conv/kernel"], expected, rtol=1e-5)
  for path in ("frames", "differences"):
    kernel = flat[f"params/backbone/{path}/res2/block1/conv2/kernel"]
    np.testing.assert_array_equal(kernel, values["params", "backbone", "res2", "block1", "conv2", "kernel"])


@pytest.mark.parametrize(
  ("module", "shape", "message"),
  [
    (TDN(MINI), (1, 8, 32, 32, 3), r"TDN.*\[B, 5 S, H, W, C\].*sample 5 frames a segment"),
    (TDN(MINI), (2, 32, 32, 3), r"TDN.*takes clips"),
    (TDN(MINI, frames_per_segment=4), (1, 8, 32, 32, 3), r"frames_per_segment=4.*odd number"),
    (TDN(MINI, share=2.0), (1, 5, 32, 32, 3), r"share=2.0"),
    (TDN(TDN(MINI)), (1, 5, 32, 32, 3), r"TDN\(backbone=TDN\): takes ResNet"),
  ],
)
def test_bad_input(module, shape, message):
  with pytest.raises(InputError, match=message):
    jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(shape), False))
