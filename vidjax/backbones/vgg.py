"""One stream of RTSAE-DSCNN's dual-stream network (rtsae 4.2, Table 1), up to its global average pooling.

S-Net sees frames, T-Net optical flow; both are VGG-16's convolutions without its fully connected layers. The table
gives 1024 numbers after the global pooling of 512 channels and the text does not say whence; here a 3x3
convolution of 1024 channels comes before it, as in the fully convolutional VGG of Zhou et al. (2016).
"""

from typing import Annotated

import flax.linen as nn
import jax

from vidjax.bounds import Bound, Count
from vidjax.checks import check_fields
from vidjax.layers import conv
from vidjax.ops.max_pool import max_pool
from vidjax.plugins.insert import Insert, Inside, apply_inserts, apply_inside, check_inserts, check_inside, inserts_of

DEPTHS = (2, 2, 3, 3, 3)
"""Convolutions of each stage in Table 1, as in VGG-16."""
Depths = Annotated[tuple[Count, ...], Bound("a tuple of five", lambda depths: len(depths) == len(DEPTHS))]


class Block(nn.Module):
  """One 3x3 convolution with a bias, and ReLU; there is no shortcut, so "residual" sits right before the ReLU.

  Attributes:
    features: channels that come out.
    inserts: plug-ins of this block.
  """

  features: int
  inserts: tuple[Insert, ...] = ()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """`[..., H, W, C]` to `[..., H, W, features]`."""
    x = apply_inserts(self.inserts, "before", x, train)
    x = conv(self.features, (3, 3), padding=1, use_bias=True, name="conv")(x)
    x = apply_inserts(self.inserts, "middle", x, train)
    x = apply_inserts(self.inserts, "residual", x, train)
    return apply_inserts(self.inserts, "after", nn.relu(x), train)


class Stage(nn.Module):
  """Convolutions of one resolution and, unless told otherwise, a 2x2 max pool.

  Attributes:
    features: channels of every convolution.
    num_blocks: how many convolutions.
    number: 1 to 5 as in Table 1; inserts refer to it.
    pool: whether to halve the size in the end (the tables' p1 to p5).
    inserts: plug-ins and their sites.
  """

  features: int
  num_blocks: int
  number: int
  pool: bool = True
  inserts: tuple[Insert, ...] = ()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """`[..., H, W, C]` to `[..., H/2, W/2, features]`."""
    for i in range(self.num_blocks):
      x = Block(self.features, inserts_of(self.inserts, self.number, i, self.num_blocks), name=f"block{i}")(x, train)
    return max_pool(x, (2, 2), (2, 2), "SAME") if self.pool else x


class VGG(nn.Module):
  """One stream of the dual-stream network: five stages and a last convolution.

  Attributes:
    width: channels of the first stage; the others have 2, 4, 8 and 8 times as many.
    features: channels of the last convolution; None leaves it out.
    inserts: plug-ins and their sites; stages 1 to 5.
    inside: modules after a pooling layer "p1" to "p5", which may change the number of frames.
    remat: recompute activations stage by stage in the backward pass.
    depths: convolutions of each stage.
  """

  width: Count = 64
  features: Count | None = 1024
  inserts: tuple[Insert, ...] = ()
  inside: tuple[Inside, ...] = ()
  remat: bool = False
  depths: Depths = DEPTHS

  @nn.compact
  def __call__(self, x: jax.Array, train: bool, first: int = 1, last: int = 5) -> jax.Array:
    """`[..., H, W, C]` to the feature map `[..., H/32, W/32, features]`.

    Args:
      x: frames, or what the stage before `first` gives.
      train: not used but by plug-ins.
      first: stage to begin with, from 1.
      last: stage to end with; the last convolution follows the fifth.
    """
    check_fields(self)
    check_inserts(self.inserts, dict(enumerate(self.depths, start=1)))
    check_inside(self.inside, ("p1", "p2", "p3", "p4", "p5"))
    stage = nn.remat(Stage, static_argnums=(2,)) if self.remat else Stage
    for number, (factor, depth) in enumerate(zip((1, 2, 4, 8, 8), self.depths, strict=True), start=1):
      if not first <= number <= last:
        continue
      x = stage(factor * self.width, depth, number, inserts=self.inserts, name=f"stage{number}")(x, train)
      x = apply_inside(self.inside, f"p{number}", x, train)
    if self.features is None or last < len(DEPTHS):
      return x
    return nn.relu(conv(self.features, (3, 3), padding=1, use_bias=True, name="last_conv")(x))
