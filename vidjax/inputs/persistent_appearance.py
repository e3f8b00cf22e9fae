"""Persistent appearance: how far the low-level features of neighbouring frames differ (PAN, Zhang et al., 2020)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.bounds import Count, Odd
from vidjax.inputs.checks import Frames, split
from vidjax.layers import conv


class PersistentAppearance(nn.Module):
  """The distance of neighbouring frames' features at each pixel: `[B,S*T,H,W,C] -> [B,S,H,W,T-1]`.

  A convolution without activation makes the features F; channel t is `sqrt(sum_c (F_t - F_{t+1} + 1e-6)^2)`. PAN's
  convolution has a bias, which cancels. A pixel that is not finite spoils the kernel's reach around it in two channels.

  Attributes:
    frames: T of a segment: 6 in the thesis's comparison, 4 in PAN.
    features: channels of F.
    kernel: of the convolution in pixels, odd.
  """

  frames: Frames = 6
  features: Count = 8
  kernel: Odd = 7

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns the distances; raises InputError where T does not divide the clip, ConfigError on attributes."""
    segments = split(self, x, self.frames)
    # The convolution is linear: of differences it is the difference, and small ones are not lost in bfloat16.
    wide = segments.astype(jnp.float32)
    change = (wide[..., :-1, :, :, :] - wide[..., 1:, :, :, :]).astype(x.dtype)
    y = conv(self.features, (self.kernel, self.kernel), padding=self.kernel // 2, name="conv")(change)
    distance = jnp.sqrt(jnp.sum((y.astype(jnp.float32) + 1e-6) ** 2, axis=-1))
    return jnp.moveaxis(distance, -3, -1).astype(x.dtype)
