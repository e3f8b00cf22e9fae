"""Efficient temporal transformer (TTSN Eq. 1-4 and 6): attention of whole frames to one another."""

import math
from typing import Literal

import flax.linen as nn
import jax

from vidjax.bounds import Count
from vidjax.checks import check_clip, place
from vidjax.errors import InputError
from vidjax.ops.attention import AttentionMap, attention

Tokens = Literal["frames", "spacetime"]


class ETT(nn.Module):
  """Adds to every frame a sum over all frames, weighted by how alike they are: `[B,N,H,W,C]`, as x.

  Y = X + h^-1(softmax(lambda T_alpha T_beta^T) T_gamma), T_j = h_j(X) + PE_j. Starts as the identity. Position
  encodings belong to places: a network keeps the number of frames and the map size it was initialised with. The map,
  `[B, N, N]` of frames or `[B, N,H,W, N,H,W]`, queries first, goes to "intermediates" as "attention", an
  `AttentionMap`, where that collection is mutable.

  Attributes:
    compression: u; h maps C to C // u channels (at least one), so a frame is a token of l = H W C / u numbers.
    tokens: "frames" (the text); "spacetime", of the authors' earlier code: every position is a token of C // u numbers,
      and a factor that starts at 0, not h^-1's kernel, makes it start as the identity.
    shared: one h for alpha, beta and gamma, as Eq. 2 may be read; the sizes in Table V are those of three.
    position_sets: encodings: 3 (one each for alpha, beta, gamma), 1 (the same for all) or 0.
    expansion: h maps C to that many times C // u; ETT(1, expansion=2) is "up-2" of Fig. 3.
  """

  compression: Count = 8
  tokens: Tokens = "frames"
  shared: bool = False
  position_sets: Literal[0, 1, 3] = 3
  expansion: Count = 1

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns the clip with its context added.

    Raises:
      ConfigError: an unknown kind of token, number of position sets, or compression.
      InputError: an image, or a clip whose frames or map size are not those of the position encodings.
    """
    check_clip(self, x)
    batch, frames, height, width, channels = x.shape
    narrow = max(channels // self.compression, 1) * self.expansion
    if self.shared:
      parts = [nn.Dense(narrow, name="h")(x)] * 3
    else:
      parts = [nn.Dense(narrow, name=f"h_{name}")(x) for name in ("alpha", "beta", "gamma")]
    if self.position_sets:
      shape = (self.position_sets, frames, height, width, narrow)
      if self.has_variable("params", "positions"):
        have = self.get_variable("params", "positions").shape
        if have != shape:
          raise InputError(
            f"ETT at {place(self, x)} has position encodings for {have[1]} frames of {have[2]} x {have[3]} x {have[4]}"
            f", and got {frames} of {height} x {width} x {narrow}: use clips of that size, or initialise and train "
            "with this one"
          )
      positions = self.param("positions", nn.initializers.normal(0.02), shape)
      parts = [part + positions[None, i % self.position_sets] for i, part in enumerate(parts)]
    length = narrow * (height * width if self.tokens == "frames" else 1)
    grid = (frames,) if self.tokens == "frames" else (frames, height, width)
    query, key, value = (part.reshape(batch, -1, length) for part in parts)
    query = query * self.param("lambda", nn.initializers.constant(1 / math.sqrt(length)), ())
    if self.is_mutable_collection("intermediates"):
      self.sow("intermediates", "attention", AttentionMap(query, key, grid, grid))
    y = attention(query, key, value).reshape(batch, frames, height, width, narrow)
    if self.tokens == "frames":
      return x + nn.Dense(channels, kernel_init=nn.initializers.zeros, name="h_inverse")(y)
    scale = self.param("scale", nn.initializers.zeros, ())
    return x + scale * nn.Dense(channels, name="h_inverse")(y)
