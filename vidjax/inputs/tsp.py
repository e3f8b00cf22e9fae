"""Temporal Squeeze Pooling: a segment's frames as a few squeezed images (thesis Eq. 3.1-3.5)."""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from vidjax.bounds import Count
from vidjax.inputs.checks import Frames, check_under_frames, split
from vidjax.ops.projection import project_clip

Activation = Literal["sigmoid", "tanh", "relu", "leaky_relu"]

ACTIVATIONS = {"sigmoid": nn.sigmoid, "tanh": nn.tanh, "relu": nn.relu, "leaky_relu": nn.leaky_relu}


class TSP(nn.Module):
  """Coordinates of every pixel in a subspace of R^K that its segment chooses: `[B,S*K,H,W,C] -> [B,S*D,H,W,C]`.

  Two layers without bias turn the means of the K frames into the subspace's D columns. It sits before a backbone or
  inside one, on feature maps: `Inside(TSP(10, 3), "stem")`; a second one further in reads the D frames of the first.
  Sows `aux["projection_mae"]` `[B]`, the length of what the projection leaves of a pixel's course over K frames,
  averaged over segments, pixels and channels (Eq. 3.5); `losses.projection` reads it. Only the mean brightness of a
  frame decides what becomes of it. A pixel that is not finite spoils its own segment only.

  Attributes:
    frames: K of a segment.
    rank: D squeezed images of a segment, under K.
    activations: of both layers (Table 3.1); the thesis takes the sigmoid and the leaky ReLU.
  """

  frames: Frames = 10
  rank: Count = 3
  activations: tuple[Activation, Activation] = ("sigmoid", "leaky_relu")

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns the squeezed images; raises InputError where K does not divide the clip, ConfigError on attributes."""
    segments = split(self, x, self.frames)
    check_under_frames(self, x, "rank")
    first, second = (ACTIVATIONS[name] for name in self.activations)
    z = segments.mean(axis=(-3, -2, -1), dtype=jnp.float32)
    z = first(nn.Dense(self.frames, use_bias=False, name="mix")(z))
    a = second(nn.Dense(self.frames * self.rank, use_bias=False, name="subspace")(z))
    y, projection = project_clip(segments, a.reshape(*a.shape[:-1], self.frames, self.rank))
    # A norm's gradient at 0, where the projection is exact, is not finite; below the least length it is 0.
    lengths = optax.safe_norm(segments.astype(jnp.float32) - projection, 1e-6, axis=-4)
    self.sow("aux", "projection_mae", lengths.mean(axis=range(1, lengths.ndim)))
    return y.reshape(*x.shape[:-4], -1, *x.shape[-3:]).astype(x.dtype)
