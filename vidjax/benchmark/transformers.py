"""Speed of vision transformers against timm's and Hugging Face's, and what each kind of attention costs over time.

Both sides have the same numbers of parameters, but for the position of a class token, which is part of the token here.
Hugging Face's attention is PyTorch's `scaled_dot_product_attention`, its default.
"""

import functools
import importlib
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from vidjax.analyse.cost import count_macs
from vidjax.apply.once import jit_once
from vidjax.backbones.released_vits import imagenet, timesformer, videomae
from vidjax.backbones.vit import ViT
from vidjax.benchmark.measure import Spread, say
from vidjax.benchmark.pytorch import NUM_CLASSES, Case, measure_pytorch
from vidjax.networks.recognizer import Recognizer

LENGTHS = (4, 8, 16, 32)
KINDS: dict[str, dict[str, Any]] = {
  "frame": {},
  "divided": {"attention": "divided", "time_positions": True},
  "joint": {"attention": "joint", "time_positions": True},
}


def _timm() -> Any:
  return importlib.import_module("timm").create_model("vit_base_patch16_224", num_classes=NUM_CLASSES)


def _videomae() -> Any:
  return _hugging_face("VideoMAEConfig", "VideoMAEForVideoClassification")


def _timesformer() -> Any:
  return _hugging_face("TimesformerConfig", "TimesformerForVideoClassification")


def _hugging_face(config: str, model: str) -> Any:
  """A model that takes clips `[1, 3, T, H, W]` and returns scores."""
  torch, library = importlib.import_module("torch"), importlib.import_module("transformers")

  class Scores(torch.nn.Module):
    def __init__(self):
      super().__init__()
      self.model = getattr(library, model)(getattr(library, config)(num_labels=NUM_CLASSES))

    def forward(self, clips: Any) -> Any:
      return self.model(clips.transpose(1, 2)).logits

  return Scores()


CASES: dict[str, Case] = {
  "ViT-B/16, 8 frames": Case(
    Recognizer(imagenet("base"), NUM_CLASSES, dropout=0.0), (8, 224, 224), _timm, only_theirs=768
  ),
  "TimeSformer-B": Case(
    Recognizer(timesformer("base"), NUM_CLASSES, dropout=0.0),
    (8, 224, 224),
    _timesformer,
    frames=False,
    only_theirs=768,
  ),
  "VideoMAE-B": Case(
    Recognizer(videomae("base"), NUM_CLASSES, dropout=0.0, consensus="features", pooled_norm=1e-6),
    (16, 224, 224),
    _videomae,
    frames=False,
  ),
}


def measure_transformers(runs: int) -> dict[str, dict[str, Spread]]:
  """As `benchmark.pytorch.measure_pytorch`, of `CASES`; needs torch, timm and transformers."""
  return measure_pytorch(runs, CASES)


def measure_attention(
  runs: int, lengths: Sequence[int] = LENGTHS, size: int = 224, small: dict[str, int] | None = None
) -> dict[str, dict[str, Any]]:
  """What a clip of more frames costs with each kind of attention, in a ViT-S/16.

  Args:
    runs: how often the time is taken.
    lengths: frames of a clip.
    size: side of the frames.
    small: fields of ViT in place of those of ViT-S.

  Returns:
    "16 frames, joint" and the like -> column -> number or Spread. Memory is that of the compiler's plan for
    activations.
  """
  found: dict[str, dict[str, Any]] = {}
  sides = small or {"width": 384, "depth": 12, "heads": 6, "patch": 16}
  for length in lengths:
    grid = length, size // sides["patch"], size // sides["patch"]
    for kind, settings in KINDS.items():
      say(f"{length} frames, {kind}")
      network = Recognizer(ViT(**sides, grid=grid, **settings), NUM_CLASSES)
      clip = jnp.zeros((1, length, size, size, 3))
      variables = jit_once(functools.partial(network.init, train=False))(jax.random.key(0), clip)
      variables = {"params": variables["params"]}
      made: Any = network
      run = jax.jit(functools.partial(_scores, made))
      compiled: Any = run.lower(variables, clip).compile()
      times = []
      for number in range(-1, runs):
        start = time.perf_counter()
        jax.block_until_ready(compiled(variables, clip))
        times += [1e3 * (time.perf_counter() - start)] if number >= 0 else []
      found[f"{length} frames, {kind}"] = {
        "GMAC": count_macs(run, variables, clip) / 1e9,
        "ms": Spread.of(times),
        "ms a frame": Spread.of([one / length for one in times]),
        "MiB": compiled.memory_analysis().temp_size_in_bytes / 2**20,
      }
  return found


def _scores(network: Any, variables: Any, clip: jax.Array) -> jax.Array:
  return network.apply(variables, clip, False).logits
