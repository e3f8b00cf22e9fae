"""Long-term temporal difference module (TDN, Wang et al., CVPR 2021, Eq. 6-9): what changes between segments."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidjax.bounds import Count
from vidjax.checks import check_clip, divided
from vidjax.layers import BatchNorm, conv


def nearest(x: jax.Array, height: int, width: int) -> jax.Array:
  """`[..., h, w, C]` to `[..., height, width, C]`: pixel i of n reads pixel `i h // n`, as PyTorch's "nearest".

  Args:
    x: `[..., H, W, C]`.
    height: of the result.
    width: of the result.
  """
  for axis, size in ((-3, height), (-2, width)):
    if size % x.shape[axis]:
      x = jnp.take(x, np.arange(size) * x.shape[axis] // size, axis=axis)
    else:
      x = jnp.repeat(x, size // x.shape[axis], axis=axis)
  return x


class LTDM(nn.Module):
  """Scales every value by how its segment differs from the next and the previous one: `[B,T,H,W,C] -> [B,T,H,W,C]`.

  `x + x (g(next) + g(previous)) / 2`, g from -.5 to .5, from differences of C // reduction channels at three scales:
  as they are, convolved, and convolved at half the resolution (the paper's Eq. 8; released: `mSEModule`). No segment
  lies beyond the ends: the difference there is 0. In TDN its place is "middle" of res3 to res5, before a TIM.

  Attributes:
    reduction: r; C // r channels inside.
  """

  reduction: Count = 16

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns the scaled clip; sows the factors, from .5 to 1.5 and shaped as it, as "excitation".

    Raises InputError on images and ConfigError where r leaves no channel.
    """
    check_clip(self, x)
    height, width, channels = x.shape[-3:]
    hidden = divided(self, x)
    here = BatchNorm(name="bn1")(conv(hidden, (1, 1), name="conv1")(x), train)
    there = conv(hidden, (3, 3), padding=1, feature_group_count=hidden, name="conv2")(here)
    none = jnp.zeros_like(here[..., :1, :, :, :])
    after = jnp.concatenate([there[..., 1:, :, :, :] - here[..., :-1, :, :, :], none], axis=-4)
    before = jnp.concatenate([none, there[..., :-1, :, :, :] - here[..., 1:, :, :, :]], axis=-4)

    full, full_bn = conv(hidden, (3, 3), padding=1, name="conv_full"), BatchNorm(name="bn_full")
    half, half_bn = conv(hidden, (3, 3), padding=1, name="conv_half"), BatchNorm(name="bn_half")
    last, last_bn = conv(channels, (1, 1), name="conv3"), BatchNorm(name="bn3")
    window = (min(2, height), min(2, width))

    def gate(change: jax.Array) -> jax.Array:
      coarse = half_bn(half(nn.avg_pool(change, window, strides=window)), train)
      scales = change + nearest(coarse, height, width) + full_bn(full(change), train)
      return nn.sigmoid(last_bn(last(scales / 3), train)) - 0.5

    change = (gate(after) + gate(before)) / 2
    self.sow("intermediates", "excitation", 1 + change)
    return x + x * change
