import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.apply.forward import forward
from vidjax.backbones.resnet import MiniResNet, ResNet
from vidjax.errors import ConfigError, InputError
from vidjax.networks.attentive import AttentivePooler
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM
from vidjax.weights.load import load_weights


def test_golden_tsm_resnet50_of_width_8(shared_golden):
  """The released TSM network: its weights, its per-frame and per-clip scores, its features after each stage."""
  golden = np.load(shared_golden / "tsm_r50_w8.npz")
  batch, stacked, height, width = golden["x_int8"].shape
  clips = golden["x_int8"].reshape(batch, stacked // 3, 3, height, width) * golden["x_scale"]
  clips = jnp.moveaxis(jnp.asarray(clips), 2, -1)
  network = Recognizer(ResNet(50, width=8, inserts=(Insert(TSM(), "before"),)), num_classes=7)
  tensors = {key[2:]: golden[key] for key in golden if key.startswith("w/")}
  wanted = jax.eval_shape(functools.partial(network.init, train=False), jax.random.key(0), clips)
  variables, report = load_weights(wanted, tensors, network=network)
  assert sorted(report.loaded.values()) == sorted(tensors)

  def is_stage(module: nn.Module, method: str) -> bool:
    return method == "__call__" and module.path[1:] in {("stem",), ("res2",), ("res3",), ("res4",), ("res5",)}

  run = functools.partial(network.apply, train=False, capture_intermediates=is_stage)
  output, captured = jax.jit(run)(variables, clips)
  stages = captured["intermediates"]["backbone"]
  names = {"stem": "after_maxpool_mean"} | {f"res{i + 1}": f"layer{i}_mean_chw" for i in range(1, 5)}
  checks = {f"act/{name}": stages[stage]["__call__"][0].mean((2, 3)) for stage, name in names.items()}
  checks |= {"frame_logits": output.aux["frame_logits"], "clip_logits": output.logits}
  for name, value in checks.items():
    expected = golden[name]
    error = np.abs(value.reshape(expected.shape) - expected).max() / np.abs(expected).max()
    assert error < 5e-5, f"{name}: relative error {error:.1e}; that of the original is 9e-6"


def test_consensus_is_the_mean_over_frames():
  network = Recognizer(MiniResNet(widths=(4, 4, 4, 4)), num_classes=3)
  clips = jax.random.normal(jax.random.key(0), (2, 3, 16, 16, 3))
  output, variables = network.init_with_output(jax.random.key(0), clips, False)
  _, captured = network.apply(variables, clips, False, mutable=["intermediates"])
  features = np.asarray(captured["intermediates"]["feature_map"][0]).mean((2, 3))
  kernel, bias = (np.asarray(variables["params"]["classifier"][name]) for name in ("kernel", "bias"))
  np.testing.assert_allclose(output.features, features.mean(1), rtol=1e-5)
  np.testing.assert_allclose(output.aux["frame_logits"], features @ kernel + bias, rtol=1e-4, atol=1e-7)
  np.testing.assert_allclose(output.logits, output.aux["frame_logits"].mean(1), rtol=1e-5)


def test_the_representation_comes_first():
  class EveryOther(nn.Module):
    def __call__(self, clips, train):
      return clips[:, ::2]

  network = Recognizer(MiniResNet(widths=(4, 4, 4, 4)), num_classes=3, representation=EveryOther())
  clips = jnp.zeros((2, 5, 16, 16, 3))
  output = jax.eval_shape(lambda: network.init_with_output(jax.random.key(0), clips, False))[0]
  assert output.aux["frame_logits"].shape == (2, 3, 3)


def test_images_are_refused():
  with pytest.raises(InputError, match=r"clips \[B, T, H, W, C\], got the shape \(2, 16, 16, 3\)"):
    Recognizer(MiniResNet(), 3).init(jax.random.key(0), jnp.zeros((2, 16, 16, 3)), False)


def test_a_network_is_no_backbone():
  network = Recognizer(Recognizer(MiniResNet(widths=(2, 2, 2, 2)), num_classes=2), num_classes=2)
  with pytest.raises(ConfigError, match=r"Recognizer\(backbone=Recognizer\): returns Output, not an array"):
    jax.eval_shape(functools.partial(network.init, train=False), jax.random.key(0), jnp.zeros((1, 2, 16, 16, 3)))


def test_without_temporal_modelling_a_clip_and_its_reverse_are_the_same():
  """Hence no such network exceeds 50% on `order`, whose twin classes are each other's reverse."""
  clips = jax.random.normal(jax.random.key(0), (2, 8, 16, 16, 3))
  for inserts, same in (((), True), ((Insert(TSM(), "before"),), False)):
    network = Recognizer(MiniResNet(widths=(8, 8, 8, 8), inserts=inserts), 5)
    variables = jax.eval_shape(lambda net=network: net.init(jax.random.key(1), clips, False))
    variables = jax.tree.map(lambda x: 0.5 + 0.3 * jnp.cos(jnp.arange(x.size)).reshape(x.shape), variables)
    apply = jax.jit(lambda x, net=network, v=variables: net.apply(v, x, False).logits)
    forwards, backwards = apply(clips), apply(clips[:, ::-1])
    assert np.allclose(forwards, backwards, rtol=1e-4) == same


def test_features_are_averaged_over_time_and_classified_once():
  """X3D's head: pool over space and time, a layer with ReLU, the classifier; by hand in NumPy."""
  network = Recognizer(MiniResNet(widths=(4, 4, 4, 4)), num_classes=3, consensus="features", hidden=6)
  clips = jax.random.normal(jax.random.key(0), (2, 3, 16, 16, 3))

  @jax.jit
  def run(clips):
    output, variables = network.init_with_output(jax.random.key(0), clips, False)
    return output, variables["params"], network.apply(variables, clips, False, mutable=["intermediates"])[1]

  output, params, captured = jax.tree.map(np.asarray, run(clips))
  pooled = np.asarray(captured["intermediates"]["feature_map"][0], np.float64).mean((1, 2, 3))
  features = np.maximum(pooled @ params["hidden"]["kernel"], 0)
  assert set(params["hidden"]) == {"kernel"}
  assert (features == 0).any()
  assert (features > 0).any()
  np.testing.assert_allclose(output.features, features, rtol=1e-4, atol=1e-6)
  logits = features @ params["classifier"]["kernel"] + params["classifier"]["bias"]
  np.testing.assert_allclose(output.logits, logits, rtol=1e-4, atol=1e-6)
  assert not output.aux
  with pytest.raises(ConfigError, match=r"consensus='max'\) at the top: must be one of logits, features"):
    Recognizer(MiniResNet(), 3, consensus="max").init(jax.random.key(0), clips, False)  # pyright: ignore
  none, few = (
    r"hidden=0\) at the top: must be an int of at least 1 or None",
    r"num_classes=-1\).* at least 0; leave it out",
  )
  for classes, width, message in ((3, 0, none), (-1, None, few)):
    with pytest.raises(ConfigError, match=message):
      Recognizer(MiniResNet(), classes, hidden=width).init(jax.random.key(0), clips, False)


@pytest.mark.parametrize("pooling", [None, AttentivePooler(2)])
@pytest.mark.parametrize("hidden", [None, 6])
def test_features_are_the_mean_of_those_of_the_frames(pooling, hidden):
  """So that `prepare features` stores one kind of features, by segment or by frame."""
  network = Recognizer(MiniResNet((8, 8, 8, 8)), 3, pooling=pooling, hidden=hidden, pooled_norm=1e-6)
  clips = jax.random.normal(jax.random.key(0), (2, 4, 16, 16, 3))
  output, _ = forward(network, network.init(jax.random.key(1), clips, False), clips, False)
  [frames] = output.take("frame_features")
  assert frames.shape == (2, 4, hidden or 8)
  np.testing.assert_allclose(frames.mean(1), output.features, atol=1e-6)
