"""A learning rate that falls when the validation stands still (thesis 3.3.1), exact on resume.

The factor follows from the validations so far and nothing else. It is kept in the optimizer's state, so that a
checkpoint holds it, and changes between two steps, after a validation.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from vidjax.bounds import Between, Count, NonNegative
from vidjax.checks import check_fields
from vidjax.errors import ConfigError
from vidjax.types import State


@dataclasses.dataclass(frozen=True)
class Plateau:
  """A constant rate, multiplied by `factor` after `patience` validations in a row without a gain.

  Attributes:
    learning_rate: at the start.
    epochs: of the training; nothing depends on them.
    factor: of each fall.
    patience: validations without a gain before the rate falls; the next count begins there.
    gain: a gain is more than this.
    metric: the number of a validation, lower is better with "-" before it; "" for the task's metric.
  """

  learning_rate: NonNegative
  epochs: float = 1
  factor: Between = 0.1
  patience: Count = 2
  gain: NonNegative = 0.0
  metric: str = ""

  def __post_init__(self):
    check_fields(self)

  def __call__(self, steps_per_epoch: int) -> optax.Schedule:
    """The rate without its falls."""
    return optax.constant_schedule(self.learning_rate)

  def scale(self, history: Sequence[Mapping[str, float]], metric: str) -> float:
    """The factor after these validations.

    Args:
      history: the numbers of every validation, the first one first.
      metric: the task's.

    Raises:
      ConfigError: the validations have no such number.
    """
    name = self.metric or metric
    sign, name = (-1, name[1:]) if name.startswith("-") else (1, name)
    if history and name not in history[-1]:
      raise ConfigError(f"Plateau(metric={self.metric!r}): a validation has {', '.join(history[-1])}")
    scale, waited, best = 1.0, 0, -float("inf")
    for validation in history:
      value = sign * validation[name]
      gained = value > best + self.gain
      best, waited = (value, 0) if gained else (best, waited + 1)
      if waited == self.patience:
        scale, waited = scale * self.factor, 0
    return scale


class _Factor(NamedTuple):
  """The state of `scaled`."""

  factor: jax.Array


def scaled(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
  """An optimizer whose updates are multiplied by a factor, 1 until `set_factor` changes it."""

  def update(updates, state, params=None):
    return jax.tree.map(lambda u: state.factor * u, updates), state

  factor = optax.GradientTransformation(lambda params: _Factor(jnp.ones(())), update)
  return optax.chain(optimizer, factor)


def set_factor(state: State, factor: float) -> State:
  """The state of a training whose optimizer is `scaled`, with another factor.

  Args:
    state: of that training.
    factor: the rate's, from `Plateau.scale`.
  """
  inner, before = state.opt_state
  placed = jax.device_put(jnp.float32(factor), before.factor.sharding)
  return dataclasses.replace(state, opt_state=(inner, _Factor(placed)))
