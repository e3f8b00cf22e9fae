"""Vision transformers' checkpoints: scores of the released code, names, siblings that are refused, and settings."""

import functools
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.backbones import transformer
from vidjax.backbones.released_vits import clip, dinov2, imagenet, siglip, timesformer, videomae, vjepa2
from vidjax.backbones.vit import ViT
from vidjax.errors import InputError
from vidjax.networks.attentive import AttentivePooler
from vidjax.networks.recognizer import Recognizer
from vidjax.networks.two_stream import TwoStream
from vidjax.plugins.adapter import aim
from vidjax.verify import made, parity, transformers
from vidjax.verify.transformers import CLASSES
from vidjax.weights.export import export
from vidjax.weights.load import ReleasedSettings, load_weights

NETWORKS = transformers.NETWORKS


@functools.cache
def tensors(name: str) -> dict[str, np.ndarray]:
  """The reference's state dict."""
  return made.tensors(json.loads((parity.FOLDER / f"{name}.json").read_text())["tensors"])


@functools.cache
def shapes(network, size: int = 32, frames: int = 4, channels: int = 3):
  clips = jnp.zeros((1, frames, size, size, channels))
  return jax.eval_shape(lambda: network.init(jax.random.key(0), clips, False))


def load(network, checkpoint, **options):
  return load_weights(shapes(network, 56 if network.patch == 14 else 32), checkpoint, network=network, **options)


def load_whole(network, checkpoint, **options):
  return load_weights(shapes(network), checkpoint, network=network, **options)


@pytest.mark.parametrize("name", NETWORKS)
def test_scores_are_those_of_the_released_code(name):
  found = parity.check(name)
  assert found.error < parity.TOLERANCE / 4, found


def interleaved(grid, trained, width, extend):
  """Frequencies as rotary positions usually have them, each for two neighbouring channels."""
  part = 2 * (width // 3 // 2)
  cosines, sines = transformer_rotations(grid, trained, width, extend)
  order = np.arange(width)
  for axis in range(3):
    order[axis * part : (axis + 1) * part] = axis * part + np.repeat(np.arange(part // 2), 2)
  return cosines[:, order], sines[:, order]


transformer_rotations = transformer.rotations
WRONG = {
  "CLIP's activation": ("tiny_clip_hub", {"activation": "gelu"}, "quick_gelu"),
  "SigLIP's activation": ("tiny_siglip_hub", {"activation": "gelu"}, "gelu_tanh"),
  "positions with registers": ("tiny_dinov2_registers_hub", {"interpolation": "cubic"}, "cubic_antialias"),
  "TimeSformer's positions": ("tiny_timesformer_resized_original", {"interpolation": "cubic"}, "nearest"),
  "V-JEPA 2's longer clips": ("tiny_vjepa2_longer_hub", {"extend": False}, "extend=True"),
  "DINOv2's positions": ("tiny_dinov2_resized_original", {"interpolation": "cubic"}, None),
  "V-JEPA 2's rotations": ("tiny_vjepa2_hub", {}, None),
}


@pytest.mark.parametrize("case", WRONG)
def test_other_settings_do_not_agree(case, monkeypatch):
  name, changes, told = WRONG[case]
  network = NETWORKS[name]
  right = network if isinstance(network, ViT) else network.backbone
  wrong = right.clone(**changes)
  monkeypatch.setitem(NETWORKS, name, wrong if right is network else network.clone(backbone=wrong))
  monkeypatch.setitem(parity.NETWORKS, name, NETWORKS[name])
  if not changes:
    monkeypatch.setattr(transformer, "rotations", interleaved)
    monkeypatch.setitem(parity.NETWORKS, name, network.clone(dropout=0.1))  # not the one that is compiled already
  if told:
    with pytest.warns(ReleasedSettings, match=told):
      error = parity.check(name).error
  else:
    error = parity.check(name).error
  assert error > 5 * parity.TOLERANCE


PATCHES = {"width": 32, "depth": 5, "heads": 2, "hidden": 64, "patch": 8}
FRAME, VIDEO = {**PATCHES, "grid": (1, 4, 4)}, {**PATCHES, "grid": (2, 4, 4)}
FAMILIES = {
  "imagenet": (imagenet("base", **FRAME), "tiny_vit_timm"),
  "clip": (clip("base", **FRAME), "tiny_clip_timm"),
  "siglip": (siglip("base", **FRAME), "tiny_siglip_timm"),
  "dinov2": (dinov2("base", registers=4, **FRAME), "tiny_dinov2_original"),
  "videomae": (videomae("base", **VIDEO), "tiny_videomae_original"),
  "timesformer": (timesformer("base", **{**VIDEO, "grid": (3, 4, 4)}), "tiny_timesformer_original"),
  "vjepa2": (vjepa2("large", **VIDEO), "tiny_videomae_original"),
}


def checkpoint_of(family: str) -> dict[str, np.ndarray]:
  """A family's backbone by timm's names, all of one width, depth, hidden width and patch: only the families differ."""
  checkpoint = {}
  for name, x in tensors(FAMILIES[family][1]).items():
    if not re.search(r"^(model\.)?(head|fc_norm|attn_pool)\b", name):
      x = x if x.shape[-2:] != (14, 14) else np.zeros((*x.shape[:-2], 8, 8), np.float32)
      checkpoint[name.removeprefix("model.")] = x[tuple(slice(64 if size == 128 else None) for size in x.shape)]
  if family == "vjepa2":
    checkpoint |= {f"blocks.{i}.attn.qkv.bias": np.zeros(96, np.float32) for i in range(5)}
    checkpoint = {name: x for name, x in checkpoint.items() if not name.endswith(("q_bias", "v_bias"))}
    checkpoint |= {"norm.weight": np.ones(32, np.float32), "norm.bias": np.ones(32, np.float32)}
  return checkpoint


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("other", FAMILIES)
def test_weights_of_a_sibling_are_refused(family, other):
  network = FAMILIES[family][0]
  if family == other:
    assert not load(network, checkpoint_of(other))[1].new
    return
  with pytest.raises(InputError, match=r"has no place|finds no"):
    load(network, checkpoint_of(other))


def renamed(checkpoint, *changes):
  for pattern, name in changes:
    checkpoint = {re.sub(pattern, name, key): x for key, x in checkpoint.items()}
  return checkpoint


OTHER_NAMES = {
  "VideoMAE's biases": (
    "tiny_videomae_hub",
    ((r"attention\.q_bias", "attention.query.bias"), (r"attention\.v_bias", "attention.value.bias")),
  ),
  "torchvision's older MLP": ("tiny_vit_torchvision", ((r"mlp\.0", "mlp.linear_1"), (r"mlp\.3", "mlp.linear_2"))),
  "transformers' in memory": (
    "tiny_vit_hub",
    (
      (r"encoder\.layer\.", "layers."),
      (r"attention\.attention\.([qkv])\w+", r"attention.\1_proj"),
      (r"attention\.output\.dense", "attention.o_proj"),
      (r"intermediate\.dense", "mlp.fc1"),
      (r"output\.dense", "mlp.fc2"),
    ),
  ),
  "DINOv2 in memory": (
    "tiny_dinov2_hub",
    ((r"attention\.attention\.([qkv])\w+", r"attention.\1_proj"), (r"attention\.output\.dense", "attention.o_proj")),
  ),
  "bare ViT": ("tiny_vit_hub", ((r"^vit\.", ""),)),
  "CLIP's tower alone": ("tiny_clip_openai", ((r"^visual\.", ""),)),
  "open_clip's SigLIP": ("tiny_siglip_timm", ((r"^", "visual.trunk."),)),
  "TimeSformer without a wrapper": ("tiny_timesformer_original", ((r"^model\.", ""),)),
  "timm's registers": ("tiny_dinov2_original", ((r"register_tokens", "reg_token"),)),
}


@pytest.mark.parametrize("case", OTHER_NAMES)
def test_other_names_of_the_same(case):
  name, changes = OTHER_NAMES[case]
  network = NETWORKS[name]
  variables = shapes(network, 56 if "dinov2" in name else 32)
  here, _ = load_weights(variables, tensors(name), network=network)
  checkpoint = renamed(tensors(name), *changes)
  assert checkpoint.keys() != tensors(name).keys()
  there, report = load_weights(variables, checkpoint, network=network)
  jax.tree.map(np.testing.assert_array_equal, here, there)
  assert {loaded.partition(" (")[0] for loaded in report.loaded.values()} == {*checkpoint} - {*report.unused}


def test_the_encoder_of_videomaes_own_pre_training():
  network = videomae("base", pretrained=True, **VIDEO)
  checkpoint = {f"encoder.{name}": x for name, x in tensors("tiny_videomae_original").items() if "head" not in name}
  checkpoint = renamed(checkpoint, (r"fc_norm", "norm"))
  over = {
    "mask_token": np.ones((1, 1, 8)),
    "decoder.norm.bias": np.ones(8),
    "encoder_to_decoder.weight": np.ones((8, 8)),
  }
  _, report = load(network, {**checkpoint, **over})
  assert sorted(set(report.unused.values())) == [
    "stands for hidden patches in pre-training",
    "the decoder of pre-training",
  ]


@pytest.mark.parametrize(
  ("name", "reasons"),
  [
    ("tiny_clip_hub", {"of the text tower": 22, "the projection to the space of texts": 1}),
    ("tiny_clip_openai", {"the projection to the space of texts": 1}),
    (
      "tiny_videomae_pretrained_hub",
      {"the decoder of pre-training": 20, "stands for hidden patches in pre-training": 1},
    ),
    ("tiny_vjepa2_hub", {"the predictor of pre-training": 23}),
    ("tiny_dinov2_hub", {"stands for hidden patches in pre-training": 1}),
  ],
)
def test_what_is_left_over_has_a_reason(name, reasons):
  network = NETWORKS[name]
  _, report = load_weights(shapes(network, 56 if "dinov2" in name else 32), tensors(name), network=network)
  counts = {why: list(report.unused.values()).count(why) for why in report.unused.values()}
  assert counts == reasons
  assert not report.new


def test_positions_of_another_grid_name_the_remedy():
  network = imagenet("base", **{**FRAME, "grid": (1, 7, 7)})
  with pytest.raises(InputError, match=r"pos_embed: holds positions of 4 x 4 patches, .* 7 x 7: .*grid=\(T, 4, 4\)"):
    load(network, {name: x for name, x in tensors("tiny_vit_timm").items() if "head" not in name})
  longer = NETWORKS["tiny_timesformer_original"].clone(backbone=timesformer("base", **VIDEO))
  with pytest.raises(InputError, match=r"model.time_embed: holds positions of 3 frames, .* has 2: .*grid=\(3, H, W\)"):
    load_whole(longer, tensors("tiny_timesformer_original"))


def test_the_class_token_has_its_position_added():
  checkpoint = tensors("tiny_vit_timm")
  variables, report = load_whole(NETWORKS["tiny_vit_timm"], checkpoint)
  stem = variables["params"]["backbone"]["stem"]
  expected = checkpoint["cls_token"][0] + checkpoint["pos_embed"][0, :1]
  np.testing.assert_array_equal(stem["class_token"], expected)
  np.testing.assert_array_equal(stem["positions"].reshape(16, 32), checkpoint["pos_embed"][0, 1:])
  assert report.loaded["params/backbone/stem/class_token"] == "cls_token"
  assert report.loaded["params/backbone/stage2/block1/attention/key/kernel"] == "blocks.1.attn.qkv.weight (key)"
  assert report.loaded["params/backbone/stage5/block0/wide/bias"] == "blocks.4.mlp.fc1.bias"


def without(name: str, pattern: str):
  return {key: x for key, x in tensors(name).items() if not re.search(pattern, key)}


REFUSED = {
  "a text tower": (
    clip("base", **FRAME),
    without("tiny_clip_hub", "^vis"),
    "is that of a text tower",
  ),
  "a text tower that is named as one alone": (
    clip("base", **FRAME),
    {name.removeprefix("text_model."): x for name, x in without("tiny_clip_hub", "^vis").items()},
    r"is that of a text tower: take the image tower's checkpoint$",
  ),
  "a norm ahead of the blocks, which no remedy leaves out": (
    clip("base", **FRAME, patch_bias=True),
    without("tiny_vit_timm", "head"),
    r"stem/norm/bias .*Take the network it was made for[^,]*$",
  ),
  "larger patches": (
    imagenet("base", **{**FRAME, "patch": 16}),
    without("tiny_vit_timm", "head"),
    r"patch_embed.proj.weight: wanted \(16, 16, 3, 32\), found \(32, 3, 8, 8\)",
  ),
  "a part of a block": (
    imagenet("base", **FRAME),
    without("tiny_vit_timm", r"head|blocks\.3\.attn\.qkv\.bias"),
    r"stage4/block0/attention/(query|key|value)/bias \(32,\) finds no blocks\.3\.attn\.qkv\.bias \(",
  ),
  "no layer scale": (
    dinov2("base", registers=4, **{**FRAME, "patch": 14}, layer_scale=None),
    without("tiny_dinov2_original", "nothing"),
    r"ls1.gamma \(32,\) has no place .*ViT\(layer_scale=1.0\)",
  ),
  "keys without bias": (
    imagenet("base", **FRAME, bias="qv"),
    without("tiny_vit_timm", "head"),
    r"blocks.0.attn.qkv.bias \(key\) \(32,\) has no place .*ViT\(bias='all'\)",
  ),
  "a deeper tower": (
    clip("base", **{**FRAME, "hidden": 128, "depth": 4}),
    {name.removeprefix("visual."): x for name, x in tensors("tiny_clip_openai").items()},
    r"transformer\.resblocks\.4\.attn\.in_proj_weight \(query\) \(32, 32\) has no place",
  ),
  "a pooler": (
    vjepa2("large", **VIDEO),
    without("tiny_vjepa2_hub", "classifier"),
    r"Recognizer\(pooling=AttentivePooler",
  ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_with_a_hint(case):
  network, checkpoint, message = REFUSED[case]
  size = 56 if network.patch == 14 else 32
  with pytest.raises(InputError, match=message):
    load_weights(shapes(network, size), checkpoint, network=network)


def test_a_pooler_whose_mlp_has_the_encoders_ratio_is_refused():
  """V-JEPA 2's has four times the width, and no layer behind the query's attention."""
  network = NETWORKS["tiny_vjepa2_hub"]
  for pooling in (AttentivePooler(2, 2, hidden=64), AttentivePooler(2, 2, out=True)):
    with pytest.raises(InputError, match=r"pooling/(wide|block|out)"):
      load_whole(network.clone(pooling=pooling), tensors("tiny_vjepa2_hub"))


def test_a_head_of_other_classes_names_the_remedy():
  network = NETWORKS["tiny_vit_torchvision"].clone(num_classes=7)
  with pytest.raises(InputError, match=r"classifier/kernel: heads.head.weight: wanted .*new=\('classifier',\)"):
    load_whole(network, tensors("tiny_vit_torchvision"))


def test_patches_adapt_to_other_channels_and_to_tubelets():
  network = imagenet("base", **FRAME)
  checkpoint = without("tiny_vit_timm", "head")
  variables, report = load_weights(shapes(network, channels=10), checkpoint, network=network)
  assert "3 to 10 input channels" in report.adapted["params/stem/patch/kernel"]
  mean = checkpoint["patch_embed.proj.weight"].mean(1).transpose(1, 2, 0)
  np.testing.assert_allclose(variables["params"]["stem"]["patch"]["kernel"][:, :, 9], mean, atol=1e-6)
  tubelets = imagenet("base", **FRAME, tubelet=2)
  _, report = load(tubelets, checkpoint, inflation="centre")
  assert report.adapted == {"params/stem/patch/kernel": "2D to 2 frames (centre)"}


def test_the_last_norm_of_clip_is_that_of_pooled_features_where_they_have_one():
  """ST-Adapter normalises the mean of the class tokens."""
  network = Recognizer(clip("base", **FRAME, last_norm=False), CLASSES, consensus="features", pooled_norm=1e-5)
  _, report = load_whole(network, tensors("tiny_clip_hub"), new=("classifier",))
  assert report.loaded["params/pooled_norm/scale"].endswith("post_layernorm.weight")
  assert {path.split("/")[1] for path in report.new} == {"classifier"}


def test_aims_adapters_start_anew_on_clip():
  """AIM's pass over time has the weights of the attention; its positions in time are named as new."""
  network = clip("base", **{**VIDEO, "hidden": 128}, attention="reused", time_positions=True, inserts=aim())
  variables = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes(network))
  with pytest.raises(InputError, match="stem/time_positions"):
    load_weights(variables, tensors("tiny_clip_openai"), network=network)
  _, report = load_weights(variables, tensors("tiny_clip_openai"), network=network, new=("stem/time_positions",))
  assert len(report.loaded) == 87
  assert len(report.new) == 1 + 5 * 3 * 4
  assert all("Adapter/" in path or path.endswith("time_positions") for path in report.new)


def test_one_checkpoint_fills_two_streams():
  stream = NETWORKS["tiny_vit_hub"]
  network = TwoStream((stream, stream), 5)
  variables, _ = load_whole(network, tensors("tiny_vit_hub"))
  one, two = (variables["params"][name]["backbone"] for name in ("spatial", "temporal"))
  jax.tree.map(np.testing.assert_array_equal, one, two)


@pytest.mark.parametrize("name", ["tiny_vjepa2_hub", "tiny_timesformer_original"])
def test_an_export_comes_back_the_same(name, tmp_path):
  network = NETWORKS[name]
  variables, _ = load_whole(network, tensors(name))
  names = export(variables, tmp_path / "own.safetensors")
  assert all(path.startswith("params/") for path in names)
  again, report = load_whole(network, tmp_path / "own.safetensors")
  jax.tree.map(np.testing.assert_array_equal, variables, again)
  assert not report.new
  assert not report.settings


def test_heads_and_the_pooling_of_a_classifier_are_compared():
  network = Recognizer(imagenet("tiny", heads=4, pool="mean", depth=4, patch=8, grid=(1, 4, 4)), 5)
  one = imagenet("tiny", depth=4, patch=8, grid=(1, 4, 4))
  names = {"cls_token": (1, 1, 192), "pos_embed": (1, 17, 192), "patch_embed.proj.weight": (192, 3, 8, 8)}
  names |= {"patch_embed.proj.bias": (192,), "norm.weight": (192,), "norm.bias": (192,)}
  for block in (f"blocks.{i}." for i in range(one.depth)):
    for layer, out, into in (
      ("attn.qkv", 576, 192),
      ("attn.proj", 192, 192),
      ("mlp.fc1", 768, 192),
      ("mlp.fc2", 192, 768),
    ):
      names |= {f"{block}{layer}.weight": (out, into), f"{block}{layer}.bias": (out,)}
    names |= {f"{block}norm{i}.{leaf}": (192,) for i in (1, 2) for leaf in ("weight", "bias")}
  checkpoint = {name: np.zeros(shape, np.float32) for name, shape in names.items()}
  with pytest.warns(ReleasedSettings, match="width 192 have 3 heads, this network 4"):
    load_whole(network, checkpoint, new=("classifier",))
  checkpoint |= {"head.weight": np.zeros((5, 192), np.float32), "head.bias": np.zeros(5, np.float32)}
  with pytest.warns(ReleasedSettings, match="classifier reads the class token"):
    load_whole(network, checkpoint)
