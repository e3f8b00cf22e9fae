"""MobileNetV2 (Sandler et al., CVPR 2018; thesis 5.5.1) on images `[B,H,W,C]` and clips `[B,T,H,W,C]` alike.

The layout is torchvision's. That of TSM's released code is the same at width 1; at others it keeps the stem's width and
rounds the rest up, which `stages` can say. Pixels are normalised as for ResNet (ImageNet's mean and
standard deviation).
"""

import functools
import math

import flax.linen as nn
import jax

from vidjax.backbones.stage import Stage
from vidjax.checks import check_fields
from vidjax.errors import ConfigError
from vidjax.layers import BatchNorm, FrozenBN, conv, round_channels
from vidjax.plugins.insert import Insert, Inside, apply_inserts, apply_inside, check_inserts, check_inside

STAGES = (
  (1, 16, 1, 1),
  (6, 24, 2, 2),
  (6, 32, 3, 2),
  (6, 64, 4, 2),
  (6, 96, 3, 1),
  (6, 160, 3, 2),
  (6, 320, 1, 1),
)
"""(expansion, channels, blocks, stride) of res2 to res8, Table 2 of the paper."""

TSM_BLOCKS = (1, 2, 3)
"""The blocks of each stage that TSM's released code shifts, those with a shortcut:
`Insert(TSM(), "before", blocks=TSM_BLOCKS)`."""


class Stem(nn.Module):
  """3x3 convolution of stride 2, BN, ReLU6.

  Attributes:
    features: channels that come out.
    frozen: normalise by the running statistics.
  """

  features: int = 32
  frozen: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """`[..., H, W, C]` to `[..., H/2, W/2, features]`."""
    x = conv(self.features, (3, 3), strides=2, padding=1, name="conv")(x)
    return nn.relu6(BatchNorm(frozen=self.frozen, name="bn")(x, train))


class InvertedResidual(nn.Module):
  """1x1, channel-wise 3x3 and 1x1 convolutions, beside a shortcut where the shape stays the same.

  Attributes:
    features: channels that come out.
    stride: of the 3x3 convolution.
    expansion: channels of the 3x3 convolution to each of the input; 1 leaves out the first 1x1 convolution, and
      "middle" then follows the 3x3 one.
    inserts: plug-ins of this block.
    frozen: normalise by the running statistics.
  """

  features: int
  stride: int = 1
  expansion: int = 6
  inserts: tuple[Insert, ...] = ()
  frozen: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """`[..., H, W, C]` to `[..., H/stride, W/stride, features]`."""
    bn = functools.partial(BatchNorm, frozen=self.frozen)
    inner = self.expansion * x.shape[-1]
    y = apply_inserts(self.inserts, "before", x, train)
    if self.expansion > 1:
      y = conv(inner, (1, 1), name="conv1")(y)
      y = nn.relu6(bn(name="bn1")(y, train))
      y = apply_inserts(self.inserts, "middle", y, train)
    y = conv(inner, (3, 3), strides=self.stride, padding=1, feature_group_count=inner, name="conv2")(y)
    y = nn.relu6(bn(name="bn2")(y, train))
    if self.expansion == 1:
      y = apply_inserts(self.inserts, "middle", y, train)
    y = conv(self.features, (1, 1), name="conv3")(y)
    y = bn(name="bn3")(y, train)
    y = apply_inserts(self.inserts, "residual", y, train)
    y = x + y if self.stride == 1 and x.shape[-1] == self.features else y
    return apply_inserts(self.inserts, "after", y, train)


class Last(nn.Module):
  """1x1 convolution, BN, ReLU6.

  Attributes:
    features: channels that come out.
    frozen: normalise by the running statistics.
  """

  features: int = 1280
  frozen: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """`[..., C]` to `[..., features]`."""
    x = conv(self.features, (1, 1), name="conv")(x)
    return nn.relu6(BatchNorm(frozen=self.frozen, name="bn")(x, train))


class MobileNetV2(nn.Module):
  """MobileNetV2 without its classifier.

  Attributes:
    width_multiplier: of all channels, rounded to multiples of 8; the last 1280 grow with it but do not shrink.
    stages: (expansion, channels, blocks, stride) of each stage; the first is number 2.
    inserts: plug-ins and their sites; TSM_BLOCKS are the blocks with a shortcut.
    inside: modules between the stages, which may change the number of frames: after "stem", "res2" to "res8".
    frozen_bn: "none", "all_but_first" (TSN's partial BN: the stem's stays live) or "all".
    remat: recompute activations block by block in the backward pass.
  """

  width_multiplier: float = 1.0
  stages: tuple[tuple[int, int, int, int], ...] = STAGES
  inserts: tuple[Insert, ...] = ()
  inside: tuple[Inside, ...] = ()
  frozen_bn: FrozenBN = "none"
  remat: bool = False

  def setup(self):
    """Makes the stem and the stages."""
    check_fields(self)
    if not 0 < self.width_multiplier < math.inf:
      raise ConfigError(f"MobileNetV2(width_multiplier={self.width_multiplier}): must be positive and finite")
    if not self.stages or any(len(stage) != 4 or min(stage) < 1 for stage in self.stages):
      raise ConfigError(
        f"MobileNetV2(stages={self.stages}): must be one or more (expansion, channels, blocks, stride) from 1 on"
      )
    check_inserts(self.inserts, {i: num_blocks for i, (_, _, num_blocks, _) in enumerate(self.stages, start=2)})
    check_inside(self.inside, self._names()[:-1])
    frozen = self.frozen_bn != "none"
    self.stem = Stem(round_channels(32 * self.width_multiplier), frozen=self.frozen_bn == "all")
    for number, (expansion, features, num_blocks, stride) in enumerate(self.stages, start=2):
      features = round_channels(features * self.width_multiplier)
      block = functools.partial(InvertedResidual, features, expansion=expansion, frozen=frozen)
      blocks = tuple(block(stride=stride if i == 0 else 1) for i in range(num_blocks))
      setattr(self, f"res{number}", Stage(blocks, number, self.inserts, self.remat))
    self.last = Last(round_channels(1280 * max(1.0, self.width_multiplier)), frozen=frozen)

  def _names(self) -> tuple[str, ...]:
    return ("stem", *(f"res{i + 2}" for i in range(len(self.stages))), "last")

  def parts(self) -> dict[str, nn.Module]:
    """The stem, the stages and the last convolution in their order, by name."""
    return {name: getattr(self, name) for name in self._names()}

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """`[..., H, W, C]` to the feature map `[..., H/32, W/32, 1280]`."""
    for name, part in self.parts().items():
      x = apply_inside(self.inside, name, part(x, train), train)
    return x
