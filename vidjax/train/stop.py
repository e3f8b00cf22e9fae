"""Rules that end a training early: called with all validations so far."""

import dataclasses
from collections.abc import Mapping, Sequence

from vidjax.bounds import Count, NonNegative
from vidjax.checks import check_fields
from vidjax.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class NoGain:
  """Stops when the best of the last validations is no better than the best before them.

  Attributes:
    metric: the number of a validation, such as "top1" or "loss/classification".
    patience: how many validations may pass without a gain.
    least: a gain is more than this.
    lower: a lower number is better, as of a loss.
  """

  metric: str = "top1"
  patience: Count = 3
  least: NonNegative = 0.0
  lower: bool = False

  def __post_init__(self):
    check_fields(self)

  def __call__(self, history: Sequence[Mapping[str, float]]) -> bool:
    """Whether to stop; ConfigError where the validations have no such number."""
    if history and self.metric not in history[-1]:
      raise ConfigError(f"NoGain(metric={self.metric!r}): a validation has {', '.join(history[-1])}")
    numbers = [(-1 if self.lower else 1) * one[self.metric] for one in history]
    before, recent = numbers[: -self.patience], numbers[-self.patience :]
    return bool(before) and max(recent) <= max(before) + self.least


@dataclasses.dataclass(frozen=True)
class Below:
  """Stops when a number of the last validation is below a bound.

  Attributes:
    metric: the number, such as "changed", the share of windows whose cluster changed between two epochs.
    bound: what it must be below; .001 in deep embedding clustering.
  """

  metric: str = "changed"
  bound: NonNegative = 1e-3

  def __post_init__(self):
    check_fields(self)

  def __call__(self, history: Sequence[Mapping[str, float]]) -> bool:
    """Whether to stop; ConfigError where the validations have no such number."""
    if history and self.metric not in history[-1]:
      raise ConfigError(f"Below(metric={self.metric!r}): a validation has {', '.join(history[-1])}")
    return bool(history) and history[-1][self.metric] < self.bound
