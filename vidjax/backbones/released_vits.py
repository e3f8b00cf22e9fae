"""The vision transformers with released weights: the settings of each family, by size.

| family | source | attention | prefix | positions |
|---|---|---|---|---|
| `imagenet` | ViT, DeiT: timm, torchvision, Hugging Face | frame | class token | learned |
| `clip` | OpenAI, open_clip, Hugging Face | frame | class token | learned |
| `siglip` | SigLIP, SigLIP 2 of one size | frame | none | learned |
| `dinov2` | Oquab et al., TMLR 2024 | frame | class token, registers | learned |
| `videomae` | VideoMAE, VideoMAE V2 | joint | none | sines and cosines |
| `timesformer` | Bertasius et al., ICML 2021 | divided | class token | learned |
| `vjepa2` | Assran et al., 2025 | joint | none | rotary |

`vidjax.weights` reads the weights; a call such as `videomae("base")` makes the backbone, and further arguments replace
its settings: `clip("base", inserts=(Insert(...),))`. Heads that belong to a family stand in `vidjax.models`.
"""

from typing import Any

from vidjax.backbones.vit import ViT
from vidjax.checks import checked
from vidjax.errors import ConfigError

SIZES: dict[str, dict[str, int]] = {
  "tiny": {"width": 192, "depth": 12, "heads": 3},
  "small": {"width": 384, "depth": 12, "heads": 6},
  "base": {"width": 768, "depth": 12, "heads": 12},
  "large": {"width": 1024, "depth": 24, "heads": 16},
  "huge": {"width": 1280, "depth": 32, "heads": 16},
  "so400m": {"width": 1152, "depth": 27, "heads": 16, "hidden": 4304},
  "giant": {"width": 1408, "depth": 40, "heads": 16, "hidden": 6144},
}
"""Published sizes; all are those of ViT (Table 1), so400m of Alabdulmohsin et al. 2023, giant of Zhai et al. 2022."""


@checked
def imagenet(size: str, patch: int = 16, pixels: int = 224, **settings: Any) -> ViT:
  """ViT and DeiT: `[B, T, H, W, 3]` to the class token of each frame, `[B, T, 1, 1, D]`.

  Args:
    size: a name of `SIZES`.
    patch: side of a patch.
    pixels: side of the frames trained on.
    settings: of ViT, in place of the family's.
  """
  return _vit(size, {"patch": patch, "grid": _square(1, pixels, patch)}, settings)


@checked
def clip(size: str, patch: int = 16, pixels: int = 224, **settings: Any) -> ViT:
  """CLIP's image tower without its projection to the space of texts; as `imagenet`.

  Args:
    size: a name of `SIZES`.
    patch: side of a patch.
    pixels: side of the frames trained on.
    settings: of ViT, in place of the family's.
  """
  own = {"patch_bias": False, "stem_norm": True, "activation": "quick_gelu", "epsilon": 1e-5}
  return _vit(size, {"patch": patch, "grid": _square(1, pixels, patch), **own}, settings)


@checked
def siglip(size: str, patch: int = 16, pixels: int = 224, **settings: Any) -> ViT:
  """SigLIP's and SigLIP 2's image tower: all tokens of each frame, `[B, T, H', W', D]`.

  Args:
    size: a name of `SIZES`.
    patch: side of a patch.
    pixels: side of the frames trained on.
    settings: of ViT, in place of the family's.
  """
  own = {"class_token": False, "pool": "mean", "activation": "gelu_tanh"}
  return _vit(size, {"patch": patch, "grid": _square(1, pixels, patch), **own}, settings)


@checked
def dinov2(size: str, registers: int = 0, pixels: int = 518, **settings: Any) -> ViT:
  """DINOv2 with patches of 14 pixels, with 4 registers or none; as `imagenet`.

  Its giant has gated MLPs, which are not built. Positions are interpolated as by its authors' code; Hugging Face and
  timm do it otherwise (`interpolation="cubic"` and "cubic_antialias").

  Args:
    size: "small", "base" or "large".
    registers: their number.
    pixels: side of the frames that the positions are made for.
    settings: of ViT, in place of the family's.
  """
  if size not in ("small", "base", "large"):
    raise ConfigError(f"dinov2({size!r}): choose small, base or large; the giant's gated MLPs are not built")
  own = {"patch": 14, "grid": _square(1, pixels, 14), "registers": registers, "layer_scale": 1.0}
  own |= {"interpolation": "cubic_antialias" if registers else "cubic_offset"}
  return _vit(size, own, settings)


@checked
def videomae(size: str, frames: int = 16, pixels: int = 224, pretrained: bool = False, **settings: Any) -> ViT:
  """VideoMAE and VideoMAE V2: `[B, T, H, W, 3]` to `[B, T/2, H/16, W/16, D]`; V2's giant has patches of 14 pixels.

  A classifier's mean is normalised in the head, `Recognizer(pooled_norm=1e-6)`, in place of the tokens.

  Args:
    size: a name of `SIZES`.
    frames: of the clips trained on.
    pixels: side of the frames trained on.
    pretrained: the encoder before its fine-tuning, which normalises the tokens.
    settings: of ViT, in place of the family's.
  """
  patch = 14 if size == "giant" else 16
  own = {"patch": patch, "tubelet": 2, "grid": _square(frames // 2, pixels, patch), "attention": "joint"}
  own |= {"positions": "sincos", "class_token": False, "pool": "mean", "bias": "qv", "last_norm": pretrained}
  return _vit(size, own, settings)


@checked
def timesformer(size: str, frames: int = 8, pixels: int = 224, **settings: Any) -> ViT:
  """TimeSformer with divided attention: `[B, T, H, W, 3]` to the class token of the clip, `[B, 1, 1, 1, D]`.

  Args:
    size: a name of `SIZES`.
    frames: of the clips trained on.
    pixels: side of the frames trained on.
    settings: of ViT, in place of the family's.
  """
  own = {"grid": _square(frames, pixels, 16), "attention": "divided", "time_positions": True}
  return _vit(size, {**own, "interpolation": "nearest"}, settings)


@checked
def vjepa2(size: str, frames: int = 64, pixels: int = 256, **settings: Any) -> ViT:
  """V-JEPA 2's encoder: `[B, T, H, W, 3]` to `[B, T/2, H/16, W/16, D]`.

  Other numbers of frames last longer or shorter, as in its authors' code; with `extend=False` they span the same time.

  Args:
    size: "large", "huge" or "giant".
    frames: of the clips trained on.
    pixels: side of the frames trained on.
    settings: of ViT, in place of the family's.
  """
  own = {"tubelet": 2, "grid": _square(frames // 2, pixels, 16), "attention": "joint", "positions": "rotary"}
  own |= {"extend": True, "class_token": False, "pool": "mean", **({"heads": 22} if size == "giant" else {})}
  return _vit(size, own, settings)


def _vit(size: str, own: dict[str, Any], settings: dict[str, Any]) -> ViT:
  if size not in SIZES:
    raise ConfigError(f"size={size!r}: choose {', '.join(SIZES)}")
  return ViT(**{**SIZES[size], **own, **settings})


def _square(frames: int, pixels: int, patch: int) -> tuple[int, int, int]:
  return frames, pixels // patch, pixels // patch
