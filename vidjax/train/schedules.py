"""Learning-rate schedules with warm-up, in epochs (thesis 3.6.1, 5.5.1; TSN's steps)."""

from collections.abc import Sequence

import optax

from vidjax.errors import ConfigError


def cosine(learning_rate: float, epochs: float, warmup_epochs: float = 0, warmup_from: float = 0.1):
  """Linear warm-up from `warmup_from * learning_rate`, then a half cosine down to 0.

  Returns:
    A function of steps_per_epoch that returns the optax schedule (as do all of this module).
  """
  _check(epochs, warmup_epochs)

  def schedule(steps_per_epoch: int) -> optax.Schedule:
    total, warmup = round(epochs * steps_per_epoch), round(warmup_epochs * steps_per_epoch)
    if not warmup:
      return optax.cosine_decay_schedule(learning_rate, total)
    return optax.warmup_cosine_decay_schedule(warmup_from * learning_rate, learning_rate, warmup, total)

  return schedule


def steps(
  learning_rate: float,
  epochs: float,
  at: Sequence[float],
  factor: float = 0.1,
  warmup_epochs: float = 0,
  warmup_from: float = 0.1,
):
  """Linear warm-up, then a constant rate multiplied by `factor` at each epoch of `at`."""
  _check(epochs, warmup_epochs)
  if any(not warmup_epochs <= epoch <= epochs for epoch in at):
    raise ConfigError(f"schedules.steps(at={tuple(at)}): epochs must lie between the warm-up's end and {epochs}")

  def schedule(steps_per_epoch: int) -> optax.Schedule:
    warmup = round(warmup_epochs * steps_per_epoch)
    drops = {round(epoch * steps_per_epoch) - warmup: factor for epoch in at}
    constant = optax.piecewise_constant_schedule(learning_rate, drops)
    if not warmup:
      return constant
    ramp = optax.linear_schedule(warmup_from * learning_rate, learning_rate, warmup)
    return optax.join_schedules([ramp, constant], [warmup])

  return schedule


def constant(learning_rate: float):
  """The same rate throughout (Adadelta's 1.0)."""
  return lambda steps_per_epoch: optax.constant_schedule(learning_rate)


def _check(epochs: float, warmup_epochs: float) -> None:
  if not 0 <= warmup_epochs < epochs:
    raise ConfigError(f"a schedule of {epochs} epochs cannot warm up for {warmup_epochs}")
