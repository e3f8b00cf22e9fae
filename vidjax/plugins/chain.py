"""The vision attention chain: channel attention, then space-time attention (thesis 4.4, Fig. 4.6)."""

import flax.linen as nn
import jax

from vidjax.checks import check_fields, place
from vidjax.errors import ConfigError
from vidjax.layers import apply_in_order


class Chain(nn.Module):
  """Plug-ins one after the other as one plug-in, such as SE and RNL, or SE and CPA: `[B,T,H,W,C]`, as x.

  Attributes:
    modules: templates, applied in order; each is copied under its class' name, a second of one class as `RNL_2`.
  """

  modules: tuple[nn.Module, ...]

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns what the last module returns; raises ConfigError for a chain of nothing."""
    check_fields(self)
    if not self.modules:
      raise ConfigError(f"Chain at {place(self)} has no modules: give it one or more, such as (SE(), RNL())")
    return apply_in_order(self.modules, x, train)
