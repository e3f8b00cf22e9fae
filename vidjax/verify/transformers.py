"""Tiny networks of every family of transformers with released weights, for parity: as the references name them.

They are 32 channels wide and five blocks deep, so that the four stages differ. Frames are of 32 pixels, patches of 8;
DINOv2's are of 14. Those that end in "hub" are named as on the Hugging Face hub; "original" is the authors' own code.
"""

from typing import Any

import flax.linen as nn

from vidjax.backbones.released_vits import clip, dinov2, imagenet, siglip, timesformer, videomae, vjepa2
from vidjax.networks.attentive import AttentivePooler
from vidjax.networks.recognizer import Recognizer

CLASSES = 5
TINY: dict[str, Any] = {"width": 32, "depth": 5, "heads": 2, "hidden": 64, "patch": 8}
FRAME: dict[str, Any] = {**TINY, "grid": (1, 4, 4)}
DINOV2: dict[str, Any] = {**TINY, "patch": 14}
VIDEO: dict[str, Any] = {**TINY, "grid": (2, 4, 4)}
PROBE = {"heads": 2, "hidden": 64, "out": True, "residual": False, "norm": False, "activation": "gelu_tanh"}


def _classifier(backbone: nn.Module, **settings: Any) -> Recognizer:
  return Recognizer(backbone, CLASSES, **settings)


_dinov2_trained_on_70 = {**DINOV2, "grid": (1, 5, 5)}
_timesformer = _classifier(timesformer("base", **TINY, grid=(3, 4, 4)))
_videomae = videomae("base", **VIDEO)
NETWORKS: dict[str, nn.Module] = {
  "tiny_vit_timm": _classifier(imagenet("base", **FRAME)),
  "tiny_vit_torchvision": _classifier(imagenet("base", **FRAME)),
  "tiny_vit_hub": _classifier(imagenet("base", **FRAME, epsilon=1e-12)),
  "tiny_clip_hub": clip("base", **FRAME),
  "tiny_clip_openai": clip("base", **{**FRAME, "hidden": 128}),
  "tiny_clip_timm": clip("base", **{**FRAME, "hidden": 128}),
  "tiny_siglip_hub": _classifier(siglip("base", **FRAME), pooling=AttentivePooler(**PROBE)),
  "tiny_siglip_timm": _classifier(siglip("base", **FRAME), pooling=AttentivePooler(**PROBE)),
  "tiny_dinov2_hub": dinov2("base", **_dinov2_trained_on_70, interpolation="cubic"),
  "tiny_dinov2_resized_original": dinov2("base", **_dinov2_trained_on_70),
  "tiny_dinov2_registers_hub": dinov2("base", registers=4, **_dinov2_trained_on_70),
  "tiny_dinov2_original": dinov2("base", registers=4, **DINOV2, grid=(1, 4, 4)),
  "tiny_videomae_hub": _classifier(videomae("base", **VIDEO, epsilon=1e-12), consensus="features", pooled_norm=1e-5),
  "tiny_videomae_pretrained_hub": videomae("base", pretrained=True, **VIDEO, epsilon=1e-12),
  "tiny_videomae_original": _classifier(_videomae, consensus="features", pooled_norm=1e-6),
  "tiny_timesformer_hub": _timesformer,
  "tiny_timesformer_resized_original": _timesformer,
  "tiny_timesformer_original": _timesformer,
  "tiny_vjepa2_hub": _classifier(vjepa2("large", **VIDEO), consensus="features", pooling=AttentivePooler(2, 2)),
  "tiny_vjepa2_longer_hub": _classifier(vjepa2("large", **VIDEO), consensus="features", pooling=AttentivePooler(2, 2)),
}
"""By name of the reference; those without a classifier are compared by their features."""
