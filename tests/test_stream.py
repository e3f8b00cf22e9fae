"""Networks that read frame by frame: the scores of whole clips, the released block, and what cannot stream."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vidjax
from configs import quickstart, tsm
from tests.tiny_run import make_run, write_data
from vidjax.apply.stream import check_streams, start, step
from vidjax.backbones.mobilenet import InvertedResidual
from vidjax.backbones.resnet import MiniResNet
from vidjax.errors import ConfigError, InputError
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert
from vidjax.plugins.tim import TIM
from vidjax.plugins.tsm import TSM

PAST = Insert(TSM(4, bidirectional=False), "before")
CLIP = np.random.default_rng(0).normal(size=(2, 5, 16, 16, 3)).astype("float32")


def started(network, clip=CLIP):
  variables = jax.jit(network.init, static_argnums=2)(jax.random.key(0), clip, False)
  rng = np.random.default_rng(1)
  return jax.tree.map(lambda x: x + rng.uniform(-0.1, 0.1, x.shape).astype("float32"), variables)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_frame_by_frame_is_the_whole_clip(dtype):
  """After each frame the scores are those of the clip that ends there."""
  network = Recognizer(MiniResNet((4, 4, 4, 4), (PAST,)), 3)
  variables = started(network)
  memory = start(network, variables, CLIP[:, 0], dtype)
  one = jax.jit(lambda v, m, x: step(network, v, m, x, jnp.dtype(dtype)))
  whole = jax.jit(lambda v, x: network.apply(v, x, False).aux["frame_logits"])(variables, CLIP)
  for number in range(5):
    scores, memory = one(variables, memory, CLIP[:, number])
    expected = np.asarray(whole[:, : number + 1]).mean(1)
    np.testing.assert_allclose(scores, expected, atol=1e-5 if dtype == "float32" else 0.03)
  assert int(memory.frames) == 5
  sizes = sum(leaf.nbytes for leaf in jax.tree.leaves(memory.stream))
  assert sizes == 4 * 2 * (8 * 8 + 8 * 8 + 4 * 4), "one of four channels ahead of each block, nothing else"


def test_the_released_block_frame_by_frame(shared_golden):
  golden = np.load(shared_golden / "mbv2_tsm_block.npz")
  clip, expected = (np.moveaxis(golden[name], 1, -1)[None] for name in ("x", "y_online_unidirectional"))
  block = InvertedResidual(16, inserts=(Insert(TSM(bidirectional=False), "before"),))
  layers = {"conv1": 0, "bn1": 1, "conv2": 3, "bn2": 4, "conv3": 6, "bn3": 7}
  params, stats = {}, {}
  for name, number in layers.items():
    weight = golden[f"w/conv.{number}.weight"]
    if name.startswith("conv"):
      params[name] = {"kernel": np.transpose(weight, (2, 3, 1, 0))}
    else:
      params[name] = {"scale": weight, "bias": golden[f"w/conv.{number}.bias"]}
      stats[name] = {key: golden[f"w/conv.{number}.running_{key}"] for key in ("mean", "var")}
  memory, frames = {}, []
  for number in range(clip.shape[1]):
    given = {"params": params, "batch_stats": stats, **({"stream": memory} if memory else {})}
    y, changed = block.apply(given, clip[:, number : number + 1], False, mutable=["stream"])
    memory = changed["stream"]
    frames.append(y)
  np.testing.assert_allclose(np.concatenate(frames, 1), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
  ("network", "message"),
  [
    (Recognizer(MiniResNet((4, 4, 4, 4), (Insert(TSM(4), "before"),)), 3), "reads the next frame, which a stream"),
    (Recognizer(MiniResNet((4, 4, 4, 4), (Insert(TIM(4), "before"),)), 3), "has other scores frame by frame"),
    (Recognizer(MiniResNet((4, 4, 4, 4)), 3, consensus="features"), "has no scores of single frames"),
  ],
)
def test_what_cannot_stream(network, message):
  variables = started(network)
  with pytest.raises((ConfigError, InputError), match=message):
    check_streams(network, variables, CLIP.shape[2:], jnp.float32)


def test_the_config_shifts_from_the_past():
  sites = tsm.get_config("ssv1,shift=past").model.backbone.inserts[0]
  assert sites["module"]["bidirectional"] is False
  assert tsm.get_config("kinetics400,backbone=mobilenet_v2,shift=past").model.backbone.inserts[0]["blocks"] == (1, 2, 3)
  with pytest.raises(ValueError, match="no shift: leave shift out"):
    tsm.get_config("ssv1,backbone=x3d_m,shift=past")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
  root = tmp_path_factory.mktemp("stream")
  write_data(root / "data")
  return root


def past(config):
  config.model.backbone["inserts"][0]["module"]["bidirectional"] = False
  return config


def test_a_run_reads_a_film_frame_by_frame(world):
  """After the eight frames of a clip the scores are those of `predict` on it; a reset forgets them."""
  model = make_run(world / "run", world / "data", config=past(quickstart.get_config())) and vidjax.open_run(
    world / "run"
  )
  clip = model.predict(world / "data" / "films" / "3.mp4")
  stream = model.stream()
  first = stream.push(clip.shown[0])
  for frame in clip.shown[1:]:
    scores = stream.push(frame)
  np.testing.assert_allclose(scores, clip.scores, atol=1e-5)
  assert stream.class_names == clip.class_names
  stream.reset()
  np.testing.assert_allclose(stream.push(clip.shown[0]), first, atol=1e-6)
  with pytest.raises(InputError, match=r"give uint8 RGB \[H, W, 3\]"):
    stream.push(clip.shown)


def test_a_run_that_looks_ahead_does_not(world):
  make_run(world / "ahead", world / "data")
  with pytest.raises(ConfigError, match="shift=past"):
    vidjax.open_run(world / "ahead").stream()
