"""Squeeze-and-excitation (Hu et al., CVPR 2018) frame by frame, and over space-time (thesis Eq. 4.12-4.14)."""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.bounds import Count, Share
from vidjax.checks import check_clip, divided
from vidjax.layers import BatchNorm

Pool = Literal["mean", "attention"]


class SE(nn.Module):
  """Scales each frame's channels by what the frame holds on average: `[..., H, W, C] -> [..., H, W, C]`.

  Its place in a block is "residual". Images will do.

  Attributes:
    reduction: r; C // r channels inside.
  """

  reduction: Count = 16

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns the scaled frames; sows the factors `[..., C]` as "excitation"; ConfigError where r leaves no channel."""
    hidden = divided(self, x)
    pooled = x.mean(axis=(-3, -2), keepdims=True, dtype=jnp.float32)
    y = nn.relu(nn.Dense(hidden, name="reduce")(pooled))
    a = nn.sigmoid(nn.Dense(x.shape[-1], name="expand")(y))
    self.sow("intermediates", "excitation", a[..., 0, 0, :])
    return x * a.astype(x.dtype)


class SpaceTimeSE(nn.Module):
  """Adds to every position a vector made from the clip's mean: `[B,T,H,W,C] -> [B,T,H,W,C]`.

  `x + W_2 ReLU(BN(W_1 mean(x)))`, added and not multiplied. W_2 starts at zero, as released, so the clip passes
  unchanged at first. Its place is "after" a block, before RNL or CPA (the attention chain, thesis 4.4).

  Attributes:
    reduction: r; C // r channels inside. Eq. 4.13 says 2, the parameters in Table 4.6 say 16, with `bias`.
    pool: "mean" over space-time (Eq. 4.12), or "attention", as released: a softmax over all positions weighs them, as
      in GCNet. The released score has a bias, which no softmax sees; it is left out.
    bias: biases of W_1 and W_2; the equation has none, the released layers do.
    momentum: of the running statistics; released 0.99.
  """

  reduction: Count = 2
  pool: Pool = "mean"
  bias: bool = False
  momentum: Share = 0.9

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns the clip with its excitation added; sows what is added, `[B,C]`, as "excitation", and, where pool is
    "attention", the pooling weights `[B,T,H,W]` by that name.
    """
    check_clip(self, x)
    hidden = divided(self, x)
    if self.pool == "mean":
      pooled = x.mean(axis=(-4, -3, -2), keepdims=True, dtype=jnp.float32)
    else:
      score = nn.Dense(1, use_bias=False, name="score")(x).astype(jnp.float32)
      attention = nn.softmax(score, axis=(-4, -3, -2))
      self.sow("intermediates", "attention", attention[..., 0])
      pooled = jnp.sum(attention * x, axis=(-4, -3, -2), keepdims=True)
    y = nn.Dense(hidden, self.bias, name="reduce")(pooled)
    y = nn.relu(BatchNorm(momentum=self.momentum, name="bn")(y, train))
    y = nn.Dense(x.shape[-1], self.bias, kernel_init=nn.initializers.zeros, name="expand")(y)
    self.sow("intermediates", "excitation", y[..., 0, 0, 0, :])
    return x + y.astype(x.dtype)
