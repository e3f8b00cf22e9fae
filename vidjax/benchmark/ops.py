"""Speed of the convolutions against XLA's own and, where torch is installed, PyTorch's, in turn in one process."""

import dataclasses
import importlib
import importlib.util
import math
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax import lax

from vidjax.benchmark.measure import Spread, say
from vidjax.ops.convolution import convolution


@dataclasses.dataclass(frozen=True)
class Case:
  """One convolution.

  Attributes:
    clip: `[N, *spatial, C]` of the input.
    taps: of the kernel along every spatial axis; the input is padded by half of them.
    features: channels that come out; None for a depthwise convolution.
    stride: of the last two spatial axes.
  """

  clip: tuple[int, ...]
  taps: tuple[int, ...]
  features: int | None = None
  stride: int = 1

  @property
  def groups(self) -> int:
    """Groups of channels that do not see each other."""
    return 1 if self.features else self.clip[-1]

  @property
  def kernel(self) -> tuple[int, ...]:
    """Shape of the kernel."""
    return (*self.taps, self.clip[-1] // self.groups, self.features or self.clip[-1])

  @property
  def strides(self) -> tuple[int, ...]:
    """Strides of all spatial axes."""
    return ((1,) * len(self.taps) + (self.stride, self.stride))[-len(self.taps) :]

  @property
  def padding(self) -> tuple[tuple[int, int], ...]:
    """(before, after) of all spatial axes."""
    return tuple((k // 2, k // 2) for k in self.taps)


CASES: dict[str, Case] = {
  "X3D 3x3x3": Case((1, 8, 56, 56, 54), (3, 3, 3)),
  "X3D 5x1x1": Case((1, 16, 112, 112, 24), (5, 1, 1)),
  "MBPM 9x9": Case((24, 224, 224, 3), (9, 9)),
  "MobileNetV2 3x3": Case((8, 56, 56, 144), (3, 3)),
  "MobileNetV2 3x3, stride 2": Case((8, 56, 56, 144), (3, 3), stride=2),
  "RNL 3x7x7": Case((1, 8, 28, 28, 256), (3, 7, 7)),
  "ResNet 7x7, stride 2": Case((8, 224, 224, 3), (7, 7), 64, 2),
  "ResNet 3x3": Case((8, 56, 56, 64), (3, 3), 64),
  "ResNet 1x1": Case((8, 56, 56, 64), (1, 1), 256),
}
"""Depthwise and other convolutions of the networks, one clip of 8 frames of 224 x 224 unless said otherwise."""

DEAR = 500.0
"""Milliseconds from which one run of a candidate is enough: XLA's depthwise convolutions on a CPU take seconds."""
HOPELESS = 2000.0
"""Milliseconds forward from which a candidate is not measured backward, which takes it minutes."""

Run = Callable[[], Any]


def measure_ops(runs: int, cases: Mapping[str, Case] | None = None) -> dict[str, dict[str, Spread]]:
  """Times every case forward, and forward with both gradients; all candidates take their turn in every run.

  Args:
    runs: timings of each candidate.
    cases: by name; those of the networks by default.

  Returns:
    For each case and direction, the milliseconds of "vidjax", "lax" (not backward where it is hopeless) and, where
    torch is installed, of "torch" and "torch, channels last".
  """
  results = {}
  for name, case in (CASES if cases is None else cases).items():
    arrays = _draw(case)
    candidates = _jax(case, *arrays)
    if importlib.util.find_spec("torch"):
      candidates |= _torch(case, *arrays)
    for index, direction in enumerate(("forward", "forward + backward")):
      say(f"{name}, {direction}")
      times = _race({who: pair[index] for who, pair in candidates.items()}, runs)
      results[f"{name}, {direction}"] = times
      candidates = {who: pair for who, pair in candidates.items() if times[who].median < HOPELESS}
  return results


def _race(candidates: Mapping[str, Run], runs: int) -> dict[str, Spread]:
  """Milliseconds of every candidate; each turn is one run that is not counted and one that is, of 20 ms at least."""
  often, times = {}, {}
  for name, run in candidates.items():
    _seconds(run, 1)  # compiles
    once = _seconds(run, 1)
    often[name], times[name] = math.ceil(0.02 / once), [1e3 * once] if 1e3 * once >= DEAR else []
  for _ in range(runs):
    for name, run in candidates.items():
      if not times[name] or times[name][0] < DEAR:
        _seconds(run, often[name])  # until the threads of the last candidate, which spin for milliseconds, sleep
        times[name].append(1e3 * _seconds(run, often[name]))
  return {name: Spread.of(values) for name, values in times.items()}


def _seconds(run: Run, often: int) -> float:
  start = time.perf_counter()
  for _ in range(often):
    run()
  return (time.perf_counter() - start) / often


def _draw(case: Case) -> list[np.ndarray]:
  """Input, kernel and gradient of the output."""
  rng = np.random.default_rng(0)
  sizes = zip(case.clip[1:-1], case.taps, case.strides, strict=True)
  result = (case.clip[0], *((n + 2 * (k // 2) - k) // s + 1 for n, k, s in sizes), case.kernel[-1])
  return [rng.standard_normal(shape, np.float32) for shape in (case.clip, case.kernel, result)]


def _jax(case: Case, x: np.ndarray, kernel: np.ndarray, g: np.ndarray) -> dict[str, tuple[Run, Run]]:
  spatial = "DHW"[3 - len(case.taps) :]
  options: Any = {"dimension_numbers": (f"N{spatial}C", f"{spatial}IO", f"N{spatial}C")}

  def pair(lowering: Callable[..., jax.Array]) -> tuple[Run, Run]:
    def conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
      return lowering(x, kernel, case.strides, case.padding, feature_group_count=case.groups, **options)

    def both(x: jax.Array, kernel: jax.Array, g: jax.Array) -> Any:
      y, pull_back = jax.vjp(conv, x, kernel)
      return y, *pull_back(g)

    forward, backward, arrays = jax.jit(conv), jax.jit(both), jax.device_put((x, kernel, g))
    return lambda: jax.block_until_ready(forward(*arrays[:2])), lambda: jax.block_until_ready(backward(*arrays))

  return {"vidjax": pair(convolution), "lax": pair(lax.conv_general_dilated)}


def _torch(case: Case, x: np.ndarray, kernel: np.ndarray, g: np.ndarray) -> dict[str, tuple[Run, Run]]:
  """On the cores this process may use, in PyTorch's own layout and with the channels last."""
  torch = importlib.import_module("torch")
  torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
  axes = len(case.taps)
  function = getattr(torch.nn.functional, f"conv{axes}d")
  halves = [before for before, _ in case.padding]

  def pair(memory_format: Any) -> tuple[Run, Run]:
    places = np.moveaxis(x, -1, 1), np.moveaxis(kernel, (-1, -2), (0, 1)), np.moveaxis(g, -1, 1)
    ours = [torch.tensor(np.ascontiguousarray(a)).contiguous(memory_format=memory_format) for a in places]
    leaves = [tensor.requires_grad_() for tensor in ours[:2]]

    def conv() -> Any:
      return function(*leaves, None, case.strides, halves, 1, case.groups)

    def forward() -> None:
      with torch.no_grad():
        conv()

    return forward, lambda: torch.autograd.grad(conv(), leaves, ours[2])

  last = {2: torch.channels_last, 3: torch.channels_last_3d}.get(axes)
  return {"torch": pair(torch.contiguous_format), **({"torch, channels last": pair(last)} if last else {})}
