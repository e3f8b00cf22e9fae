"""ResNet (He et al. 2016; stride in the 3x3 convolution) on images `[B,H,W,C]` and clips `[B,T,H,W,C]` alike."""

import functools
from typing import Literal

import flax.linen as nn
import jax

from vidjax.backbones.stage import Stage
from vidjax.checks import check_fields
from vidjax.errors import ConfigError
from vidjax.layers import BatchNorm, FrozenBN, conv
from vidjax.ops.max_pool import max_pool
from vidjax.plugins.insert import Insert, Inside, apply_inserts, apply_inside, check_inserts, check_inside

PARTS = ("stem", "res2", "res3", "res4", "res5")
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


class Stem(nn.Module):
  """Convolution, BN, ReLU and, where asked for, a 3x3 max pool: 1/2 or 1/4 of the size.

  Attributes:
    features: channels that come out.
    kernel: side of the convolution.
    pool: whether a max pool of stride 2 follows.
    frozen: normalise by the running statistics.
  """

  features: int = 64
  kernel: int = 7
  pool: bool = True
  frozen: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """`[..., H, W, C]` to `[..., H/4, W/4, features]` (H/2, W/2 without the pool)."""
    k = self.kernel
    x = conv(self.features, (k, k), strides=2, padding=k // 2, name="conv")(x)
    x = nn.relu(BatchNorm(frozen=self.frozen, name="bn")(x, train))
    return max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1))) if self.pool else x


class BasicBlock(nn.Module):
  """Two 3x3 convolutions beside a shortcut.

  Attributes:
    features: channels that come out.
    stride: of the first convolution and the shortcut.
    inserts: plug-ins of this block.
    frozen: normalise by the running statistics.
  """

  features: int
  stride: int = 1
  inserts: tuple[Insert, ...] = ()
  frozen: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """`[..., H, W, C]` to `[..., H/stride, W/stride, features]`."""
    bn = functools.partial(BatchNorm, frozen=self.frozen)
    y = apply_inserts(self.inserts, "before", x, train)
    y = conv(self.features, (3, 3), strides=self.stride, padding=1, name="conv1")(y)
    y = nn.relu(bn(name="bn1")(y, train))
    y = apply_inserts(self.inserts, "middle", y, train)
    y = conv(self.features, (3, 3), padding=1, name="conv2")(y)
    y = bn(name="bn2")(y, train)
    y = apply_inserts(self.inserts, "residual", y, train)
    y = nn.relu(y + _shortcut(x, y.shape[-1], self.stride, bn, train))
    return apply_inserts(self.inserts, "after", y, train)


class Bottleneck(nn.Module):
  """1x1, 3x3 and 1x1 convolutions beside a shortcut; four times as many channels come out.

  Attributes:
    features: channels of the inner convolutions; 4 times as many come out.
    stride: of the 3x3 convolution and the shortcut.
    inserts: plug-ins of this block.
    frozen: normalise by the running statistics.
  """

  features: int
  stride: int = 1
  inserts: tuple[Insert, ...] = ()
  frozen: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """`[..., H, W, C]` to `[..., H/stride, W/stride, 4 features]`."""
    bn = functools.partial(BatchNorm, frozen=self.frozen)
    y = apply_inserts(self.inserts, "before", x, train)
    y = conv(self.features, (1, 1), name="conv1")(y)
    y = nn.relu(bn(name="bn1")(y, train))
    y = apply_inserts(self.inserts, "middle", y, train)
    y = conv(self.features, (3, 3), strides=self.stride, padding=1, name="conv2")(y)
    y = nn.relu(bn(name="bn2")(y, train))
    y = conv(4 * self.features, (1, 1), name="conv3")(y)
    y = bn(name="bn3")(y, train)
    y = apply_inserts(self.inserts, "residual", y, train)
    y = nn.relu(y + _shortcut(x, y.shape[-1], self.stride, bn, train))
    return apply_inserts(self.inserts, "after", y, train)


def _shortcut(x: jax.Array, features: int, stride: int, bn: functools.partial, train: bool) -> jax.Array:
  if stride == 1 and x.shape[-1] == features:
    return x
  x = conv(features, (1, 1), strides=stride, name="shortcut_conv")(x)
  return bn(name="shortcut_bn")(x, train)


class ResNet(nn.Module):
  """ResNet-18, 34, 50 or 101 without its classifier.

  Attributes:
    depth: 18, 34 (basic blocks), 50 or 101 (bottlenecks).
    width: channels of the stem; res2 to res5 have 1, 2, 4 and 8 times as many.
    inserts: plug-ins and their sites.
    inside: modules between the stages, which may change the number of frames: after "stem", "res2" to "res5".
    frozen_bn: "none", "all_but_first" (TSN's partial BN: the stem's stays live) or "all".
    remat: recompute activations block by block in the backward pass.
  """

  depth: Literal[18, 34, 50, 101] = 50
  width: int = 64
  inserts: tuple[Insert, ...] = ()
  inside: tuple[Inside, ...] = ()
  frozen_bn: FrozenBN = "none"
  remat: bool = False

  def setup(self):
    """Makes the stem and the stages."""
    check_fields(self)
    if self.width < 1:
      raise ConfigError(f"ResNet(width={self.width}): must be at least 1")
    check_inserts(self.inserts, {i: n for i, n in enumerate(BLOCKS[self.depth], start=2)})
    check_inside(self.inside, PARTS)
    self.stem = Stem(self.width, frozen=self.frozen_bn == "all")
    block = functools.partial(BasicBlock if self.depth < 50 else Bottleneck, frozen=self.frozen_bn != "none")
    for number, num_blocks in enumerate(BLOCKS[self.depth], start=2):
      features, stride = self.width * 2 ** (number - 2), 1 if number == 2 else 2
      blocks = tuple(block(features, stride if i == 0 else 1) for i in range(num_blocks))
      setattr(self, f"res{number}", Stage(blocks, number, self.inserts, self.remat))

  def parts(self) -> dict[str, nn.Module]:
    """The stem and the stages in their order, by name."""
    return {name: getattr(self, name) for name in PARTS}

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """`[..., H, W, C]` to the feature map `[..., H/32, W/32, D]`; D is 8 width, or 32 width with bottlenecks."""
    for name, part in self.parts().items():
      x = apply_inside(self.inside, name, part(x, train), train)
    return x


class MiniResNet(nn.Module):
  """A ResNet of 0.1 M parameters for clips of about 48 pixels: 5x5 stem and three stages, of one basic block each.

  Attributes:
    widths: channels of the stem and of res2 to res4.
    depths: blocks of res2 to res4.
    inserts: as in ResNet.
    inside: as in ResNet.
    frozen_bn: as in ResNet.
    remat: as in ResNet.
  """

  widths: tuple[int, int, int, int] = (24, 24, 48, 48)
  inserts: tuple[Insert, ...] = ()
  inside: tuple[Inside, ...] = ()
  frozen_bn: FrozenBN = "none"
  remat: bool = False
  depths: tuple[int, int, int] = (1, 1, 1)

  def setup(self):
    """Makes the stem and the stages."""
    check_fields(self)
    if len(self.widths) != 4 or min(self.widths) < 1:
      raise ConfigError(f"MiniResNet(widths={self.widths}): must be 4 from 1 on, of the stem and of res2 to res4")
    if len(self.depths) != 3 or min(self.depths) < 1:
      raise ConfigError(f"MiniResNet(depths={self.depths}): must be 3 from 1 on, of res2 to res4")
    check_inserts(self.inserts, dict(enumerate(self.depths, start=2)))
    check_inside(self.inside, PARTS[:4])
    self.stem = Stem(self.widths[0], kernel=5, pool=False, frozen=self.frozen_bn == "all")
    stages = zip(self.widths[1:], (1, 2, 2), self.depths, strict=True)
    for number, (features, stride, depth) in enumerate(stages, start=2):
      blocks = tuple(BasicBlock(features, s, frozen=self.frozen_bn != "none") for s in (stride, *[1] * (depth - 1)))
      setattr(self, f"res{number}", Stage(blocks, number, self.inserts, self.remat))

  def parts(self) -> dict[str, nn.Module]:
    """The stem and the stages in their order, by name."""
    return {name: getattr(self, name) for name in PARTS[:4]}

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """`[..., H, W, C]` to the feature map `[..., H/8, W/8, widths[-1]]`."""
    for name, part in self.parts().items():
      x = apply_inside(self.inside, name, part(x, train), train)
    return x
