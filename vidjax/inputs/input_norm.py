"""Brings what an input representation makes to the scale that a backbone expects [ours]."""

import flax.linen as nn
import jax

from vidjax.checks import check_clip
from vidjax.layers import BatchNorm

EPSILON = 1e-8
"""Added to the variance; that of a trained PWTP is near BatchNorm's usual 1e-5."""


class InputNorm(nn.Module):
  """Each channel with mean 0 and variance 1, the last part of a `Series`: `[B,T,H,W,C] -> [B,T,H,W,C]`.

  The representations differ in scale: of one data set, MBPM has a standard deviation of 39, flow of .07, and a trained
  PWTP of .004, because its loss makes it small. A network that begins with a convolution and BatchNorm does not see
  that. A ViT adds positions of a fixed size to its tokens: it needs this. BatchNorm's statistics, without parameters.
  """

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """By the batch in training, by the running statistics otherwise; raises InputError for anything but clips."""
    check_clip(self, x)
    return BatchNorm(epsilon=EPSILON, affine=False, name="bn")(x, train)
