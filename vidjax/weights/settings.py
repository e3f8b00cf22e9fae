"""What a checkpoint says of settings without parameters, such as a temporal shift, against the network it fills.

Names tell some of them: `conv1.net` is a convolution behind TSM's shift. Others are known of a family: X3D's released
code pools clips before the head. What names tell must hold. What is only known of a family is worth a warning.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import flax.linen as nn

from vidjax.backbones.released_vits import SIZES
from vidjax.networks.bqn import BQN
from vidjax.plugins.insert import Insert
from vidjax.plugins.nonlocal_ import NonLocal
from vidjax.plugins.tim import TIM
from vidjax.plugins.tsm import TSM

TWINS = {
  "resnetaa": "averages before every stride",
  "resnetblur": "blurs before every stride",
}
"""timm's networks with the names and shapes of ResNet-18, 34, 50 or 101 that compute something else."""

BLOCK = re.compile(r"params/(.*?)res(\d+)/block(\d+)/")
SHIFT = re.compile(r"\.(?:conv1|conv\.0)\.net\.")
OTHER_VIDEO = re.compile(r"\.path_[cf]\.|\.layer\d_bak\.")
"""Names under "base_model." that are not of the TSN class of the released TSM, but of BQN and TDN."""


class Released(NamedTuple):
  """Settings of released code that the names of its checkpoints do not tell.

  Attributes:
    names: pattern of names that only this family has, after a dot.
    family: in words.
    module: name of the class they are attributes of.
    values: what the released code has, by attribute; of several each will do.
  """

  names: str
  family: str
  module: str
  values: Mapping[str, tuple[Any, ...]]


GELU = {"activation": ("gelu",)}
TANH = {"activation": ("gelu_tanh",), "epsilon": (1e-6,)}
FRAMES = {"attention": ("frame", "reused")}
RELEASED = (
  Released(SHIFT.pattern, "TSM", "TSM", {"fold_div": (8,), "bidirectional": (True,)}),
  Released(r"\.nl\.phi\.", "TSM's non-local", "NonLocal", {"form": ("embedded_gaussian",)}),
  Released(r"\.nl\.penta\.", "RNL", "RNL", {"form": ("gaussian",), "sub_sample": (False,)}),
  Released(
    r"\.path_[cf]\.",
    "BQN",
    "BQN",
    {"quiet_form": ("first",), "quiet_frames": (None,), "fusion": ("average",)},
  ),
  Released(r"\.path_[cf]\.pool\.post_conv\.", "BQN", "BQN", {"consensus": ("features",)}),
  Released(r"^\.(?:blocks\.\d+\.pool\.post_conv|head\.lin_5)\.", "X3D", "Recognizer", {"consensus": ("features",)}),
  Released(r"^\.layer\d_bak\.", "TDN", "TDN", {"share": (0.5, 0.25)}),
  Released(
    r"\.patch_embed\.proj\.bias$", "timm's", "ViT", {"activation": ("gelu", "gelu_tanh"), "epsilon": (1e-6, 1e-5)}
  ),
  Released(r"\.encoder_layer_\d+\.|^\.vit\.", "ImageNet's ViT", "ViT", {**GELU, "epsilon": (1e-6, 1e-12)}),
  Released(
    r"\.(?:pre_layrnorm|ln_pre|norm_pre)\.",
    "OpenAI's CLIP",
    "ViT",
    {"activation": ("quick_gelu",), "epsilon": (1e-5,), **FRAMES},
  ),
  Released(r"\.embeddings\.patch_embedding\.bias$", "SigLIP", "ViT", TANH),
  Released(r"\.head\.probe$", "SigLIP", "AttentivePooler", {**TANH, "residual": (False,)}),
  Released(r"\.attn_pool\.latent$", "SigLIP", "AttentivePooler", {"residual": (False,), "epsilon": (1e-6,)}),
  Released(r"\.(?:ls1\.gamma|layer_scale1\.lambda1)$", "DINOv2", "ViT", {**GELU, **FRAMES, "epsilon": (1e-6,)}),
  Released(r"\.(?:reg_token|register_tokens)$", "DINOv2", "ViT", {"interpolation": ("cubic_antialias",)}),
  Released(
    r"^\.videomae\.|\.attn\.q_bias$",
    "VideoMAE",
    "ViT",
    {**GELU, "positions": ("sincos",), "attention": ("joint",), "epsilon": (1e-6, 1e-12)},
  ),
  Released(
    r"\.temporal_(?:norm1|layernorm)\.",
    "TimeSformer",
    "ViT",
    {**GELU, "interpolation": ("nearest",), "epsilon": (1e-6,)},
  ),
  Released(
    r"^\.vjepa2\.|\.encoder\.layer\.\d+\.attention\.proj\.",
    "V-JEPA 2",
    "ViT",
    {**GELU, "positions": ("rotary",), "extend": (True,), "attention": ("joint",), "epsilon": (1e-6,)},
  ),
  Released(r"\.pooler\.query_tokens$", "V-JEPA 2", "AttentivePooler", {**GELU, "residual": (True,)}),
)


def twin(told: str) -> str | None:
  """Which of `TWINS` a text names (an architecture, a file), and why it fits no network here; None for others."""
  for name, why in TWINS.items():
    if found := re.search(rf"(?<![a-z]){name}\d+", told.lower()):
      return f"{found[0]}, which {why}: ResNet's names and shapes, but another network"
  return None


def contradictions(network: nn.Module, loaded: Mapping[str, str]) -> list[str]:
  """What the checkpoint's names tell and the network does otherwise, each with the remedy.

  Args:
    network: the one that is filled.
    loaded: names of tensors, by path of the variable they fill.
  """
  found = []
  of_tsn = all(name.startswith("base_model.") or "fc." in name for name in loaded.values())
  of_tsn = of_tsn and not any(OTHER_VIDEO.search(f".{name}") for name in loaded.values())
  for place, sites in _sites(network, loaded).items():
    shifts = {site for site, inserts in sites.items() if _has(inserts, "before", (TSM, TIM))}
    names = {site: name for path, name in loaded.items() if SHIFT.search(f".{name}") and (site := _site(path, place))}
    if names and set(names) != shifts:
      here = "no block" if not shifts else "all blocks" if shifts == set(sites) else f"{len(shifts)} of {len(sites)}"
      found.append(
        f"{next(iter(names.values()))} lies behind TSM's temporal shift, as {len(names)} of {len(sites)} blocks do, "
        f"and this network shifts {here}: give its backbone {_shift(set(names), set(sites))}"
      )
    if shifts and not names and of_tsn and any(path.startswith("params/classifier/") for path in loaded):
      found.append(
        "its names are those of TSM's released code without the temporal shift, and this network shifts "
        f"{len(shifts)} blocks: leave out Insert(TSM(), 'before'), or fine-tune it with new=('classifier',)"
      )
    for path, name in loaded.items():
      pooled, site = ".nl.g.0." in name, _site(path, place)
      if site and ".nl.g." in name and (pooled or name.startswith("base_model.")):
        blocks = [m for insert in sites[site] for m in _parts(insert.module) if isinstance(m, NonLocal)]
        if any(block.sub_sample != pooled for block in blocks):
          keys = "pooled" if pooled else "not pooled"
          found.append(f"{name} says that keys are {keys}: take NonLocal(sub_sample={pooled})")
          break
  return found


def differences(network: nn.Module, loaded: Mapping[str, str]) -> list[str]:
  """What the released code of the checkpoint's family has set otherwise than the network, where names cannot tell.

  Args:
    network: the network that was filled.
    loaded: path of a variable -> name of the tensor that fills it.
  """
  names = [f".{name.removeprefix('base_model.')}" for name in loaded.values()]
  gated = any(".cg." in name for name in names)
  found = []
  for released in RELEASED:
    if any(re.search(released.names, name) for name in names):
      for module in _parts(network):
        if type(module).__name__ != released.module:
          continue
        for key, values in released.values.items():
          here = getattr(module, key)
          # A linear head scores the mean as it averages the scores: where to pool matters with a hidden layer alone.
          if here not in values and (key != "consensus" or getattr(module, "hidden", None)):
            there = " or ".join(map(repr, values))
            found.append(f"{released.family}'s has {released.module}({key}={there}), this network {here!r}")
  for sites in _sites(network, loaded).values():
    for inserts in sites.values():
      kinds = [type(m).__name__ for insert in inserts for m in _parts(insert.module)]
      if "SpaceTimeSE" in kinds[kinds.index("RNL") if "RNL" in kinds else len(kinds) :] and gated:
        found.append("RNL's has SpaceTimeSE before RNL, this network after it")
  if isinstance(network, BQN) and any(re.search(r"\.layer\d\.\d+\.path_[cf]\.", name) for name in names):
    for sites in _sites(network, loaded).values():
      if not all(_has(inserts, "before", (TSM, TIM)) for inserts in sites.values()):
        found.append("BQN's has Insert(TSM(), 'before') in all blocks, this network not")
  return list(dict.fromkeys([*found, *_of_transformers(network, loaded)]))


def _of_transformers(network: nn.Module, loaded: Mapping[str, str]) -> Iterator[str]:
  """Heads of another number than all released ones of that width have, and a classifier of another feature map's."""
  released = {}
  for size in (*SIZES.values(), {"width": 1408, "heads": 22}):  # V-JEPA 2's giant
    released.setdefault(size["width"], []).append(size["heads"])
  for module in _parts(network):
    if type(module).__name__ == "ViT":
      width, heads, usual = module.width, module.heads, released.get(module.width, [])
      if usual and heads not in usual:
        there = " or ".join(map(str, usual))
        yield f"released transformers of width {width} have {there} heads, this network {heads}"
      tokens = any(path.endswith("stem/class_token") for path in loaded) and "params/pooled_norm/scale" not in loaded
      if tokens and module.pool == "mean" and "params/classifier/kernel" in loaded:
        yield "the checkpoint's classifier reads the class token, ViT(pool='class'), this network's the mean"


def _parts(made: Any) -> Iterator[Any]:
  """A module, and every module and insert among its attributes and theirs."""
  yield made
  for field in dataclasses.fields(made):
    value = getattr(made, field.name, None) if field.name not in ("parent", "name") else None
    for part in value if isinstance(value, (tuple, list)) else (value,):
      if dataclasses.is_dataclass(part) and not isinstance(part, type):
        yield from _parts(part)


def _site(path: str, place: str) -> tuple[int, int] | None:
  """(stage, block) of a path in the backbone at this place."""
  block = BLOCK.match(path)
  return (int(block[2]), int(block[3])) if block and block[1] == place else None


def _sites(network: nn.Module, loaded: Mapping[str, str]) -> dict[str, dict[tuple[int, int], tuple[Insert, ...]]]:
  """For every backbone whose inserts are known, by its place in the paths: what sits in each (stage, block)."""
  blocks: dict[str, set[tuple[int, int]]] = {}
  for path in loaded:
    if block := BLOCK.match(path):
      blocks.setdefault(block[1], set()).add((int(block[2]), int(block[3])))
  backbones = [part for part in _parts(network) if isinstance(getattr(part, "inserts", None), tuple)]
  if len(backbones) == 1:
    backbones *= len(blocks)
  if len(backbones) != len(blocks):
    return {}
  found = {}
  for backbone, (place, sites) in zip(backbones, sorted(blocks.items()), strict=True):
    counts = {stage: 1 + max(block for s, block in sites if s == stage) for stage, _ in sites}
    found[place] = {
      (stage, block): tuple(insert for insert in backbone.inserts if insert.chosen(stage, block, counts[stage]))
      for stage, block in sorted(sites)
    }
  return found


def _has(inserts: tuple[Insert, ...], at: str, kinds: tuple[type, ...]) -> bool:
  return any(insert.at == at and any(isinstance(m, kinds) for m in _parts(insert.module)) for insert in inserts)


def _shift(told: set[tuple[int, int]], sites: set[tuple[int, int]]) -> str:
  """The insert that shifts exactly these sites, in words for a message."""
  if told == sites:
    return "Insert(TSM(), 'before')"
  for blocks, chosen in (
    ("'even'", {site for site in sites if site[1] % 2 == 0}),
    ("TSM_BLOCKS", {site for site in sites if site[1] in (1, 2, 3)}),
  ):
    if told == chosen:
      return f"Insert(TSM(), 'before', blocks={blocks})"
  return "Insert(TSM(), 'before') in " + ", ".join(f"res{stage}/block{block}" for stage, block in sorted(told))
