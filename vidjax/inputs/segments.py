"""Does the sampler cut a clip into the segments that the network reads? A clip's length does not tell."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import flax.linen as nn

from vidjax.errors import ConfigError
from vidjax.inputs.mbpm import MBPM
from vidjax.inputs.series import Series


def check_segments(network: nn.Module, sampler: Any) -> None:
  """Compares the sampler's segments with those of the inputs in a network.

  A sampler of 2 frames a segment and an input that reads 3 would take differences, flow or a projection across the gap
  between two segments. Samplers of one frame a segment, or of none, have no such gap.

  Args:
    network: whose modules with `frames`, or `frames_per_segment`, read that many at once.
    sampler: one with `frames_per_segment`, or any other.

  Raises:
    ConfigError: an input reads across segments.
  """
  sampled = getattr(sampler, "frames_per_segment", 1)
  if sampled == 1:
    return
  for module, read in _readers(network):
    if sampled % read:
      name = type(module).__name__
      raise ConfigError(
        f"{name} reads {read} frames at once, but the sampler's segments have {sampled} neighbouring frames each, so "
        f"that it would read across a gap: set --config.sampler.frames_per_segment={read}, or the frames of {name} to "
        f"a divisor of {sampled}"
      )


def _readers(made: Any) -> Iterator[tuple[Any, int]]:
  """(module, frames that it reads at once) of those that read a clip as it was sampled."""
  read = getattr(made, "frames_per_segment", getattr(made, "frames", None))
  if isinstance(made, MBPM) and made.stride > 1:
    read = made.stride
  if isinstance(made, nn.Module) and isinstance(read, int):
    yield made, read
  if isinstance(made, Series):  # those behind the first read what it makes
    yield from next(filter(None, (list(_readers(module)) for module in made.modules)), [])
    return
  for field in dataclasses.fields(made):
    value = getattr(made, field.name, None) if field.name not in ("parent", "name") else None
    for part in value if isinstance(value, (tuple, list)) else (value,):
      if dataclasses.is_dataclass(part) and not isinstance(part, type):
        yield from _readers(part)
