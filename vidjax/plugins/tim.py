"""Temporal Interaction Module (TEINet, Liu et al., AAAI 2020): a temporal shift whose taps are learnt."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.checks import check_clip, place
from vidjax.errors import ConfigError
from vidjax.ops.depthwise import depthwise_convolution


class TIM(nn.Module):
  """Convolves every channel over time with a kernel of its own, zeros beyond the clip: `[B,T,H,W,C] -> [B,T,H,W,C]`.

  It starts as TSM exactly; all channels learn, also those that start as the identity. Its place is "before". The
  parameter `kernel` is `[k, 1, 1, 1, C]`; tap i reads frame `t + i - k // 2`.

  Attributes:
    fold_div: of the TSM it starts as; C // fold_div channels move in each direction.
    kernel: k, frames a kernel spans, odd.
  """

  fold_div: int = 8
  kernel: int = 3

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns the convolved clip; raises ConfigError where no channel would move or the kernel has no middle."""
    check_clip(self, x)
    channels = x.shape[-1]
    fold = channels // self.fold_div if self.fold_div > 1 else 0
    if channels < 2:
      raise ConfigError(f"TIM at {place(self, x)} got {channels} channel: it takes 2 or more")
    if fold < 1 or self.kernel < 3 or self.kernel % 2 == 0:
      raise ConfigError(
        f"TIM(fold_div={self.fold_div}, kernel={self.kernel}) at {place(self, x)}: {channels} channels want a "
        f"fold_div from 2 to {channels}, and the kernel must be odd and at least 3"
      )
    half = self.kernel // 2

    def shift(key: jax.Array) -> jax.Array:
      offset = jnp.zeros(channels, int).at[:fold].set(1).at[fold : 2 * fold].set(-1)
      return jax.nn.one_hot(half + offset, self.kernel, axis=0).reshape(self.kernel, 1, 1, 1, channels)

    kernel = self.param("kernel", shift)
    clips = x.reshape(-1, *x.shape[-4:])
    y = depthwise_convolution(clips, kernel, (1, 1, 1), ((half, half), (0, 0), (0, 0)))
    return y.reshape(x.shape)
