"""X3D (Feichtenhofer, CVPR 2020; the small backbone of thesis ch. 3 and 5) on clips `[B,T,H,W,C]`.

An image `[B,H,W,C]` is a clip of one frame. The published models differ in depth and in the clips they read:

| model | depth_factor | frames x stride | training crop | crop of the 30-view tests |
|---|---|---|---|---|
| XS | 2.2 | 4 x 12 | 160 | 182 |
| S | 2.2 | 13 x 6 | 160 | 182 |
| M | 2.2 | 16 x 5 | 224 | 256 |
| L | 5.0 | 16 x 5 | 312 | 356 |

(configs/Kinetics/X3D_*.yaml of SlowFast.) Pixels in [0, 1] are normalised by mean .45 and standard deviation .225, the
same for all channels. The head, as `Recognizer(consensus="features", hidden=2048)`, pools over space and time first.
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

STAGES = ((1, 12), (2, 24), (5, 48), (3, 96))
"""(blocks, channels) of res2 to res5 before the expansion in depth and width."""
EXPANSION = 2.25
"""Inner channels of a block to each of its outputs."""


def _channelwise(x: jax.Array, kernel: tuple[int, int, int], stride: int, name: str) -> jax.Array:
  """One kernel over time and space for every channel; the stride is of space."""
  clip = x if x.ndim > 4 else x[:, None]
  y = conv(
    x.shape[-1],
    kernel,
    strides=(1, stride, stride),
    padding=[(k // 2, k // 2) for k in kernel],
    feature_group_count=x.shape[-1],
    name=name,
  )(clip)
  return y if x.ndim > 4 else y[:, 0]


class Stem(nn.Module):
  """3x3 convolution of stride 2, a channel-wise one over five frames, BN, ReLU.

  Attributes:
    features: channels that come out.
    frozen: normalise by the running statistics.
  """

  features: int = 24
  frozen: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """`[B, T, H, W, C]` to `[B, T, H/2, W/2, features]`."""
    x = conv(self.features, (3, 3), strides=2, padding=1, name="conv")(x)
    x = _channelwise(x, (5, 1, 1), 1, name="conv_t")
    return nn.relu(BatchNorm(frozen=self.frozen, name="bn")(x, train))


class Block(nn.Module):
  """1x1x1, channel-wise 3x3x3 and 1x1x1 convolutions beside a shortcut.

  The last BN starts at zero (ZERO_INIT_FINAL_BN of SlowFast's configs), so that a new block is its shortcut.

  Attributes:
    features: channels that come out; the 3x3x3 convolution has 2.25 times as many.
    stride: of space.
    excite: squeeze over space and time and excite, after the 3x3x3 convolution's BN; every other block of X3D does.
    shortcut_bn: BN after a strided shortcut that keeps the number of channels, see X3D.
    inserts: plug-ins of this block.
    frozen: normalise by the running statistics.
  """

  features: int
  stride: int = 1
  excite: bool = True
  shortcut_bn: bool = False
  inserts: tuple[Insert, ...] = ()
  frozen: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """`[B, T, H, W, C]` to `[B, T, H/stride, W/stride, features]`."""
    bn = functools.partial(BatchNorm, frozen=self.frozen)
    inner = int(EXPANSION * self.features)
    y = apply_inserts(self.inserts, "before", x, train)
    y = conv(inner, (1, 1), name="conv1")(y)
    y = nn.relu(bn(name="bn1")(y, train))
    y = apply_inserts(self.inserts, "middle", y, train)
    y = _channelwise(y, (3, 3, 3), self.stride, name="conv2")
    y = bn(name="bn2")(y, train)
    if self.excite:
      dense = functools.partial(nn.Dense, kernel_init=nn.initializers.variance_scaling(2, "fan_out", "normal"))
      pooled = y.mean(tuple(range(1, y.ndim - 1)), keepdims=True)
      pooled = nn.relu(dense(round_channels(inner / 16), name="squeeze")(pooled))
      y = y * nn.sigmoid(dense(inner, name="excite")(pooled))
    y = conv(self.features, (1, 1), name="conv3")(nn.swish(y))
    y = bn(scale_init=nn.initializers.zeros, name="bn3")(y, train)
    y = apply_inserts(self.inserts, "residual", y, train)
    wider = x.shape[-1] != self.features
    if wider or self.stride > 1:
      x = conv(self.features, (1, 1), strides=self.stride, name="shortcut_conv")(x)
      x = bn(name="shortcut_bn")(x, train) if wider or self.shortcut_bn else x
    return apply_inserts(self.inserts, "after", nn.relu(y + x), train)


class Last(nn.Module):
  """1x1x1 convolution, BN, ReLU: the first layers of X3D's head.

  Attributes:
    features: channels that come out.
    frozen: normalise by the running statistics.
  """

  features: int
  frozen: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """`[..., C]` to `[..., features]`."""
    x = conv(self.features, (1, 1), name="conv")(x)
    return nn.relu(BatchNorm(frozen=self.frozen, name="bn")(x, train))


class X3D(nn.Module):
  """X3D up to the 1x1x1 convolution before the pooling; the defaults are X3D-XS, S and M.

  Attributes:
    depth_factor: times the blocks of each stage, rounded up; X3D-L has 5.0.
    width_factor: times the channels of each stage, rounded to multiples of 8.
    stages: (blocks, channels) of each stage before the expansion; the first is number 2, and the stem is as wide.
    shortcut_bn: BN also on the shortcut of a stage that keeps the number of channels (res2): False as in
      PyTorchVideo and the thesis' released code, True as in SlowFast.
    inserts: plug-ins and their sites.
    inside: modules between the stages, which may change the number of frames: after "stem", "res2" to "res5".
    frozen_bn: "none", "all_but_first" (the stem's stays live) or "all".
    remat: recompute activations block by block in the backward pass.
  """

  depth_factor: float = 2.2
  width_factor: float = 2.0
  stages: tuple[tuple[int, int], ...] = STAGES
  shortcut_bn: bool = False
  inserts: tuple[Insert, ...] = ()
  inside: tuple[Inside, ...] = ()
  frozen_bn: FrozenBN = "none"
  remat: bool = False

  def setup(self):
    """Makes the stem and the stages."""
    check_fields(self)
    if not (0 < self.depth_factor < math.inf and 0 < self.width_factor < math.inf):
      factors = f"depth_factor={self.depth_factor}, width_factor={self.width_factor}"
      raise ConfigError(f"X3D({factors}): both must be positive and finite")
    if not self.stages or any(len(stage) != 2 or min(stage) < 1 for stage in self.stages):
      raise ConfigError(f"X3D(stages={self.stages}): must be one or more (blocks, channels) of at least 1")
    depths = [math.ceil(self.depth_factor * num_blocks) for num_blocks, _ in self.stages]
    widths = [round_channels(self.width_factor * channels) for _, channels in self.stages]
    check_inserts(self.inserts, dict(enumerate(depths, start=2)))
    check_inside(self.inside, self._names()[:-1])
    frozen = self.frozen_bn != "none"
    self.stem = Stem(widths[0], frozen=self.frozen_bn == "all")
    for number, (num_blocks, features) in enumerate(zip(depths, widths, strict=True), start=2):
      block = functools.partial(Block, features, shortcut_bn=self.shortcut_bn, frozen=frozen)
      blocks = tuple(block(stride=2 if i == 0 else 1, excite=i % 2 == 0) for i in range(num_blocks))
      setattr(self, f"res{number}", Stage(blocks, number, self.inserts, self.remat))
    self.last = Last(int(EXPANSION * widths[-1]), frozen=frozen)

  def _names(self) -> tuple[str, ...]:
    return ("stem", *(f"res{i + 2}" for i in range(len(self.stages))), "last")

  def parts(self) -> dict[str, nn.Module]:
    """The stem, the stages and the last convolution in their order, by name."""
    return {name: getattr(self, name) for name in self._names()}

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """`[B, T, H, W, C]` to the feature map `[B, T, H/32, W/32, D]`; D is 2.25 times the channels of res5."""
    for name, part in self.parts().items():
      x = apply_inside(self.inside, name, part(x, train), train)
    return x
