"""Temporal Interaction Module (TEINet, Liu et al., AAAI 2020): a temporal shift whose taps are learnt."""

from typing import Annotated

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.bounds import at_least, odd
from vidjax.checks import check_clip, divided
from vidjax.ops.depthwise import depthwise_convolution


class TIM(nn.Module):
  """Convolves every channel over time with a kernel of its own, zeros beyond the clip: `[B,T,H,W,C] -> [B,T,H,W,C]`.

  It starts as TSM exactly; all channels learn, also those that start as the identity. Its place is "before". The
  parameter `kernel` is `[k, 1, 1, 1, C]`; tap i reads frame `t + i - k // 2`.

  Attributes:
    fold_div: of the TSM it starts as; C // fold_div channels move in each direction.
    kernel: k, frames a kernel spans, odd.
  """

  fold_div: Annotated[int, at_least(2)] = 8
  kernel: Annotated[int, odd(3)] = 3

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns the convolved clip; raises ConfigError where no channel would move or the kernel has no middle."""
    check_clip(self, x)
    channels = x.shape[-1]
    fold, half = divided(self, x, "fold_div", first=2), self.kernel // 2

    def shift(key: jax.Array) -> jax.Array:
      offset = jnp.zeros(channels, int).at[:fold].set(1).at[fold : 2 * fold].set(-1)
      return jax.nn.one_hot(half + offset, self.kernel, axis=0).reshape(self.kernel, 1, 1, 1, channels)

    kernel = self.param("kernel", shift)
    clips = x.reshape(-1, *x.shape[-4:])
    y = depthwise_convolution(clips, kernel, (1, 1, 1), ((half, half), (0, 0), (0, 0)))
    return y.reshape(x.shape)
