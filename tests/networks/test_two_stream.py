"""Two streams: their average, a loss on each, and checkpoints of one network in both."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.weights.released import filled, fresh, resnet
from vidjax.analyse.gradcam import cell_centres, grad_cam, map_names
from vidjax.apply.forward import forward
from vidjax.backbones.resnet import MiniResNet, ResNet
from vidjax.errors import ConfigError, InputError
from vidjax.evaluate.views import average
from vidjax.inputs.flow import Flow
from vidjax.inputs.one_frame import OneFrame
from vidjax.inputs.pwtp import PWTP
from vidjax.inputs.rgb_difference import RGBDifference
from vidjax.losses.classification import CrossEntropy
from vidjax.losses.projection import Projection
from vidjax.networks.recognizer import Recognizer
from vidjax.networks.two_stream import TwoStream
from vidjax.types import Output, Scores
from vidjax.weights.load import load_weights

MINI = MiniResNet(widths=(4, 4, 4, 4))
RGB = Recognizer(MINI, 3, OneFrame(3))
DIFFERENCE = Recognizer(MINI, 3, RGBDifference(3))


def softmax(x):
  return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def init(network, clips):
  """Random variables, without the time that the network's own `init` takes."""
  shapes, rng = jax.eval_shape(lambda: network.init(jax.random.key(0), clips, False)), np.random.default_rng(0)
  return jax.tree.map(lambda x: rng.uniform(0.05, 0.2, x.shape).astype(x.dtype), shapes)


@pytest.fixture(scope="module")
def clips():
  return jax.random.normal(jax.random.key(1), (2, 6, 16, 20, 3))


@pytest.mark.parametrize("fusion", ["softmax", "logits"])
def test_scores_are_the_weighted_mean_of_the_streams_alone(clips, fusion):
  network = TwoStream((RGB, DIFFERENCE), 3, (1.0, 1.5), fusion)
  variables = init(network, clips)
  output = jax.jit(lambda v: network.apply(v, clips, False))(variables)
  parts = []
  for name, stream in (("spatial", RGB), ("temporal", DIFFERENCE)):
    own = {kind: variables[kind][name] for kind in variables if name in variables[kind]}
    parts.append(jax.jit(lambda v, stream=stream: stream.apply(v, clips, False))(own))
    np.testing.assert_allclose(output.aux[f"{name}_logits"], parts[-1].logits, rtol=1e-5, atol=1e-7)
    assert output.aux[f"{name}_frame_logits"].shape == (2, 2, 3)
  before = [np.float64(part.logits) for part in parts]
  of = softmax if fusion == "softmax" else lambda x: x
  ours = of(np.float64(output.logits))
  np.testing.assert_allclose(ours, 0.4 * of(before[0]) + 0.6 * of(before[1]), rtol=1e-5, atol=1e-7)
  np.testing.assert_allclose(output.features, np.concatenate([part.features for part in parts], -1), rtol=1e-5)


class Fixed(nn.Module):
  """Scores as given, at a learnt temperature."""

  logits: tuple[float, ...]

  @nn.compact
  def __call__(self, clips, train):
    scores = jnp.array([self.logits]).repeat(len(clips), 0) * self.param("scale", nn.initializers.ones, ())
    return Output(scores, scores)


@pytest.mark.parametrize("weights", [(1.0, 1.0), (1.0, 0.0)])
@pytest.mark.parametrize("fusion", ["softmax", "logits"])
def test_softmax_scores_are_averaged_as_evaluate_averages_runs(fusion, weights):
  """Also where a stream is sure of itself, or counts for nothing; gradients are finite."""
  network = TwoStream((Fixed((300.0, 0.0, 0.0)), Fixed((0.0, 3.0, 3.0))), 3, weights, fusion)
  clips = jnp.zeros((1, 1, 1, 1, 3))
  variables = network.init(jax.random.key(0), clips, False)
  logits = network.apply(variables, clips, False).logits
  if fusion == "softmax":
    members = [Scores(np.arange(1), np.zeros(1, int), softmax(np.array([x.logits]))) for x in network.streams]
    mean = average(members if weights == (1.0, 1.0) else members[:1]).scores
    np.testing.assert_allclose(softmax(np.float64(logits)), mean, atol=1e-5)
  else:
    np.testing.assert_allclose(logits, [[150, 1.5, 1.5] if weights == (1.0, 1.0) else [300, 0, 0]], atol=1e-4)
  if weights == (1.0, 0.0):
    np.testing.assert_allclose(logits, [[300, 0, 0]], atol=1e-4)
  slopes = jax.grad(lambda v: network.apply(v, clips, False).logits[0, 1])(variables)
  assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(slopes))


def test_streams_that_are_sure_of_a_class_still_have_evidence_for_it():
  """The logarithm of a score of 1 is flat; Grad-CAM's gradients are those of the streams' logits."""
  network, clips = TwoStream((Fixed((40.0, 0.0, 0.0)), Fixed((60.0, 3.0, 3.0))), 3), jnp.zeros((1, 1, 1, 1, 3))
  variables = network.init(jax.random.key(0), clips, False)
  slopes = jax.grad(lambda v: network.apply(v, clips, False).logits[0, 0])(variables)["params"]
  np.testing.assert_allclose([slopes[name]["scale"] for name in ("spatial", "temporal")], [20, 30], rtol=1e-5)


def test_one_instance_for_both_streams_shares_nothing(clips):
  shapes = jax.eval_shape(lambda: TwoStream((RGB, RGB), 3).init(jax.random.key(0), clips, False))
  assert set(shapes["params"]) == {"spatial", "temporal"}


def test_a_loss_on_each_stream_trains_it_alone(clips):
  network = TwoStream((RGB, DIFFERENCE), 3)
  variables = init(network, clips)
  batch = {"label": np.array([0, 2]), "mask": np.array([True, True])}
  loss = CrossEntropy(of="temporal_logits", name="temporal")

  def value(params):
    output, _ = forward(network, {**variables, "params": params}, clips, False)
    return loss(output, batch)["temporal"]

  grads = jax.jit(jax.grad(value))(variables["params"])
  sizes = {name: max(np.abs(x).max() for x in jax.tree.leaves(grads[name])) for name in grads}
  assert sizes["spatial"] == 0 < sizes["temporal"]


def test_errors_of_projections_in_either_stream_are_added(clips):
  network = TwoStream((Recognizer(MINI, 3, PWTP(3, kernel=3)), Recognizer(MINI, 3, PWTP(6, kernel=3))), 3)
  output, _ = jax.jit(lambda v: forward(network, v, clips, False))(init(network, clips))
  assert len(output.aux["enopr"]) == 2
  loss = Projection("enopr")(output, {"mask": np.array([True, True])})["projection"]
  np.testing.assert_allclose(loss, np.mean(output.aux["enopr"][0] + output.aux["enopr"][1]), rtol=1e-6)


def test_an_imagenet_checkpoint_fills_both_streams():
  streams = (
    Recognizer(ResNet(18, width=8), 5, OneFrame(3)),
    Recognizer(ResNet(18, width=8), 5, Flow(3, levels=1, warps=1, iterations=1)),
  )
  network = TwoStream(streams, 5)
  tensors = filled(resnet((2, 2, 2, 2), 8, bottleneck=False, classes=5))
  variables, report = load_weights(fresh(network, size=32, frames=3), tensors, network=network)
  assert set(report.loaded.values()) == {name for name in tensors if "num_batches" not in name}
  assert not report.new
  params = variables["params"]
  np.testing.assert_array_equal(
    params["spatial"]["backbone"]["res2"]["block0"]["conv1"]["kernel"],
    params["temporal"]["backbone"]["res2"]["block0"]["conv1"]["kernel"],
  )
  stem = params["temporal"]["backbone"]["stem"]["conv"]["kernel"]
  assert stem.shape[-2] == 4
  np.testing.assert_allclose(stem[..., 3, :], params["spatial"]["backbone"]["stem"]["conv"]["kernel"].mean(-2))


def test_grad_cam_explains_each_stream(clips):
  network = TwoStream((RGB, DIFFERENCE), 3)
  variables = init(network, clips)
  maps = grad_cam(network, variables, clips, np.array([0, 2]))
  assert [x.shape[:2] for x in maps] == [(2, 2), (2, 2)]
  assert len(cell_centres(network, clips.shape)) == 2
  assert map_names(network, clips.shape) == ("spatial", "temporal")
  assert map_names(RGB, clips.shape) == ("",)


def test_one_frame_of_every_segment(clips):
  np.testing.assert_array_equal(OneFrame(3).apply({}, clips, False), clips[:, ::3])
  np.testing.assert_array_equal(OneFrame(3, 2).apply({}, clips, False), clips[:, 2::3])


@pytest.mark.parametrize(
  ("module", "error", "message"),
  [
    (TwoStream((RGB,), 3), ConfigError, r"TwoStream\(streams=.* must be a tuple of two networks"),
    (
      TwoStream((RGB, DIFFERENCE), 3, (1.0, -1.0)),
      ConfigError,
      r"weights=\(1.0, -1.0\)\) at the top: must be two finite numbers from 0 on, not both 0",
    ),
    (TwoStream((RGB, DIFFERENCE), 3, (0.0, 0.0)), ConfigError, "not both 0"),
    (TwoStream((RGB, DIFFERENCE), 3, fusion="max"), ConfigError, "fusion='max'.*one of softmax, logits"),
    (TwoStream((RGB, DIFFERENCE), 3, (1.0,)), ConfigError, "must be two"),
    (TwoStream((RGB, Recognizer(MINI, 4)), 3), ConfigError, r"temporal stream Recognizer gives.*\(2, 4\).*3 classes"),
    (TwoStream((MINI, RGB), 3), ConfigError, "spatial stream MiniResNet gives no Output"),
    (TwoStream((RGB, Recognizer(MINI, 3, PWTP(4))), 3), InputError, "temporal/representation: 6 frames"),
    (OneFrame(3, 3), ConfigError, "number=3.* the number must be under the frames, 2 at most"),
    (OneFrame(4), InputError, "6 frames do not make whole segments of 4"),
  ],
)
def test_bad_input(module, error, message, clips):
  with pytest.raises(error, match=message):
    jax.eval_shape(lambda: module.init(jax.random.key(0), clips, False))


def test_a_loss_of_scores_nobody_makes_names_those_there_are():
  output = Output(jnp.zeros((1, 2)), jnp.zeros((1, 2)), {"spatial_logits": jnp.zeros((1, 2))})
  with pytest.raises(ConfigError, match=r"aux\['flow_logits'\].*provides: spatial_logits"):
    CrossEntropy(of="flow_logits")(output, {"label": np.array([0]), "mask": np.array([True])})
