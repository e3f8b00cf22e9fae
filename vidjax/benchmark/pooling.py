"""What the frames of a video cost to become one vector: the deep residual representation beside others (dte).

All read the 2048 features a frame of a frozen ResNet-50 at 224 x 224. Sizes are those of `configs/deep_residual.py`;
the LSTM has the same layers and reads every frame once, the transformer has their first width.
"""

import functools
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.analyse.cost import count_macs
from vidjax.apply.once import jit_once
from vidjax.backbones.resnet import ResNet
from vidjax.benchmark.measure import Spread, say
from vidjax.networks.deep_residual import DeepResidual
from vidjax.networks.pooling import LSTMClassifier, TransformerClassifier
from vidjax.networks.probe import Probe
from vidjax.networks.recognizer import Recognizer

CLASSES, WIDTHS, CLUSTERS, FEATURES = 101, (256, 64), 64, 2048
LENGTHS = (16, 64, 256, 1024)
FRAMES = 8
"""Frames that the backbone reads at a time; the time of a frame is a share of theirs."""
POOLINGS = {
  "mean pooling": Probe(CLASSES, normalise=True),
  "deep residual": DeepResidual(CLASSES, WIDTHS, remove_mean=True, clusters=CLUSTERS, normalise=True),
  "LSTM": LSTMClassifier(CLASSES, WIDTHS),
  "transformer": TransformerClassifier(CLASSES, WIDTHS[0]),
}


def measure_pooling(
  runs: int,
  lengths: Sequence[int] = LENGTHS,
  features: int = FEATURES,
  backbone: nn.Module | None = None,
  size: int = 224,
) -> dict[str, dict[str, Any]]:
  """Counts and times one video of each length, `runs` times in turn.

  Args:
    runs: how often the time is taken.
    lengths: frames of a video.
    features: F.
    backbone: in place of ResNet-50, for F features a frame.
    size: side of its frames.

  Returns:
    "16 frames, LSTM" and the like -> column -> number or Spread. Where the backbone counts, its work is one frame's
    times the frames, and so is its time.
  """
  frozen = Recognizer(backbone or ResNet(50), 1)
  say(f"compilation of the backbone for {FRAMES} frames of {size} x {size}")
  look = _Forward.of(frozen, (1, FRAMES, size, size, 3), "features")
  frame_macs = look.macs() / FRAMES
  say(f"{runs} x {FRAMES} frames")
  frame_ms = [ms / FRAMES for ms in _times({"": look}, runs)[""]]
  found: dict[str, dict[str, Any]] = {}
  for length in lengths:
    say(f"compilation for {length} frames, then {runs} runs of each")
    passes = {name: _Forward.of(network, (1, length, features), "logits") for name, network in POOLINGS.items()}
    times = _times(passes, runs)
    macs = {name: one.macs() for name, one in passes.items()}
    least = macs["mean pooling"] + length * frame_macs
    quickest = [own + length * frame for own, frame in zip(times["mean pooling"], frame_ms, strict=True)]
    for name, own in times.items():
      whole = [ms + length * frame for ms, frame in zip(own, frame_ms, strict=True)]
      found[f"{length} frames, {name}"] = {
        "MMAC": macs[name] / 1e6,
        "/ mean pooling": macs[name] / macs["mean pooling"],
        "ms": Spread.of(own),
        "ms / mean pooling": Spread.of([a / b for a, b in zip(own, times["mean pooling"], strict=True)]),
        "GMAC with backbone": (macs[name] + length * frame_macs) / 1e9,
        "/ with mean pooling": (macs[name] + length * frame_macs) / least,
        "ms with backbone": Spread.of(whole),
        "ms / with mean pooling": Spread.of([a / b for a, b in zip(whole, quickest, strict=True)]),
      }
  return found


class _Forward(NamedTuple):
  """A network's answer to one clip.

  Attributes:
    run: (variables, clip) -> array, jitted.
    variables: random ones.
    clip: zeros.
  """

  run: Any
  variables: Any
  clip: jax.Array

  @classmethod
  def of(cls, network: nn.Module, shape: tuple[int, ...], answer: str) -> "_Forward":
    clip = jnp.zeros(shape)
    variables = jit_once(functools.partial(network.init, train=False))(jax.random.key(0), clip)
    variables = {kind: variables[kind] for kind in ("params", "batch_stats") if kind in variables}
    made: Any = network
    return cls(jax.jit(lambda v, x: getattr(made.apply(v, x, False), answer)), variables, clip)

  def macs(self) -> int:
    return count_macs(self.run, self.variables, self.clip)


def _times(passes: dict[str, _Forward], runs: int) -> dict[str, list[float]]:
  """Milliseconds of each forward pass: the shortest of at least five in each run, in turn."""
  times: dict[str, list[float]] = {name: [] for name in passes}
  for number in range(-1, runs):
    for name, one in passes.items():
      taken = []
      while len(taken) < 5 and sum(taken) < 1:
        start = time.perf_counter()
        jax.block_until_ready(one.run(one.variables, one.clip))
        taken.append(time.perf_counter() - start)
      times[name] += [1e3 * min(taken)] if number >= 0 else []
  return times
