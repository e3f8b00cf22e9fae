"""Some channels of a clip: what one stream of a network reads of a clip that holds the inputs of several."""

import flax.linen as nn
import jax

from vidjax.checks import check_clip, place
from vidjax.errors import ConfigError


class Channels(nn.Module):
  """Keeps neighbouring channels: `[B,T,H,W,C] -> [B,T,H,W,count]`.

  Of `vidjax.data.streams.FramesAndFlow`, `Channels(0, 3)` are the frames and `Channels(3, 2)` the flow.

  Attributes:
    first: number of the first one, from 0.
    count: how many.
  """

  first: int = 0
  count: int = 3

  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns these channels; raises ConfigError where the clip has fewer."""
    check_clip(self, x)
    if self.first < 0 or self.count < 1 or self.first + self.count > x.shape[-1]:
      raise ConfigError(
        f"Channels(first={self.first}, count={self.count}) at {place(self, x)}: the clip has {x.shape[-1]} channels"
      )
    return x[..., self.first : self.first + self.count]
