"""Convolutional block attention (CBAM, Woo et al., ECCV 2018, Eq. 1-3), frame by frame."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.bounds import Count, Odd, Share
from vidjax.checks import divided
from vidjax.layers import BatchNorm, conv


class CBAM(nn.Module):
  """Scales each frame's channels, then its positions: `[..., H, W, C] -> [..., H, W, C]`.

  One perceptron sees the mean and the maximum over positions, and a convolution, batch-normalised as released (Eq. 3
  has no BN), the maximum and the mean over channels. Its place in a block is "residual". Images will do.

  Attributes:
    reduction: r; C // r channels inside the perceptron.
    kernel: width of the convolution, odd.
    momentum: of the running statistics; released 0.99.
  """

  reduction: Count = 16
  kernel: Odd = 7
  momentum: Share = 0.9

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns the scaled frames; sows, from 0 to 1, the factors `[..., C]` as "excitation" and the map of positions
    `[..., H, W]` as "attention".

    Raises ConfigError where r leaves no channel or the kernel has no middle.
    """
    hidden = divided(self, x)
    mean = x.mean(axis=(-3, -2), keepdims=True, dtype=jnp.float32)
    pooled = jnp.stack([mean, x.max(axis=(-3, -2), keepdims=True).astype(jnp.float32)])
    y = nn.Dense(x.shape[-1], name="expand")(nn.relu(nn.Dense(hidden, name="reduce")(pooled)))
    a = nn.sigmoid(y.sum(axis=0))
    self.sow("intermediates", "excitation", a[..., 0, 0, :])
    x = x * a.astype(x.dtype)
    seen = jnp.concatenate([x.max(axis=-1, keepdims=True), x.mean(axis=-1, keepdims=True)], axis=-1)
    y = conv(1, (self.kernel, self.kernel), padding=self.kernel // 2, name="conv")(seen)
    attention = nn.sigmoid(BatchNorm(momentum=self.momentum, name="bn")(y, train))
    self.sow("intermediates", "attention", attention[..., 0])
    return x * attention
