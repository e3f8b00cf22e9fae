"""Inputs one after the other as one input, such as optical flow and then TSP (the flow stream of thesis Fig. 3.4)."""

import flax.linen as nn
import jax

from vidjax.checks import check_fields, place
from vidjax.errors import ConfigError
from vidjax.layers import apply_in_order


class Series(nn.Module):
  """Applies inputs in order, each to what the one before it makes: `[B,T,H,W,C] -> [B,T',H',W',C']`.

  Attributes:
    modules: templates; each is copied under its class' name, a second of one class as `TSP_2`.
  """

  modules: tuple[nn.Module, ...]

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns what the last one makes; raises ConfigError for a series of nothing."""
    check_fields(self)
    if not self.modules:
      raise ConfigError(f"Series at {place(self)} has no modules: give it one or more, such as (Flow(), TSP())")
    return apply_in_order(self.modules, x, train)
