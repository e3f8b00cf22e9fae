"""Adapters and TokShift: equal to the released code on made weights, and at the start to the backbone bit by bit.

`adapters.npz` holds tokens `[B, T, 1 + N, D]`, class token first, that the released code computes in float64 on the
weights of `vidjax.verify.made` by its own names and shapes (those of ST-Adapter's convolutions times .2);
`experiments/released_adapters.py` wrote it:

- `aim`, `aim_two`: taoyang1122/adapt-image-models at b3580d2d, ViT_CLIP of 4 blocks, behind the last normalisation,
  with one and two adapters of attention over time;
- `st_adapter`: linziyi96/st-adapter at b914b388, VisionTransformer of 4 blocks, before it, and the logits;
- `tokshift`: VideoNetworks/TokShift-Transformer at a7abb7e0, one Block.
"""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from vidjax.backbones.transformer import Sequence, TransformerBlock
from vidjax.backbones.vit import OVER_TIME, PLACES, ViT
from vidjax.errors import ConfigError
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.adapter import Adapter, aim
from vidjax.plugins.insert import Insert
from vidjax.plugins.st_adapter import STAdapter, st_adapters
from vidjax.plugins.tsm import tokshift
from vidjax.verify.made import tensor

GOLDEN = np.load(pathlib.Path(__file__).with_name("adapters.npz"))
CLIP = np.random.RandomState(0).standard_normal((2, 3, 8, 8, 3)).astype(np.float32)
TINY = functools.partial(ViT, width=16, depth=4, heads=2, patch=4, grid=(3, 2, 2))
LIKE_CLIP = functools.partial(TINY, patch_bias=False, stem_norm=True, activation="quick_gelu", epsilon=1e-5)


def dense(name, inside, outside):
  return {"kernel": tensor(f"{name}.weight", (outside, inside)).T, "bias": tensor(f"{name}.bias", (outside,))}


def norm(name):
  return {"scale": tensor(f"{name}.weight", (16,)), "bias": tensor(f"{name}.bias", (16,))}


def attention(name):
  """Queries, keys and values in one tensor, as PyTorch keeps them."""
  weights, biases = (np.split(tensor(f"{name}.in_proj_{kind}", shape), 3) for kind, shape in PROJECTIONS.items())
  parts = zip(("query", "key", "value"), weights, biases, strict=True)
  return {part: {"kernel": w.T, "bias": b} for part, w, b in parts} | {"out": dense(f"{name}.out_proj", 16, 16)}


PROJECTIONS = {"weight": (48, 16), "bias": (48,)}


def adapter(name):
  return {"down": dense(f"{name}.D_fc1", 16, 4), "up": dense(f"{name}.D_fc2", 4, 16)}


def st_adapter(name):
  kernel = np.moveaxis(0.2 * tensor(f"{name}.conv.weight", (6, 1, 3, 1, 1)), 0, -1)[0, ..., None, :]
  convolution = {"kernel": kernel, "bias": tensor(f"{name}.conv.bias", (6,))}
  return {"down": dense(f"{name}.fc1", 16, 6), "conv": convolution, "up": dense(f"{name}.fc2", 6, 16)}


def clip_params(**plugins):
  """The parameters of a ViT by CLIP's names; each plug-in is a function of a block's name."""
  table = tensor("positional_embedding", (5, 16))
  stem = {"patch": {"kernel": tensor("conv1.weight", (16, 3, 4, 4)).transpose(2, 3, 1, 0)}, "norm": norm("ln_pre")}
  stem |= {"positions": table[1:].reshape(2, 2, 16), "class_token": (tensor("class_embedding", (16,)) + table[0])[None]}
  params = {"stem": stem, "last": {"norm": norm("ln_post")}}
  for number in range(4):
    name = f"transformer.resblocks.{number}"
    params[f"stage{number + 2}"] = {
      "block0": {
        "norm1": norm(f"{name}.ln_1"),
        "attention": attention(f"{name}.attn"),
        "norm2": norm(f"{name}.ln_2"),
        "wide": dense(f"{name}.mlp.c_fc", 16, 64),
        "narrow": dense(f"{name}.mlp.c_proj", 64, 16),
        **{place: make(name) for place, make in plugins.items()},
      }
    }
  return params


@pytest.mark.parametrize("temporal", [1, 2])
def test_aim_equals_the_released_network(temporal):
  ahead = {"temporal_before_Adapter": lambda name: adapter(f"{name}.T_Adapter_in")}
  params = clip_params(
    **(ahead if temporal == 2 else {}),
    temporal_Adapter=lambda name: adapter(f"{name}.T_Adapter"),
    residual_Adapter=lambda name: adapter(f"{name}.S_Adapter"),
    parallel_Adapter=lambda name: adapter(f"{name}.MLP_Adapter"),
  )
  params["stem"]["time_positions"] = tensor("temporal_embedding", (1, 3, 16))[0]
  vit = LIKE_CLIP(attention="reused", time_positions=True, inserts=aim(temporal=temporal))
  expected = GOLDEN["aim_two" if temporal == 2 else "aim"]
  for pool, tokens in (("class", expected[:, :, :1, None]), ("mean", expected[:, :, 1:].reshape(2, 3, 2, 2, 16))):
    y = vit.clone(pool=pool).apply({"params": params}, CLIP, False)
    np.testing.assert_allclose(y, tokens, rtol=0, atol=2e-6 * np.abs(expected).max())


def test_st_adapter_equals_the_released_network():
  """It normalises the mean of the class tokens, where CLIP's own normalisation follows the last block."""
  params = clip_params(
    ahead_STAdapter=lambda name: st_adapter(f"{name}.adapter_pre_attn"),
    between_STAdapter=lambda name: st_adapter(f"{name}.adapter_pre_mlp"),
  )
  last = params.pop("last")["norm"]
  vit, expected = LIKE_CLIP(last_norm=False, inserts=st_adapters(6)), GOLDEN["st_adapter"]
  y = vit.clone(pool="mean").apply({"params": params}, CLIP, False)
  np.testing.assert_allclose(y, expected[:, :, 1:].reshape(2, 3, 2, 2, 16), rtol=0, atol=2e-6 * np.abs(expected).max())
  network = Recognizer(vit, 5, consensus="features", pooled_norm=1e-5)
  params = {"backbone": params, "pooled_norm": last, "classifier": dense("fc", 16, 5)}
  logits = network.apply({"params": params}, CLIP, False).logits
  np.testing.assert_allclose(logits, GOLDEN["st_adapter_logits"], rtol=0, atol=5e-6)


def test_tokshift_equals_the_released_block():
  x = np.random.RandomState(1).standard_normal((2, 3, 5, 16)).astype(np.float32)
  params = {"norm1": norm("attention_norm"), "norm2": norm("ffn_norm")}
  params |= {"wide": dense("ffn.fc1", 16, 64), "narrow": dense("ffn.fc2", 64, 16)}
  params["attention"] = {name: dense(f"attn.{name}", 16, 16) for name in ("query", "key", "value", "out")}
  block = TransformerBlock(2, 64, inserts=tokshift())
  y = block.apply({"params": params}, Sequence(jnp.asarray(x), (3, 2, 2), 1), False)
  np.testing.assert_allclose(y.x, GOLDEN["tokshift"], rtol=0, atol=1e-5)


def test_tokshift_moves_a_quarter_of_the_class_token_each_way_and_leaves_the_grid():
  """A block whose branches give 0 shifts twice, on the stream."""
  block = TransformerBlock(2, 64, inserts=tokshift())
  x = np.arange(4.0 * 5 * 16, dtype=np.float32).reshape(1, 4, 5, 16) + 1
  tokens = Sequence(jnp.asarray(x), (4, 2, 2), 1)
  shapes = jax.eval_shape(lambda: block.init(jax.random.key(0), tokens, False))
  y = block.apply(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes), tokens, False).x
  np.testing.assert_array_equal(y[:, :, 1:], x[:, :, 1:])
  np.testing.assert_array_equal(y[:, :2, 0, :4], x[:, 2:, 0, :4])
  np.testing.assert_array_equal(y[:, 2:, 0, 4:8], x[:, :2, 0, 4:8])
  np.testing.assert_array_equal(y[:, :, 0, 8:], x[:, :, 0, 8:])
  assert not np.abs(y[:, 2:, 0, :4]).max()
  assert not np.abs(y[:, :2, 0, 4:8]).max()


def moved(tree):
  return jax.tree.map(lambda x: x + 0.1 * np.cos(np.arange(x.size)).reshape(x.shape).astype(x.dtype), tree)


def started(plain, full, x):
  """The outputs of a module and of one with plug-ins, on moved weights of its own and fresh ones of the plug-ins.

  Compiled as one, a network is rounded as XLA fuses it; operation by operation, adding 0 changes no bit.
  """
  own, made = (flatten_dict(one.init(jax.random.key(0), x, False), sep="/") for one in (plain, full))
  own = moved(own)
  assert set(own) < set(made)
  variables = {path: own.get(path, value) for path, value in made.items()}
  return plain.apply(unflatten_dict(own, sep="/"), x, False), full.apply(unflatten_dict(variables, sep="/"), x, False)


@pytest.mark.parametrize("attention", ["frame", "joint", "divided", "reused"])
def test_a_block_with_adapters_in_all_places_starts_as_it_was(attention):
  frames = 3 if attention in ("frame", "reused") else 1
  tokens = Sequence(
    jnp.asarray(np.random.RandomState(1).randn(2, frames, 2 + 12 // frames, 16), "float32"), (3, 2, 2), 2
  )
  places = PLACES if attention in ("frame", "joint") else (*PLACES, *OVER_TIME)
  modules = (Adapter(), STAdapter(4, (3, 3, 3)))
  inserts = tuple(Insert(module, place, tokens="all") for place in places for module in modules)
  plain = TransformerBlock(2, 64, attention)
  np.testing.assert_array_equal(*(y.x for y in started(plain, plain.clone(inserts=inserts), tokens)))


def test_aim_starts_as_the_image_network():
  """Attention over time adds nothing until its adapter learns, nor do the positions in time."""
  image, video = TINY(), TINY(attention="reused", time_positions=True, inserts=aim(temporal=2))
  np.testing.assert_array_equal(*started(image, video, CLIP))


def test_drop_path_skips_what_aim_adds_and_nothing_else():
  tokens = Sequence(jnp.asarray(np.random.RandomState(1).randn(2, 3, 5, 16), "float32"), (3, 2, 2), 1)
  image, video = TransformerBlock(2, 64), TransformerBlock(2, 64, "reused", drop_path=1 - 1e-6, inserts=aim())
  made = video.init(jax.random.key(0), tokens, False)
  params = {name: x if name == "residual_Adapter" else moved(x) for name, x in made["params"].items()}
  expected = image.apply({"params": {name: x for name, x in params.items() if "Adapter" not in name}}, tokens, False)
  run = functools.partial(video.apply, {"params": params}, tokens)
  np.testing.assert_array_equal(run(True, rngs={"dropout": jax.random.key(0)}).x, expected.x)
  assert np.abs(run(False).x - expected.x).max() > 0.1


def test_what_the_joint_adapter_adds_keeps_its_digits_in_bfloat16():
  """A hundredth of what it reads: as the difference of two bfloat16 numbers it would lose a third of its size."""
  tokens = Sequence(jnp.zeros((2, 3, 4, 16)), (3, 2, 2), 0)  # the stream is 0, the adapter reads the bias alone
  block = TransformerBlock(2, 64, inserts=aim()[2:])
  rng, params = np.random.RandomState(0), block.init(jax.random.key(0), tokens, False)["params"]
  params["norm2"]["bias"] = jnp.asarray(rng.randn(16), "float32")
  params["narrow"]["kernel"] = 0 * params["narrow"]["kernel"]
  params["parallel_Adapter"]["up"]["kernel"] = jnp.asarray(0.1 * rng.randn(4, 16), "float32")
  exact = block.apply({"params": params}, tokens, False).x
  assert 0.001 < jnp.abs(exact).mean() / jnp.abs(params["norm2"]["bias"]).mean() < 0.02
  params, tokens = jax.tree.map(lambda x: x.astype(jnp.bfloat16), (params, tokens))
  y = block.apply({"params": params}, tokens, False).x
  assert y.dtype == jnp.bfloat16
  np.testing.assert_allclose(y.astype("float32"), exact, rtol=0, atol=0.02 * np.abs(exact).max())


@pytest.mark.parametrize(
  ("module", "message"),
  [
    (Adapter(0.01), r"Adapter\(ratio=0.01\) at the top on 1x2x1x1x16: 16 channels leave 0; raise the ratio"),
    (Adapter(0.0), "ratio=0.0.* must be a finite number above 0"),
    (STAdapter(kernel=(2, 1, 1)), r"kernel=\(2, 1, 1\).* must be"),
    (STAdapter(0), "width=0.* must be an int of at least 1"),
  ],
)
def test_what_no_adapter_can_be_is_refused(module, message):
  with pytest.raises(ConfigError, match=message):
    module.init(jax.random.key(0), jnp.zeros((1, 2, 1, 1, 16)))
