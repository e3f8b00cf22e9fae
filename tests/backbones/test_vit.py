"""The vision transformer against NumPy, its prefix of tokens, positions of other grids, and what it refuses."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf

from vidjax.analyse.gradcam import grad_cam
from vidjax.analyse.point import rows_of_point, sites
from vidjax.backbones.released_vits import clip, dinov2, imagenet, siglip, timesformer, videomae, vjepa2
from vidjax.backbones.transformer import Sequence, TransformerBlock
from vidjax.backbones.vit import ViT
from vidjax.errors import ConfigError, InputError
from vidjax.networks.attentive import AttentivePooler
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert, Inside
from vidjax.plugins.tsm import TSM, tokshift

TINY = functools.partial(ViT, width=8, depth=4, heads=2, patch=4, grid=(3, 2, 2))
CLIP = np.random.default_rng(0).normal(size=(2, 3, 8, 8, 3)).astype("float32")
WHOLE = {"attention": "joint", "class_token": False, "pool": "mean"}


def moved(variables):
  rng = np.random.default_rng(1)
  return jax.tree.map(lambda x: x + rng.normal(0, 0.3, x.shape).astype("float32"), variables)


def started(network, x):
  return moved(jax.jit(network.init, static_argnums=2)(jax.random.key(0), x, False))


def dense(p, x):
  return x @ np.asarray(p["kernel"], np.float64) + np.asarray(p.get("bias", 0.0), np.float64)


def norm(p, x):
  x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
  return x * np.asarray(p["scale"], np.float64) + np.asarray(p["bias"], np.float64)


def attention(p, x, heads=2):
  """softmax(Q K^T / sqrt(d)) V of `[N, D]`, head by head."""
  query, key, value = (dense(p[name], x) for name in ("query", "key", "value"))
  parts = []
  for channels in np.split(np.arange(x.shape[-1]), heads):
    weights = np.exp(query[:, channels] @ key[:, channels].T / np.sqrt(len(channels)))
    parts.append(weights / weights.sum(-1, keepdims=True) @ value[:, channels])
  return dense(p["out"], np.concatenate(parts, -1))


def mlp(p, x):
  x = dense(p["wide"], x)
  return dense(p["narrow"], x * (1 + erf(x / np.sqrt(2))) / 2)


def expected_block(kind, p, prefix, grid):
  """One clip: the prefix `[T or 1, P, D]` and the grid `[T, N, D]` by the papers' equations, token by token."""
  frames, places, _ = grid.shape
  if kind == "divided":  # TimeSformer Eq. 8-10
    for n in range(places):
      time = attention(p["time_attention"], norm(p["time_norm"], grid[:, n]))
      grid[:, n] = grid[:, n] + dense(p["time_out"], time)
    sequences = [np.concatenate([prefix[0], grid[t]]) for t in range(frames)]
    y = np.stack([attention(p["attention"], norm(p["norm1"], x)) for x in sequences])
    prefix, grid = prefix + y[:, :1].mean(0, keepdims=True), grid + y[:, 1:]
    x = np.concatenate([prefix[0], grid.reshape(frames * places, -1)])[None]
  elif kind == "joint":
    x = np.concatenate([prefix[0], grid.reshape(frames * places, -1)])[None]
    x = x + attention(p["attention"], norm(p["norm1"], x[0]))
  else:
    x = np.concatenate([prefix, grid], axis=1)
    if kind == "reused":  # AIM's temporal pass, without its adapter
      for n in range(1 + places):
        x[:, n] = x[:, n] + attention(p["attention"], norm(p["norm1"], x[:, n]))
    x = x + np.stack([attention(p["attention"], norm(p["norm1"], frame)) for frame in x])
  return x + mlp(p, norm(p["norm2"], x))


@pytest.mark.parametrize("kind", ["frame", "joint", "divided", "reused"])
def test_a_block_is_its_equations(kind):
  rng = np.random.default_rng(2)
  groups = 3 if kind in ("frame", "reused") else 1
  prefix, grid = rng.normal(size=(groups, 1, 8)), rng.normal(size=(3, 4, 8))
  x = np.concatenate([prefix, grid.reshape(groups, -1, 8)], axis=1)
  tokens = Sequence(jnp.asarray(x, jnp.float32)[None], (3, 2, 2), 1)
  block = TransformerBlock(2, 16, kind)
  variables = started(block, tokens)
  found = block.apply(variables, tokens, False).x[0]
  np.testing.assert_allclose(found, expected_block(kind, variables["params"], prefix, grid), rtol=2e-4, atol=2e-4)


def test_layer_scale_multiplies_both_branches_and_drop_path_keeps_their_mean():
  tokens = Sequence(jnp.ones((400, 1, 4, 8)) * jnp.arange(8.0).reshape(1, 1, 1, 8), (1, 2, 2), 0)
  block = TransformerBlock(2, 16, layer_scale=0.5)
  variables = started(block, tokens)
  plain = TransformerBlock(2, 16)
  params = dict(variables["params"])
  scales = {name: params.pop(name) for name in ("scale_residual", "scale_mlp_residual")}
  unit = {**params, **{name: jnp.zeros(8) for name in scales}}
  np.testing.assert_array_equal(block.apply({"params": unit}, tokens, False).x, tokens.x)
  half = {**unit, "scale_mlp_residual": jnp.full(8, 0.5)}
  whole = {**unit, "scale_mlp_residual": jnp.full(8, 1.0)}
  changes = [block.apply({"params": each}, tokens, False).x - tokens.x for each in (half, whole)]
  np.testing.assert_allclose(2 * changes[0], changes[1], rtol=1e-4, atol=1e-5)
  dropping = TransformerBlock(2, 16, drop_path=0.5)
  y = (
    dropping.apply({"params": params}, tokens, True, rngs={"dropout": jax.random.key(3)}).x[:, 0, 0] - tokens.x[:, 0, 0]
  )
  kinds = np.unique(np.asarray(y).round(3), axis=0)
  assert len(kinds) == 4, "a clip keeps both branches, one of two, or none"
  attended = plain.apply(
    {"params": {**params, "narrow": jax.tree.map(jnp.zeros_like, params["narrow"])}}, tokens, False
  )
  assert np.abs(kinds - 2 * np.asarray(attended.x - tokens.x)[0, 0, 0]).max(-1).min() < 5e-3, (
    "what is kept counts twice"
  )


def test_a_prefix_is_read_as_a_clip_or_left_alone():
  shapes = []

  class Seen(TSM):
    def __call__(self, x, train=False):
      shapes.append(x.shape)
      return x

  network = TINY(registers=1, inserts=(Insert(Seen(), "before", (2,), tokens="all"),))
  network.init(jax.random.key(0), CLIP, False)
  assert shapes[:2] == [(2, 3, 2, 2, 8), (2, 3, 2, 1, 8)]

  class Moved(TSM):
    def __call__(self, x, train=False):
      return x.at[..., 0].add(3.0)

  variables = started(TINY(), CLIP)
  class_token = TINY().apply(variables, CLIP, False)
  for tokens, changes in (("grid", False), ("prefix", True), ("all", True)):
    behind = TINY(inserts=(Insert(Moved(), "after", (5,), tokens=tokens),)).apply(variables, CLIP, False)
    assert np.allclose(behind, class_token, atol=1e-4) != changes
  grid = TINY(pool="mean").apply(variables, CLIP, False)
  seen = TINY(pool="mean", inserts=(Insert(Moved(), "ahead", (5,), tokens="prefix"),)).apply(variables, CLIP, False)
  assert not np.allclose(seen, grid, atol=1e-4), "the grid attends to the prefix"


def test_frames_do_not_see_each_other_with_attention_by_frame():
  variables = started(TINY(pool="mean"), CLIP)
  other = CLIP.copy()
  other[:, 2] += 1
  for kind, alone in (("frame", True), ("reused", False), ("joint", False)):
    network = TINY(pool="mean", attention=kind)
    one, two = (np.asarray(network.apply(variables, x, False)[:, 0]) for x in (CLIP, other))
    assert np.array_equal(one, two) == alone


@pytest.mark.parametrize("kind", ["sincos", "rotary", "learned"])
def test_positions_of_other_grids(kind):
  """Other grids run; a clip that extends the time starts as a short one, and one that stretches it does not."""
  settings = {**WHOLE, "positions": kind, "time_positions": kind == "learned", "grid": (2, 2, 2)}
  network = TINY(**settings)
  variables = started(network, CLIP[:, :2])
  assert network.apply(variables, np.repeat(CLIP[:, :2], 2, axis=1), False).shape == (2, 4, 2, 2, 8)
  assert network.apply(variables, np.zeros((1, 3, 16, 12, 3), "float32"), False).shape == (1, 3, 4, 3, 8)
  longer = TINY(**{**settings, "extend": True})
  if kind == "learned":
    with pytest.raises(InputError, match="has positions for 2 steps, got 3: take fewer"):
      longer.apply(variables, CLIP, False)
    return
  stems = [n.bind(variables).stem(CLIP, False).x[:, 0] for n in (network, longer)]
  short = network.bind(variables).stem(CLIP[:, :2], False).x[:, 0]
  np.testing.assert_allclose(stems[1][:, :8], short, atol=1e-5)
  assert np.allclose(stems[0][:, :8], short, atol=1e-5) == (kind == "rotary"), "rotations are no part of the stem"


def test_a_tubelet_is_a_patch_over_time():
  network = TINY(**WHOLE, positions="none", tubelet=3)
  variables = started(network, CLIP)
  kernel = np.asarray(variables["params"]["stem"]["patch"]["kernel"])
  assert kernel.shape == (3, 4, 4, 3, 8)
  tokens = network.bind(variables).stem(CLIP, False).x
  expected = (CLIP[1, :, 4:, :4, :, None] * kernel).sum((0, 1, 2, 3)) + variables["params"]["stem"]["patch"]["bias"]
  np.testing.assert_allclose(tokens[1, 0, 2], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
  ("made", "shape", "count"),
  [
    # timm 1.0.31 without the classifier, less the position of the class token, which is one number of the token here
    (lambda: imagenet("base"), (1, 224), 85_798_656 - 768),
    (lambda: imagenet("tiny"), (1, 224), 5_524_416 - 192),
    (lambda: clip("base"), (1, 224), 85_799_424 - 768),
    (lambda: dinov2("small"), (1, 518), 22_056_192 - 384),
    (lambda: siglip("base"), (1, 224), 85_797_120),
    # transformers 5.24: VideoMAEModel, TimesformerModel, the encoder of VJEPA2Model
    (lambda: videomae("base", pretrained=True), (16, 224), 86_227_200),
    (lambda: timesformer("base"), (8, 224), 121_258_752 - 768),
    (lambda: vjepa2("large"), (64, 256), 303_885_312),
  ],
)
def test_sizes_are_those_of_the_references(made, shape, count):
  frames, side = shape
  clips = jax.ShapeDtypeStruct((1, frames, side, side, 3), jnp.float32)
  variables = jax.eval_shape(lambda x: made().init(jax.random.key(0), x, False), clips)
  assert sum(x.size for x in jax.tree.leaves(variables)) == count


@pytest.mark.parametrize("kind", ["frame", "joint", "divided"])
def test_grad_cam_and_attention_have_a_map_of_the_grid(kind):
  network = Recognizer(TINY(attention=kind), 3)
  variables = {"batch_stats": {}, **started(network, CLIP)}
  (evidence,) = grad_cam(network, variables, CLIP, np.array([0, 1]))
  assert evidence.shape == (2, 3, 2, 2)
  assert evidence.max() > 0
  assert len(sites(network, CLIP.shape[1:])) == 4
  row = rows_of_point(network, variables, CLIP[0], (1, 0.9, 0.1))["backbone/stage3/block0/attention"]
  assert row.weights.shape == (3, 8, 8)
  assert (row.weights[[0, 2]].max() == 0) == (kind != "joint"), "other frames have no weight unless all are joint"


@pytest.mark.parametrize(
  ("made", "clips", "message"),
  [
    (lambda: TINY(tubelet=2), CLIP, "got 3 frames of 8 x 8: take multiples of both, as 4 frames of 8 x 8"),
    (lambda: TINY(), CLIP[:, :, :6, :7], "got 3 frames of 6 x 7: take multiples of both, as 3 frames of 8 x 8"),
    (lambda: TINY(heads=3), CLIP, "must be an even multiple of heads=3"),
    (lambda: TINY(class_token=False), CLIP, "take pool='mean', or a class token"),
    (lambda: TINY(positions="rotary"), CLIP, "no place for a class token"),
    (lambda: TINY(positions="rotary", class_token=False, pool="mean"), CLIP, "take attention='joint'"),
    (lambda: TINY(time_positions=True, grid=(1, 2, 2)), CLIP, r"give grid=\(T, 2, 2\) with T frames"),
    (lambda: TINY(attention="joint", inserts=tokshift()), CLIP, "the whole clip has one class token"),
    (
      lambda: TINY(attention="divided", inserts=(Insert(TSM(), "after", tokens="all"),)),
      CLIP,
      "Take attention='frame', or",
    ),
    (lambda: TINY(depth=3), CLIP, "a stage has a block"),
    (lambda: TINY(inserts=(Insert(TSM(), "temporal"),)), CLIP, "no such place; they have ahead, before, residual"),
    (lambda: TINY(**WHOLE, inserts=(Insert(TSM(), "after", tokens="all"),)), CLIP, "has no class token or register"),
    (lambda: TINY(inside=(Inside(TSM(), "res2"),)), CLIP, "no such part; it has stem, stage2"),
    (lambda: dinov2("giant"), CLIP, "gated MLPs are not built"),
    (lambda: clip("enormous"), CLIP, "choose tiny, small"),
  ],
)
def test_what_is_refused(made, clips, message):
  with pytest.raises((ConfigError, InputError), match=message):
    made().init(jax.random.key(0), clips, False)


def test_an_attentive_pooler_is_its_equation():
  pooler = AttentivePooler(2, hidden=12)
  x = np.random.default_rng(3).normal(size=(2, 3, 2, 2, 8)).astype("float32")
  variables = started(pooler, x)
  p = variables["params"]
  query = np.asarray(p["query_token"], np.float64)[0]
  for number in range(2):
    tokens = norm(p["norm1"], x[number].reshape(12, 8).astype(np.float64))
    q, k, v = dense(p["query"], query), dense(p["key"], tokens), dense(p["value"], tokens)
    parts = []
    for channels in (slice(0, 4), slice(4, 8)):
      weights = np.exp(q[:, channels] @ k[:, channels].T / 2)
      parts.append(weights / weights.sum() @ v[:, channels])
    y = np.concatenate(parts, -1)[0] + query[0]
    y = y + mlp(p, norm(p["norm2"], y))
    np.testing.assert_allclose(pooler.apply(variables, x, False)[number], y, rtol=2e-4, atol=2e-4)
  with pytest.raises(ConfigError, match="must divide the 8 channels"):
    AttentivePooler(3).init(jax.random.key(0), x, False)


def test_a_head_pools_by_a_module_and_normalises():
  network = Recognizer(TINY(**WHOLE), 3, pooling=AttentivePooler(2), pooled_norm=1e-6, consensus="features")
  variables = started(network, CLIP)
  output = network.apply(variables, CLIP, False)
  assert output.features.shape == (2, 8)
  p = variables["params"]["pooled_norm"]
  plain = (np.asarray(output.features) - np.asarray(p["bias"])) / np.asarray(p["scale"])
  np.testing.assert_allclose(plain.mean(-1), 0, atol=1e-5)
  by_frame = network.copy(consensus="logits")
  assert by_frame.apply(variables, CLIP, False).aux["frame_logits"].shape == (2, 3, 3)
