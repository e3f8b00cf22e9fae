"""The vision attention chain: channel attention, then space-time attention (thesis 4.4, Fig. 4.6)."""

from typing import Annotated

import flax.linen as nn
import jax

from vidjax.bounds import Bound
from vidjax.checks import check_fields
from vidjax.layers import apply_in_order


class Chain(nn.Module):
  """Plug-ins one after the other as one plug-in, such as SE and RNL, or SE and CPA: `[B,T,H,W,C]`, as x.

  Attributes:
    modules: templates, applied in order; each is copied under its class' name, a second of one class as `RNL_2`.
  """

  modules: Annotated[tuple[nn.Module, ...], Bound("a tuple of one or more modules, such as (SE(), RNL())", len)]

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns what the last module returns; raises ConfigError for a chain of nothing."""
    check_fields(self)
    return apply_in_order(self.modules, x, train)
