"""Inputs one after the other as one input, such as optical flow and then TSP (the flow stream of thesis Fig. 3.4)."""

from typing import Annotated

import flax.linen as nn
import jax

from vidjax.bounds import Bound
from vidjax.checks import check_fields
from vidjax.layers import apply_in_order


class Series(nn.Module):
  """Applies inputs in order, each to what the one before it makes: `[B,T,H,W,C] -> [B,T',H',W',C']`.

  Attributes:
    modules: templates; each is copied under its class' name, a second of one class as `TSP_2`.
  """

  modules: Annotated[tuple[nn.Module, ...], Bound("a tuple of one or more modules, such as (Flow(), TSP())", len)]

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns what the last one makes; raises ConfigError for a series of nothing."""
    check_fields(self)
    return apply_in_order(self.modules, x, train)
