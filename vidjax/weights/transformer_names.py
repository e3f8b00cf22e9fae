"""How checkpoints of vision transformers name and pack what the ViT here has: a table for each way of naming.

A table goes from a module or a variable here to the released name; "block" stands for the block number {n} counted over
all stages, {p} for what may come before all names. A name with "(query)" behind it is a part of a tensor that holds
queries, keys and values together, which `split` takes apart. The class token here has its position added: `folded`.
"""

import functools
import math
import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from vidjax.errors import InputError

Table = Mapping[str, str]
Way = tuple[Table, str]
"""A table, and what stands before its names."""

BLOCK = re.compile(r"stage(\d+)/block(\d+)/(.+)")
POOLING = re.compile(r"pooling/block(\d+)/(.+)")
FUSED = re.compile(r".*(?:qkv|in_proj)[._](?:weight|bias)|.*\bkv\.(?:weight|bias)")
"""Queries, keys and values in one tensor, or keys and values."""
PARTS = ("query", "key", "value")
VARIABLE = re.compile(r"(?:.*/)?(?:class_token|registers|(?:time_)?positions|query_token|scale_(?:mlp_)?residual)")
"""Parameters that belong to no layer of Flax."""


def _fused(ours: str, theirs: str) -> dict[str, str]:
  return {f"{ours}/{part}": f"{theirs} ({part})" for part in PARTS}


def _apart(ours: str, theirs: str) -> dict[str, str]:
  return {f"{ours}/{part}": theirs.format(short=part[0], long=part, p="{p}", n="{n}") for part in PARTS}


TIMM: Table = {
  "stem/patch": "{p}patch_embed.proj",
  "stem/class_token": "{p}cls_token",
  "stem/registers": "{p}reg_token",
  "stem/positions": "{p}pos_embed",
  "stem/time_positions": "{p}time_embed",
  "stem/norm": "{p}norm_pre",
  **{f"block/norm{i}": f"{{p}}blocks.{{n}}.norm{i}" for i in (1, 2)},
  **_fused("block/attention", "{p}blocks.{n}.attn.qkv"),
  "block/attention/out": "{p}blocks.{n}.attn.proj",
  "block/wide": "{p}blocks.{n}.mlp.fc1",
  "block/narrow": "{p}blocks.{n}.mlp.fc2",
  "block/scale_residual": "{p}blocks.{n}.ls1.gamma",
  "block/scale_mlp_residual": "{p}blocks.{n}.ls2.gamma",
  "block/time_norm": "{p}blocks.{n}.temporal_norm1",
  **_fused("block/time_attention", "{p}blocks.{n}.temporal_attn.qkv"),
  "block/time_attention/out": "{p}blocks.{n}.temporal_attn.proj",
  "block/time_out": "{p}blocks.{n}.temporal_fc",
  "last/norm": "{p}norm",
  "pooled_norm": "{p}fc_norm",
  "pooling/query_token": "{p}attn_pool.latent",
  "pooling/query": "{p}attn_pool.q",
  "pooling/key": "{p}attn_pool.kv (key)",
  "pooling/value": "{p}attn_pool.kv (value)",
  "pooling/out": "{p}attn_pool.proj",
  "pooling/norm2": "{p}attn_pool.norm",
  "pooling/wide": "{p}attn_pool.mlp.fc1",
  "pooling/narrow": "{p}attn_pool.mlp.fc2",
  "classifier": "{p}head",
}
"""timm's, and the code that grew from it: DeiT, DINOv2, TimeSformer, VideoMAE and its second version."""
_TV = "encoder.layers.encoder_layer_{n}"
TORCHVISION: Table = {
  "stem/patch": "conv_proj",
  "stem/class_token": "class_token",
  "stem/positions": "encoder.pos_embedding",
  **{f"block/norm{i}": f"{_TV}.ln_{i}" for i in (1, 2)},
  **_fused("block/attention", f"{_TV}.self_attention.in_proj"),
  "block/attention/out": f"{_TV}.self_attention.out_proj",
  "block/wide": f"{_TV}.mlp.0",
  "block/narrow": f"{_TV}.mlp.3",
  "last/norm": "encoder.ln",
  "classifier": "heads.head",
}
_LAYER = "{p}encoder.layer.{n}"
HUGGING_FACE: Table = {
  "stem/patch": "{p}embeddings.patch_embeddings.projection",
  "stem/class_token": "{p}embeddings.cls_token",
  "stem/registers": "{p}embeddings.register_tokens",
  "stem/positions": "{p}embeddings.position_embeddings",
  "stem/time_positions": "{p}embeddings.time_embeddings",
  "block/norm1": f"{_LAYER}.layernorm_before",
  **_apart("block/attention", "{p}encoder.layer.{n}.attention.attention.{long}"),
  "block/attention/out": f"{_LAYER}.attention.output.dense",
  "block/norm2": f"{_LAYER}.layernorm_after",
  "block/wide": f"{_LAYER}.intermediate.dense",
  "block/narrow": f"{_LAYER}.output.dense",
  "last/norm": "{p}layernorm",
  "pooled_norm": "fc_norm",
  "classifier": "classifier",
}
"""ViT, DeiT and VideoMAE on the hub."""
TIMESFORMER: Table = {
  **HUGGING_FACE,
  **_fused("block/attention", f"{_LAYER}.attention.attention.qkv"),
  "block/time_norm": f"{_LAYER}.temporal_layernorm",
  **_fused("block/time_attention", f"{_LAYER}.temporal_attention.attention.qkv"),
  "block/time_attention/out": f"{_LAYER}.temporal_attention.output.dense",
  "block/time_out": f"{_LAYER}.temporal_dense",
}
DINOV2: Table = {
  **HUGGING_FACE,
  **{f"block/norm{i}": f"{_LAYER}.norm{i}" for i in (1, 2)},
  "block/wide": f"{_LAYER}.mlp.fc1",
  "block/narrow": f"{_LAYER}.mlp.fc2",
  "block/scale_residual": f"{_LAYER}.layer_scale1.lambda1",
  "block/scale_mlp_residual": f"{_LAYER}.layer_scale2.lambda1",
}
NEWER: Table = {
  **{key: name.replace("encoder.layer.", "layers.") for key, name in HUGGING_FACE.items()},
  **_apart("block/attention", "{p}layers.{n}.attention.{short}_proj"),
  "block/attention/out": "{p}layers.{n}.attention.o_proj",
  "block/wide": "{p}layers.{n}.mlp.fc1",
  "block/narrow": "{p}layers.{n}.mlp.fc2",
}
"""What transformers 5 calls a ViT's in memory; it saves the names above."""
NEWER_DINOV2: Table = {
  **DINOV2,
  **_apart("block/attention", "{p}encoder.layer.{n}.attention.{short}_proj"),
  "block/attention/out": f"{_LAYER}.attention.o_proj",
}
_VISION = "{p}encoder.layers.{n}"
CLIP: Table = {
  "stem/patch": "{p}embeddings.patch_embedding",
  "stem/class_token": "{p}embeddings.class_embedding",
  "stem/positions": "{p}embeddings.position_embedding.weight",
  "stem/norm": "{p}pre_layrnorm",
  **{f"block/norm{i}": f"{_VISION}.layer_norm{i}" for i in (1, 2)},
  **_apart("block/attention", "{p}encoder.layers.{n}.self_attn.{short}_proj"),
  "block/attention/out": f"{_VISION}.self_attn.out_proj",
  "block/wide": f"{_VISION}.mlp.fc1",
  "block/narrow": f"{_VISION}.mlp.fc2",
  "last/norm": "{p}post_layernorm",
  "pooling/query_token": "{p}head.probe",
  **_fused("pooling", "{p}head.attention.in_proj"),
  "pooling/out": "{p}head.attention.out_proj",
  "pooling/norm2": "{p}head.layernorm",
  "pooling/wide": "{p}head.mlp.fc1",
  "pooling/narrow": "{p}head.mlp.fc2",
  "classifier": "classifier",
}
"""The image towers of CLIP, SigLIP and SigLIP 2 on the hub."""
_RESBLOCK = "{p}transformer.resblocks.{n}"
OPENAI: Table = {
  "stem/patch": "{p}conv1",
  "stem/class_token": "{p}class_embedding",
  "stem/positions": "{p}positional_embedding",
  "stem/norm": "{p}ln_pre",
  **{f"block/norm{i}": f"{_RESBLOCK}.ln_{i}" for i in (1, 2)},
  **_fused("block/attention", f"{_RESBLOCK}.attn.in_proj"),
  "block/attention/out": f"{_RESBLOCK}.attn.out_proj",
  "block/wide": f"{_RESBLOCK}.mlp.c_fc",
  "block/narrow": f"{_RESBLOCK}.mlp.c_proj",
  "last/norm": "{p}ln_post",
}
"""CLIP's image tower as OpenAI and open_clip have it."""
_JEPA_POOLER, _JEPA_QUERY = "pooler.self_attention_layers.{n}", "pooler.cross_attention_layer"
VJEPA2: Table = {
  "stem/patch": "{p}encoder.embeddings.patch_embeddings.proj",
  **{f"block/norm{i}": f"{_LAYER}.norm{i}" for i in (1, 2)},
  **_apart("block/attention", "{p}encoder.layer.{n}.attention.{long}"),
  "block/attention/out": f"{_LAYER}.attention.proj",
  "block/wide": f"{_LAYER}.mlp.fc1",
  "block/narrow": f"{_LAYER}.mlp.fc2",
  "last/norm": "{p}encoder.layernorm",
  **{f"pooling/block/norm{i}": f"{_JEPA_POOLER}.layer_norm{i}" for i in (1, 2)},
  **_apart("pooling/block/attention", "pooler.self_attention_layers.{n}.self_attn.{short}_proj"),
  "pooling/block/attention/out": f"{_JEPA_POOLER}.self_attn.out_proj",
  "pooling/block/wide": f"{_JEPA_POOLER}.mlp.fc1",
  "pooling/block/narrow": f"{_JEPA_POOLER}.mlp.fc2",
  "pooling/query_token": "pooler.query_tokens",
  **{f"pooling/norm{i}": f"{_JEPA_QUERY}.layer_norm{i}" for i in (1, 2)},
  **_apart("pooling", "pooler.cross_attention_layer.cross_attn.{short}_proj"),
  "pooling/wide": f"{_JEPA_QUERY}.mlp.fc1",
  "pooling/narrow": f"{_JEPA_QUERY}.mlp.fc2",
  "classifier": "classifier",
}

WAYS: tuple[Way, ...] = (
  *((TIMM, prefix) for prefix in ("", "model.", "encoder.", "visual.trunk.")),
  (TORCHVISION, ""),
  *((HUGGING_FACE, prefix) for prefix in ("", "vit.", "deit.", "videomae.")),
  *((TIMESFORMER, prefix) for prefix in ("", "timesformer.")),
  *((DINOV2, prefix) for prefix in ("", "dinov2.", "dinov2_with_registers.")),
  *((NEWER, prefix) for prefix in ("", "vit.", "deit.")),
  *((NEWER_DINOV2, prefix) for prefix in ("", "dinov2.", "dinov2_with_registers.")),
  *((CLIP, prefix) for prefix in ("", "vision_model.")),
  *((OPENAI, prefix) for prefix in ("", "visual.")),
  *((VJEPA2, prefix) for prefix in ("", "vjepa2.")),
)
"""Every table with every prefix that its names may have."""

SAME = {
  r"(.*in_proj)_(weight|bias)\b(.*)": r"\1.\2\3",
  r"(.*\.attn)\.q_bias": r"\1.qkv.bias (query)",
  r"(.*\.attn)\.v_bias": r"\1.qkv.bias (value)",
  r"(.*\.attention\.attention)\.q_bias": r"\1.query.bias",
  r"(.*\.attention\.attention)\.v_bias": r"\1.value.bias",
  r"(|.*(?<!embeddings)\.)register_tokens": r"\1reg_token",
  r"(.*encoder_layer_\d+\.mlp)\.linear_1\.(.*)": r"\1.0.\2",
  r"(.*encoder_layer_\d+\.mlp)\.linear_2\.(.*)": r"\1.3.\2",
}
"""Other names of the same: as files of older versions have them, and VideoMAE's two biases."""
TEXT = "of the text tower"
IDLE = {
  r"(.*\.)?mask_tokens?": "stands for hidden patches in pre-training",
  r"(decoder|encoder_to_decoder)\..*": "the decoder of pre-training",
  r"(vjepa2\.)?predictor\..*": "the predictor of pre-training",
  r"(vit\.|deit\.)?pooler\.dense\..*": "a layer behind the class token that its classifiers leave out",
  r"(visual_projection\.weight|(visual\.)?proj)": "the projection to the space of texts",
  r"(text_model|token_embedding|ln_final|text_projection|logit_scale|logit_bias|text)\b.*": TEXT,
  r"(transformer|positional_embedding)\b.*": TEXT,
  r"(.*\.)?position_ids": "the numbers of the positions",
}
"""Tensors of an image tower's checkpoint that nothing here corresponds to, and why."""
HINTS = {
  r"^(text_model|token_embedding|ln_final)\b": "these are names of a text tower: take the image tower's checkpoint",
  r"\.ls1\.gamma$|layer_scale1": "layer scale has its place with ViT(layer_scale=1.0)",
  r"temporal_(attn|attention)\b": "attention over time has its place with ViT(attention='divided')",
  r"(time_embed|time_embeddings)$": "positions in time have their place with ViT(time_positions=True)",
  r"reg_token$|register_tokens$": "registers have their place with ViT(registers=4)",
  r"(cls_token|class_token|class_embedding)$": "a class token has its place with ViT(class_token=True)",
  r"(^|\.)(attn_pool|head\.probe|pooler\.query_tokens)": "pooling by attention has its place with"
  " Recognizer(pooling=AttentivePooler(...))",
  r"fc_norm\.": "the norm of pooled features has its place with Recognizer(pooled_norm=1e-6)",
  r"(norm_pre|ln_pre|pre_layrnorm)\.": "a norm ahead of the blocks has its place with ViT(stem_norm=True)",
  r"(bias \(key\)|attention\.key\.bias)$": "a bias of the keys has its place with ViT(bias='all')",
  r"mlp\.(w12|weights_in)\.": "gated MLPs are not built",
  r"(dist_token|distillation_token|head_dist\..*)$": "distilled DeiTs, with two tokens, are not built",
}
"""What to try, by the names of tensors without a place."""


def released(place: str, modules: Collection[str], way: Way) -> str | None:
  """A table's name of a module or a variable of a network with a ViT, or None.

  Args:
    place: path of the module below the network.
    modules: all such paths.
    way: the table and what stands before its names.
  """
  number = 0
  if block := BLOCK.fullmatch(place):
    stage, number, key = int(block[1]), int(block[2]), f"block/{block[3]}"
    number += sum(before < stage for before, _ in _sites(tuple(modules)))
  elif block := POOLING.fullmatch(place):
    number, key = int(block[1]), f"pooling/block/{block[2]}"
  else:
    key = place
  table, prefix = way
  if key == "pooled_norm" and "stem/norm" in modules and "last/norm" not in modules:
    key = "last/norm"  # CLIP's, which normalises pooled features where ST-Adapter follows
  name = table.get(key)
  return None if name is None else name.format(p=prefix, n=number)


@functools.lru_cache(8)
def _sites(modules: tuple[str, ...]) -> set[tuple[int, str]]:
  """Stage and number in it of all blocks."""
  return {(int(found[1]), found[2]) for name in modules if (found := BLOCK.fullmatch(name))}


def module(path: str) -> tuple[str, str]:
  """The module below the network and the leaf of a variable's path; a variable of no layer counts as a module."""
  whole = path.partition("/")[2]
  place, _, leaf = whole.rpartition("/")
  return (whole, "") if VARIABLE.fullmatch(whole) else (place, leaf)


def plain(name: str) -> str:
  """The name by which the tables know a tensor."""
  for pattern, same in SAME.items():
    if found := re.fullmatch(pattern, name):
      return found.expand(same)
  return name


def split(tensors: Mapping[str, Any]) -> dict[str, Any]:
  """Tensors with queries, keys and values apart, as "blocks.0.attn.qkv.weight (query)" and so on."""
  found = {}
  for name, x in tensors.items():
    parts = () if not FUSED.fullmatch(name) else PARTS if not re.search(r"\bkv\.\w+$", name) else PARTS[1:]
    if parts and np.ndim(x) and len(x) % len(parts) == 0:
      rows = len(x) // len(parts)
      found |= {f"{name} ({part})": x[i * rows : (i + 1) * rows] for i, part in enumerate(parts)}
    else:
      found[name] = x
  return found


def folded(tensors: Mapping[str, Any], match: Mapping[str, str], shapes: Mapping[str, Any]) -> dict[str, Any]:
  """Tensors with the positions of class token and registers added to these: here they have no positions.

  Args:
    tensors: by name.
    match: the names, by path of the variable they fill.
    shapes: of the variables, by path.
  """
  found = dict(tensors)
  for path, name in match.items():
    if not path.endswith("stem/positions") or name == path:
      continue
    *grid, width = shapes[path].shape
    table = np.asarray(tensors[name])
    if table.ndim == 0 or table.shape[-1] != width:
      continue
    table = table.reshape(-1, width)
    first = [match.get(path.removesuffix("positions") + leaf) for leaf in ("class_token", "registers")]
    extra, row = len(table) - math.prod(grid), 0
    counts = [np.size(tensors[token]) // width if token else 0 for token in first]
    if extra not in (1, sum(counts)) or extra <= 0:
      continue
    for token, count in zip(first, counts, strict=True):
      if token and token != path and row + count <= extra:
        x = np.asarray(tensors[token])
        found[token] = np.asarray(x, np.float32) + np.asarray(table[row : row + count], np.float32).reshape(x.shape)
        row += count
    found[name] = table[extra:]
  return found


def of_texts(tensors: Collection[str]) -> bool:
  """Whether tensors are those of a tower that reads texts: they embed words."""
  return any(re.fullmatch(r"(?:.*\.)?token_embedding\.weight", name) for name in tensors)


def left_over(tensors: Collection[str], match: Mapping[str, str]) -> dict[str, str]:
  """Why tensors of a transformer's checkpoint are not used, by name: none where its patches find no place.

  Args:
    tensors: all names.
    match: the names, by path of the variable they fill.
  """
  if not any(path.endswith("stem/patch/kernel") for path in match):
    return {}
  starts = {name.partition(".")[0] for name in match.values()}  # CLIP's image tower alone has names of the text tower's
  return {
    name: why
    for name in tensors
    for pattern, why in IDLE.items()
    if re.fullmatch(pattern, name) and (why != TEXT or name.partition(".")[0] not in starts)
  }


def fitted(x: np.ndarray, path: str, shape: tuple[int, ...]) -> np.ndarray:
  """A token, a table of positions or a layer scale in the shape here; InputError for positions of another grid.

  Args:
    x: the tensor.
    path: of the variable.
    shape: of the variable.
  """
  if x.size == math.prod(shape) and x.ndim and x.shape[-1] == shape[-1]:
    return x.reshape(shape)
  if x.ndim and x.shape[-1] == shape[-1] and path.endswith("positions"):
    count = x.size // shape[-1]
    if path.endswith("time_positions"):
      raise InputError(
        f"holds positions of {count} frames, and the network's grid has {shape[0]}: give the ViT"
        f" grid=({count}, H, W); it interpolates them itself for clips of other lengths"
      )
    sides = (
      math.isqrt(count - extra) for extra in (1, 0, 5) if math.isqrt(max(count - extra, 0)) ** 2 == count - extra
    )
    if side := next(sides, 0):
      raise InputError(
        f"holds positions of {side} x {side} patches, and the network's grid has {shape[0]} x {shape[1]}: give the ViT"
        f" grid=(T, {side}, {side}); it interpolates them itself for frames of other sizes"
      )
  return x
