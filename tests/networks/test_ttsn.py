import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.apply.forward import forward
from vidjax.backbones.resnet import MiniResNet, ResNet
from vidjax.errors import InputError
from vidjax.networks.recognizer import Recognizer
from vidjax.networks.ttsn import TTSN
from vidjax.plugins.ett import ETT

CLIPS = jax.random.normal(jax.random.key(1), (4, 3, 2, 2, 6))


class Same(nn.Module):
  """A backbone that does nothing."""

  def __call__(self, x, train):
    return x


def small(**more):
  return TTSN(Same(), 5, tss_width=8, **{"ett": ETT(2), **more})


@functools.cache
def variables(network):
  return jax.jit(functools.partial(network.init, train=False))(jax.random.key(0), CLIPS)


@functools.cache
def trained(network):
  run = jax.jit(lambda v, key: forward(network, v, CLIPS, True, {"dropout": key})[0])
  return functools.partial(run, variables(network))


def dense(params, x):
  return x @ np.asarray(params["kernel"], np.float64) + np.asarray(params["bias"], np.float64)


def head_by_hand(network, x):
  """Scores of sequences `[B, N, c]`."""
  params = variables(network)["params"]["reversal_head"]
  if network.tss_head == "clip":
    x = x.reshape(len(x), -1)
    for i in range(2):
      x = np.maximum(dense(params[f"layer{i}"], x), 0)
  else:
    for i in range(4):
      x = dense(params[f"layer{i}"], x)
  return dense(params["scores"], x)


@pytest.mark.parametrize("head", ["clip", "frame"])
@pytest.mark.parametrize("way", ["AA", "RA", "AR", "RR"])
def test_ways_of_table_1(way, head):
  """Which clips run backwards is what `reversed` says, and of a random channel the scores are those of one of them."""
  network = small(tss=way, tss_head=head)
  means = np.asarray(CLIPS, np.float64).mean((2, 3))
  drawn = []
  for seed in range(4):
    aux = jax.tree.map(np.asarray, trained(network)(jax.random.key(seed)).aux)
    label, scores = aux["reversed"], aux["reversal_logits"]
    assert label.sum() == (4 if way[0] == "A" else 2)
    sequences = np.where(label[:, None, None] == 1, means[:, ::-1], means)
    channels = [slice(None)] if way[1] == "A" else [slice(c, c + 1) for c in range(6)]
    options = np.stack([head_by_hand(network, sequences[..., c]) for c in channels])
    distance = np.abs(options - scores).max(tuple(range(2, options.ndim)))
    assert (distance.min(0) < 1e-4).all()
    drawn.append((*label, *distance.argmin(0)))
  assert len(set(drawn)) > 1 or way == "AA"


def test_golden_frame_head(shared_golden):
  golden = np.load(shared_golden / "ttsn_equations.npz")
  layers = [golden["tss_W0"], *golden["tss_W123"], golden["tss_W4"]]
  biases = [golden["tss_b0"], *golden["tss_b123"], golden["tss_b4"]]
  names = ("layer0", "layer1", "layer2", "layer3", "scores")
  head = {n: {"kernel": w.T, "bias": b} for n, w, b in zip(names, layers, biases, strict=True)}
  network = TTSN(Same(), 5, ett=None, tss_head="frame", tss_width=12)
  clips = jnp.moveaxis(jnp.asarray(golden["X"]), 2, -1)
  judge = jax.jit(lambda channel: network.apply({"params": {"reversal_head": head}}, clips, channel, method="reversal"))
  as_they_are, backwards = judge(golden["tss_channel"])
  scores = np.stack([as_they_are[0], backwards[1]])  # the second clip is the selected one
  expected = golden["tss_logits_per_frame"].reshape(2, 6, 2)
  np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)


def test_a_head_by_frame_is_blind_to_order():
  """It gives a sequence and its reverse the same scores in another order: half of them are right, always."""
  channel = jnp.arange(4)
  for head, blind in (("frame", True), ("clip", False)):
    network = small(tss_head=head)
    scores = network.apply(variables(network), CLIPS, channel, method="reversal")
    by_score = [np.sort(x.reshape(4, -1, 2), axis=1) for x in scores]
    assert np.allclose(*by_score, rtol=1e-5, atol=1e-6) == blind


def test_evaluation_is_that_of_ett_and_needs_no_parameters_of_tss():
  network = small()
  everything = variables(network)["params"]
  assert set(everything) == {"classifier", "ett", "reversal_head"}
  params = {name: jax.tree.map(lambda x: x + 0.1, everything[name]) for name in ("classifier", "ett")}
  output = jax.jit(lambda p: network.apply({"params": p}, CLIPS, False))(params)
  assert set(output.aux) == {"frame_logits"}
  x = np.asarray(ETT(2).apply({"params": params["ett"]}, CLIPS, False))
  frames = dense(params["classifier"], x.mean((2, 3)))
  np.testing.assert_allclose(output.aux["frame_logits"], frames, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(output.logits, frames.mean(1), rtol=1e-4, atol=1e-5)
  plain, recognizer = small(ett=None, tss=None), Recognizer(Same(), 5)
  head = {"params": {"classifier": params["classifier"]}}
  for field in ("logits", "features"):
    outputs = [getattr(net.apply(head, CLIPS, False), field) for net in (plain, recognizer)]
    np.testing.assert_array_equal(*outputs)


def test_tss_reads_the_map_before_ett():
  """Eq. 7 has the backbone and its own classifier, no ETT: its loss leaves ETT and the action classifier alone."""
  network = small()

  def loss(params):
    output, _ = forward(network, {"params": params}, CLIPS, True, {"dropout": jax.random.key(3)})
    return (output.aux["reversal_logits"] ** 2).sum()

  gradient = jax.jit(jax.grad(loss))(variables(network)["params"])
  sizes = {name: max(np.abs(x).max() for x in jax.tree.leaves(tree)) for name, tree in gradient.items()}
  assert sizes["ett"] == sizes["classifier"] == 0 < sizes["reversal_head"]


@pytest.mark.parametrize(("frames", "ett"), [(8, 2_401_025), (16, 2_702_081)])
@pytest.mark.parametrize("head", ["frame", "clip"])
def test_sizes_of_table_5(head, frames, ett):
  """TSS prints 12.59 M, that of the three square layers; l is 12544."""
  network = TTSN(ResNet(50), 51, tss_head=head)
  clips = jax.ShapeDtypeStruct((1, frames, 224, 224, 3), jnp.float32)
  params = jax.eval_shape(functools.partial(network.init, train=False), jax.random.key(0), clips)["params"]
  size = {name: sum(x.size for x in jax.tree.leaves(tree)) for name, tree in params.items()}
  assert size["ett"] == ett
  _, _, height, width, channels = params["ett"]["positions"].shape
  assert height * width * channels == 12544
  square = 2048 * 2049
  ends = 2048 * (2 + 2) + 2 if head == "frame" else 2048 * (frames + 1 + 2) + 2
  assert size["reversal_head"] == (3 if head == "frame" else 1) * square + ends
  assert 3 * square == 12_589_056
  assert size["backbone"] == 23_508_032


def draw(network, shape):
  clips = jnp.zeros(shape)
  jax.eval_shape(lambda: network.init({"params": jax.random.key(0), "dropout": jax.random.key(1)}, clips, True))
  own = jax.eval_shape(functools.partial(network.init, train=False), jax.random.key(0), CLIPS)
  jax.eval_shape(lambda v: network.apply(v, clips, True, rngs={"dropout": jax.random.key(0)}), own)


@pytest.mark.parametrize(
  ("more", "shape", "message"),
  [
    (
      {"tss": None},
      (4, 5, 2, 2, 6),
      r"ETT at ett on 4x5x2x2x6 has position encodings for 3 frames.*use clips of that size",
    ),
    ({"ett": None}, (4, 5, 2, 2, 6), r"TSS was initialised for clips of another number of frames than 5: use clips of"),
    ({}, (4, 1, 2, 2, 6), "one frame has no order to reverse; sample 2 or more, or set tss=None"),
    ({}, (1, 3, 2, 2, 6), r"TTSN\(tss='RR'\) reverses half of a batch: train with 2 clips or more, or AA or AR"),
    ({"tss": "RA"}, (1, 3, 2, 2, 6), r"TTSN\(tss='RA'\) reverses half"),
    ({}, (3, 2, 2, 6), r"TTSN at the top takes clips \[B, T, H, W, C\]"),
    ({"tss": "RX"}, (4, 3, 2, 2, 6), r"tss='RX'\) at the top: must be one of AA, RA, AR, RR or None"),
    ({"tss_head": "mlp"}, (4, 3, 2, 2, 6), r"tss_head='mlp'\) at the top: must be one of clip, frame"),
    ({"dropout": 1.0}, (4, 3, 2, 2, 6), r"dropout=1.0"),
  ],
)
def test_bad_input(more, shape, message):
  with pytest.raises(InputError, match=message):
    draw(small(**more), shape)


def test_a_single_clip_where_all_are_reversed_and_a_single_frame_without_tss():
  draw(small(tss="AR"), (1, 3, 2, 2, 6))
  network = small(tss=None, ett=ETT(2, position_sets=0))
  assert network.apply(variables(network), CLIPS[:, :1], False).logits.shape == (4, 5)
  with pytest.raises(InputError, match="this network has no TSS"):
    network.apply(variables(network), CLIPS, jnp.zeros(4, int), method="reversal")


def test_on_a_backbone_with_an_odd_number_of_frames():
  network = TTSN(MiniResNet(widths=(4, 4, 4, 4)), 5, tss_width=8)
  clips = jax.ShapeDtypeStruct((2, 5, 16, 16, 3), jnp.float32)
  shapes = jax.eval_shape(functools.partial(network.init, train=False), jax.random.key(0), clips)
  rngs = {"dropout": jax.random.key(0)}
  output, _ = jax.eval_shape(lambda v, x: network.apply(v, x, True, rngs=rngs, mutable=["batch_stats"]), shapes, clips)
  assert output.aux["reversal_logits"].shape == (2, 2)
