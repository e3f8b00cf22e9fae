"""Pixel-Wise Temporal Projection: what moves, without what stays (thesis Eq. 3.7-3.13, Fig. 3.14)."""

import functools
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.bounds import Count, Odd, Positive, Whole
from vidjax.checks import place
from vidjax.errors import ConfigError
from vidjax.inputs.checks import Frames, check_under_frames, split
from vidjax.layers import BatchNorm, conv
from vidjax.ops.projection import project
from vidjax.ops.resize import resize_linear

Result = Literal["dynamic", "residual", "projection"]


class PWTP(nn.Module):
  """Takes from each pixel what its frames have in common: `[B,S*T,H,W,C] -> [B,S,H,W,C]`.

  An MLP sees how alike a neighbourhood is in every two frames of a segment and answers with a subspace of R^T; the
  pixel's course over time is projected onto it (static appearance) and the residual averaged (dynamic appearance). Sows
  `aux["enopr"]` `[B]`, the squared length of the residual, summed over the T frames of a segment and averaged over
  segments, pixels and channels (Eq. 3.13); `losses.projection` reads it. A pixel that is not finite spoils its own clip
  alone when evaluated; in training the MLP's BatchNorm spreads it over the batch.

  Attributes:
    frames: T of a segment.
    rank: D, dimensions of the subspace, under T; the thesis warns of more than T / 2.
    kernel: k of the convolution that looks at the neighbourhood, odd.
    stride: s of this convolution; subspaces are interpolated bilinearly from every s-th pixel.
    features: C', channels of this convolution.
    expansion: r, width of the MLP over the number of pairs of frames, T (T - 1) / 2.
    num_blocks: B, bottlenecks of the MLP.
    bottleneck: beta, width inside a bottleneck over that of the MLP.
    result: "dynamic", the residual averaged over T (Eq. 3.12), the "residual" (Eq. 3.11) or the "projection" (Eq. 3.7);
      the latter two keep all S*T frames.
    frozen_bn: the MLP's BatchNorm uses its running statistics also in training. Set it with the backbone's
      `frozen_bn="all_but_first"`, so that the one BatchNorm that stays live is that of the backbone's stem.
  """

  frames: Frames = 8
  rank: Count = 1
  kernel: Odd = 9
  stride: Count = 8
  features: Count = 24
  expansion: Count = 2
  num_blocks: Whole = 1
  bottleneck: Positive = 0.25
  result: Result = "dynamic"
  frozen_bn: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns what `result` names; raises InputError where T does not divide the clip, ConfigError on attributes."""
    segments = split(self, x, self.frames)
    self._check(x)
    a = self._subspaces(segments, train)
    _, projection = project(segments, a)
    residual = segments.astype(jnp.float32) - projection
    squares = jnp.sum(residual * residual, axis=-4)
    self.sow("aux", "enopr", squares.mean(axis=range(1, squares.ndim)))
    if self.result == "dynamic":
      return residual.mean(axis=-4).astype(x.dtype)
    return (residual if self.result == "residual" else projection).reshape(x.shape).astype(x.dtype)

  def _subspaces(self, segments: jax.Array, train: bool) -> jax.Array:
    """A of Eq. 3.10, `[..., S, T, H, W, D]`."""
    height, width = segments.shape[-3:-1]
    initial = nn.initializers.lecun_normal()
    # Padded so that the windows lie as the interpolation takes them to lie: evenly over the map.
    padding = [_evenly(pixels, self.kernel, self.stride) for pixels in (height, width)]
    local = conv(
      self.features,
      (self.kernel, self.kernel),
      strides=self.stride,
      padding=padding,
      use_bias=True,
      kernel_init=initial,
      name="local",
    )(segments).astype(jnp.float32)
    pairs = [
      jnp.mean(local[..., t : t + 1, :, :, :] * local[..., t + 1 :, :, :, :], axis=-1) for t in range(self.frames - 1)
    ]
    u = jnp.moveaxis(jnp.concatenate(pairs, axis=-3), -3, -1)  # Eq. 3.9: pairs in the order (1,2), (1,3) .. (2,3) ..
    gelu = functools.partial(nn.gelu, approximate=False)
    wide = self.expansion * u.shape[-1]
    h = gelu(nn.Dense(wide, name="expand")(u))
    for i in range(self.num_blocks):
      y = BatchNorm(frozen=self.frozen_bn, name=f"bn{i}")(h, train)
      y = gelu(nn.Dense(round(self.bottleneck * wide), name=f"down{i}")(y))
      h = h + gelu(nn.Dense(wide, name=f"up{i}")(y))
    # A bias apart from 0 keeps the columns independent where the descriptor says nothing.
    a = nn.Dense(self.frames * self.rank, bias_init=nn.initializers.normal(0.1), name="subspace")(h)
    a = resize_linear(a, (*a.shape[:-3], height, width, a.shape[-1]))
    return jnp.moveaxis(a.reshape(*a.shape[:-1], self.frames, self.rank), -2, -4)

  def _check(self, x: jax.Array) -> None:
    check_under_frames(self, x, "rank")
    pairs = self.frames * (self.frames - 1) // 2
    if round(self.bottleneck * self.expansion * pairs) < 1:
      raise ConfigError(
        f"PWTP(bottleneck={self.bottleneck}) at {place(self, x)}: leave at least one of {pairs} x {self.expansion} "
        "features in the bottleneck"
      )


def _evenly(pixels: int, kernel: int, stride: int) -> tuple[int, int]:
  """The padding that makes ceil(pixels / stride) windows, as many pixels beyond one border as beyond the other."""
  beyond = max(0, (-(-pixels // stride) - 1) * stride + kernel - pixels)
  return beyond // 2, beyond - beyond // 2
