"""Learning-rate schedules with warm-up, in epochs (thesis 3.6.1, 5.5.1; TSN's steps), and a loss's (Eq. 3.19)."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import jax.numpy as jnp
import optax

from vidjax.bounds import NonNegative, Positive, Share
from vidjax.checks import check_fields, checked
from vidjax.errors import ConfigError


@checked
def cosine(
  learning_rate: NonNegative,
  epochs: Positive,
  warmup_epochs: NonNegative = 0,
  warmup_from: NonNegative = 0.1,
  end: NonNegative = 0.0,
):
  """Linear warm-up from `warmup_from * learning_rate`, then a half cosine down to `end * learning_rate`.

  Returns a function of steps_per_epoch that returns the optax schedule, as do all functions of this module.

  Args:
    learning_rate: the largest one.
    epochs: of the training.
    warmup_epochs: of the rise, within these.
    warmup_from: share of the rate at the start of the rise.
    end: share of the rate at the end of the training.
  """
  _check_warmup(epochs, warmup_epochs)

  def schedule(steps_per_epoch: int) -> optax.Schedule:
    total = max(round(epochs * steps_per_epoch), 1)
    warmup = min(round(warmup_epochs * steps_per_epoch), total - 1)  # of few steps, rounding may leave none else
    if not warmup:
      return optax.cosine_decay_schedule(learning_rate, total, end)
    first, last = warmup_from * learning_rate, end * learning_rate
    return optax.warmup_cosine_decay_schedule(first, learning_rate, warmup, total, last)

  return schedule


@checked
def steps(
  learning_rate: NonNegative,
  epochs: Positive,
  at: Sequence[float],
  factor: NonNegative = 0.1,
  warmup_epochs: NonNegative = 0,
  warmup_from: NonNegative = 0.1,
  of: Literal["epochs", "training"] = "epochs",
):
  """Linear warm-up, then a constant rate multiplied by `factor` at each epoch of `at`.

  Args:
    learning_rate: before the first drop.
    epochs: of the training.
    at: epochs of the drops.
    factor: of each drop.
    warmup_epochs: as in `cosine`.
    warmup_from: as in `cosine`.
    of: what `at` counts: "epochs", or shares of the "training", from 0 to 1.
  """
  _check_warmup(epochs, warmup_epochs)
  if of == "training":
    at = [share * epochs for share in at]
  if any(not warmup_epochs <= epoch <= epochs for epoch in at):
    raise ConfigError(
      f"schedule.at={tuple(at)}: epochs must lie between the warm-up's end, {warmup_epochs:g}, and the training's,"
      f" {epochs:.4g}: set --config.schedule.at or --config.train.epochs"
    )

  def schedule(steps_per_epoch: int) -> optax.Schedule:
    warmup = round(warmup_epochs * steps_per_epoch)
    drops: dict[int, float] = {}
    for epoch in at:  # two may fall on one step of a short training
      step = round(epoch * steps_per_epoch) - warmup
      drops[step] = drops.get(step, 1.0) * factor
    constant = optax.piecewise_constant_schedule(learning_rate, drops)
    if not warmup:
      return constant
    ramp = optax.linear_schedule(warmup_from * learning_rate, learning_rate, warmup)
    return optax.join_schedules([ramp, constant], [warmup])

  return schedule


@checked
def constant(learning_rate: NonNegative, epochs: Positive = 1):
  """The same rate throughout (Adadelta's 1.0), however long that is.

  Args:
    learning_rate: throughout.
    epochs: of the training; nothing depends on them.
  """
  return lambda steps_per_epoch: optax.constant_schedule(learning_rate)


@dataclasses.dataclass(frozen=True)
class Scale:
  """The scale scheduler of joint training (thesis Eq. 3.19): from 1 to `lam` after `gamma` of the training, then to 0.

  Both parts are half cosines of the logarithm of the step. As printed, the second part counts from the training's
  start, so that it neither begins where the first one ends nor falls throughout; here it counts from its own start.
  For Eq. 3.15, `Weighted({"projection": Scale(), "classification": Scale(rest=True)})`.

  Attributes:
    gamma: share of the training that the first part takes.
    lam: lambda, the weight at its end.
    printed: Eq. 3.19 to the letter.
    rest: 1 - alpha in place of alpha.
  """

  gamma: Share = 0.2
  lam: Share = 0.3
  printed: bool = False
  rest: bool = False

  def __post_init__(self):
    check_fields(self)

  def over(self, total_steps: int) -> optax.Schedule:
    """The optax schedule of a training of so many steps. Step 0, whose logarithm is not finite, counts as 1."""
    turn = self.gamma * total_steps
    first, second = (max(math.log(max(steps, 1)), 1e-6) for steps in (turn, total_steps - turn))

    def schedule(step):
      m = jnp.maximum(jnp.asarray(step, jnp.float32), 1)
      early = (1 + jnp.cos(math.acos(2 * self.lam - 1) * jnp.log(m) / first)) / 2
      since = m if self.printed else jnp.clip(m - turn, 1, max(total_steps - turn, 1))
      phase = jnp.log(since) / second
      alpha = jnp.where(m < turn, early, self.lam * (1 + jnp.cos(math.pi * phase)) / 2)
      return 1 - alpha if self.rest else alpha

    return schedule


def _check_warmup(epochs: float, warmup_epochs: float) -> None:
  if warmup_epochs >= epochs:
    raise ConfigError(
      f"schedule.warmup_epochs={warmup_epochs:g}: the whole training has {epochs:.4g} epochs: lower"
      " --config.schedule.warmup_epochs, or raise --config.train.epochs"
    )
