"""Blends: how the gradients of several named losses become one update."""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from vidjax.errors import ConfigError
from vidjax.types import Pullback, Tree

Weight = float | Callable[[jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class Weighted:
  """The sum of the losses by fixed or scheduled weights: one backward pass, whatever their number.

  Attributes:
    weights: loss name -> number, or function of the step (any optax schedule). Losses not named weigh 1.
  """

  weights: Mapping[str, Weight] = dataclasses.field(default_factory=dict)

  def __call__(
    self, losses: dict[str, jax.Array], pullback: Pullback, step: jax.Array
  ) -> tuple[Tree, dict[str, jax.Array]]:
    """See `types.Blend`; logs `loss` (the weighted sum) and, for more than one loss, every weight."""
    unknown = sorted(set(self.weights) - set(losses))
    if unknown:
      raise ConfigError(f"blend weights name {', '.join(unknown)}, but the losses are {', '.join(sorted(losses))}")
    weights: dict[str, jax.Array] = {}
    for name in losses:
      weight = self.weights.get(name, 1.0)
      weights[name] = jnp.asarray(weight(step) if callable(weight) else weight, jnp.float32)
    notes = {"loss": sum((weights[name] * loss for name, loss in losses.items()), jnp.zeros(()))}
    if len(losses) > 1:
      notes.update({f"weight/{name}": weight for name, weight in weights.items()})
    return pullback(weights), notes
