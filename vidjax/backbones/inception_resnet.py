"""Inception-ResNet-v2 (Szegedy et al. 2017), the backbone of TeSNet (thesis 3.3), on images and clips; 299 pixels."""

import math
from typing import Annotated, Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.bounds import Bound, Count
from vidjax.checks import check_fields, place
from vidjax.errors import InputError
from vidjax.layers import BatchNorm, FrozenBN, conv
from vidjax.ops.max_pool import max_pool
from vidjax.plugins.insert import Insert, Inside, apply_inserts, apply_inside, check_inserts, check_inside, inserts_of

Kernel = tuple[int, int]
Branch = tuple[tuple[int, Kernel], ...]
"""Convolutions one after another: (features, kernel)."""

BLOCK_A: tuple[Branch, ...] = (
  ((32, (1, 1)),),
  ((32, (1, 1)), (32, (3, 3))),
  ((32, (1, 1)), (48, (3, 3)), (64, (3, 3))),
)
BLOCK_B: tuple[Branch, ...] = (((192, (1, 1)),), ((128, (1, 1)), (160, (1, 7)), (192, (7, 1))))
BLOCK_C: tuple[Branch, ...] = (((192, (1, 1)),), ((192, (1, 1)), (224, (1, 3)), (256, (3, 1))))
ENTRY_A: tuple[Branch, ...] = (
  ((96, (1, 1)),),
  ((48, (1, 1)), (64, (5, 5))),
  ((64, (1, 1)), (96, (3, 3)), (96, (3, 3))),
)
ENTRY_B: tuple[Branch, ...] = (((384, (3, 3)),), ((256, (1, 1)), (256, (3, 3)), (384, (3, 3))))
ENTRY_C: tuple[Branch, ...] = (
  ((256, (1, 1)), (384, (3, 3))),
  ((256, (1, 1)), (288, (3, 3))),
  ((256, (1, 1)), (288, (3, 3)), (320, (3, 3))),
)

SMALLEST = 75
"""Pixels below which the unpadded convolutions leave nothing."""


class _ConvBN(nn.Module):
  """Convolution, BN with the original's epsilon of 1e-3, ReLU."""

  features: int
  kernel: Kernel
  stride: int = 1
  padding: Any = "SAME"
  frozen: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    padding = tuple((k // 2, k // 2) for k in self.kernel) if self.padding == "SAME" else ((0, 0), (0, 0))
    x = conv(self.features, self.kernel, strides=self.stride, padding=padding, name="conv")(x)
    return nn.relu(BatchNorm(epsilon=1e-3, frozen=self.frozen, name="bn")(x, train))


def _branch(x: jax.Array, layers: Branch, number: int, train: bool, frozen: bool, halve: bool = False) -> jax.Array:
  """One branch inside a compact method; `halve` makes its last convolution unpadded with stride 2."""
  for i, (features, kernel) in enumerate(layers):
    last = halve and i == len(layers) - 1
    stride, padding = (2, "VALID") if last else (1, "SAME")
    x = _ConvBN(features, kernel, stride, padding, frozen, name=f"branch{number}_{i}")(x, train)
  return x


def _max_pool(x: jax.Array) -> jax.Array:
  return max_pool(x, (3, 3), (2, 2), "VALID")


class Stem(nn.Module):
  """Five unpadded or small convolutions and two max pools: 299 pixels to 35, 192 channels.

  Attributes:
    width_multiplier: factor of every number of channels.
    inside: modules after "conv2d_1a" and "conv2d_4a".
    frozen: normalise by the running statistics.
    frozen_first: the same for the first convolution.
  """

  width_multiplier: float = 1.0
  inside: tuple[Inside, ...] = ()
  frozen: bool = False
  frozen_first: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """`[..., H, W, C]` to `[..., ~H/8, ~W/8, 192 width_multiplier]`; raises InputError below 75 pixels."""
    if min(x.shape[-3:-1]) < SMALLEST:
      raise InputError(
        f"Inception-ResNet-v2 at {place(self)} needs frames of {SMALLEST} x {SMALLEST} at least, got {x.shape[-3:-1]}"
      )
    w, frozen = self.width_multiplier, self.frozen
    x = _ConvBN(int(32 * w), (3, 3), 2, "VALID", self.frozen_first, name="conv2d_1a")(x, train)
    x = apply_inside(self.inside, "conv2d_1a", x, train)
    x = _ConvBN(int(32 * w), (3, 3), 1, "VALID", frozen, name="conv2d_2a")(x, train)
    x = _ConvBN(int(64 * w), (3, 3), 1, "SAME", frozen, name="conv2d_2b")(x, train)
    x = _max_pool(x)
    x = _ConvBN(int(80 * w), (1, 1), 1, "SAME", frozen, name="conv2d_3b")(x, train)
    x = _ConvBN(int(192 * w), (3, 3), 1, "VALID", frozen, name="conv2d_4a")(x, train)
    x = apply_inside(self.inside, "conv2d_4a", x, train)
    return _max_pool(x)


class Entry(nn.Module):
  """The module before a row of blocks (mixed_5b, 6a, 7a): branches side by side, a pooled one last.

  Attributes:
    branches: convolutions of each branch; the last of each has stride 2 where there is no `pooled`.
    pooled: features of the 1x1 convolution after a 3x3 average pool of stride 1; None for a max pool of stride 2.
    frozen: normalise by the running statistics.
  """

  branches: tuple[Branch, ...] = ENTRY_B
  pooled: int | None = None
  frozen: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """`[..., H, W, C]` to `[..., H', W', D]`, of about half the size unless `pooled`."""
    halve = self.pooled is None
    parts = [_branch(x, layers, i, train, self.frozen, halve) for i, layers in enumerate(self.branches)]
    if halve:
      return jnp.concatenate([*parts, _max_pool(x)], -1)
    pool = nn.avg_pool(x, (3, 3), (1, 1), "SAME", count_include_pad=False).astype(x.dtype)
    last: Branch = ((self.pooled or 0, (1, 1)),)
    return jnp.concatenate([*parts, _branch(pool, last, len(parts), train, self.frozen)], -1)


class Block(nn.Module):
  """Branches side by side, a linear 1x1 convolution, its result scaled and added to the input, ReLU.

  An insert "before" sits before the branches, "middle" on their concatenation, "residual" on the scaled branch.

  Attributes:
    branches: convolutions of each branch.
    scale: factor of what the branches add.
    activate: ReLU after the sum.
    inserts: plug-ins of this block.
    frozen: normalise by the running statistics.
  """

  branches: tuple[Branch, ...] = BLOCK_B
  scale: float = 0.1
  activate: bool = True
  inserts: tuple[Insert, ...] = ()
  frozen: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Shape preserving, `[..., H, W, C]`."""
    y = apply_inserts(self.inserts, "before", x, train)
    parts = [_branch(y, layers, i, train, self.frozen) for i, layers in enumerate(self.branches)]
    y = apply_inserts(self.inserts, "middle", jnp.concatenate(parts, -1), train)
    y = self.scale * conv(x.shape[-1], (1, 1), use_bias=True, name="conv")(y)
    y = apply_inserts(self.inserts, "residual", y, train)
    y = nn.relu(x + y) if self.activate else x + y
    return apply_inserts(self.inserts, "after", y, train)


class Stage(nn.Module):
  """An entry module and a row of equal blocks.

  Attributes:
    branches: of the blocks.
    entry: branches of the entry module.
    pooled: as in Entry.
    num_blocks: how many blocks.
    scale: of every block's branch.
    number: the stage's number for inserts: 3 for block A (1/8 of the size), 4 for B, 5 for C.
    part: "block_a", "block_b" or "block_c": `inside` follows it, or one of its blocks, as in "block_b/9".
    linear_end: the last block neither scales nor activates (the original's block8 after the ninth).
    inserts: plug-ins and their sites.
    inside: modules after the stage or one of its blocks.
    frozen: normalise by the running statistics.
    remat: recompute each block in the backward pass.
  """

  branches: tuple[Branch, ...] = BLOCK_B
  entry: tuple[Branch, ...] = ENTRY_B
  pooled: int | None = None
  num_blocks: int = 20
  scale: float = 0.1
  number: int = 4
  part: str = "block_b"
  linear_end: bool = False
  inserts: tuple[Insert, ...] = ()
  inside: tuple[Inside, ...] = ()
  frozen: bool = False
  remat: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """`[..., H, W, C]` to `[..., H', W', D]`."""
    block = nn.remat(Block, static_argnums=(2,)) if self.remat else Block
    x = Entry(self.entry, self.pooled, self.frozen, name="entry")(x, train)
    for i in range(self.num_blocks):
      linear = self.linear_end and i == self.num_blocks - 1
      x = block(
        self.branches,
        1.0 if linear else self.scale,
        not linear,
        inserts_of(self.inserts, self.number, i, self.num_blocks),
        self.frozen,
        name=f"block{i}",
      )(x, train)
      x = apply_inside(self.inside, f"{self.part}/{i}", x, train)
    return apply_inside(self.inside, self.part, x, train)


class InceptionResNetV2(nn.Module):
  """Inception-ResNet-v2 without its classifier; 1536 features.

  Attributes:
    width_multiplier: factor of every number of channels.
    blocks: how many of block A, B and C; the last block C is the linear one.
    inserts: plug-ins and their sites; block A is stage 3, B stage 4, C stage 5.
    inside: modules between the parts, which may change the number of frames: after "conv2d_1a", "conv2d_4a", "block_a",
      "block_b", "block_c", or after one of the blocks, as in "block_b/9" for the tenth block B.
    frozen_bn: "none", "all_but_first" (the first convolution's stays live) or "all".
    remat: recompute activations block by block in the backward pass.
  """

  width_multiplier: Annotated[float, Bound("a finite number of at least 1/32", lambda x: 1 / 32 <= x < math.inf)] = 1.0
  blocks: tuple[Count, Count, Count] = (10, 20, 10)
  inserts: tuple[Insert, ...] = ()
  inside: tuple[Inside, ...] = ()
  frozen_bn: FrozenBN = "none"
  remat: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """`[..., H, W, C]` to `[..., h, w, 1536 width_multiplier]`, 8 x 8 at 299 pixels; InputError below 75 pixels."""
    check_fields(self)
    stages: dict[int, int] = dict(zip((3, 4, 5), self.blocks, strict=True))
    names = ("block_a", "block_b", "block_c")
    within = [f"{name}/{i}" for name, n in zip(names, self.blocks, strict=True) for i in range(n)]
    check_inserts(self.inserts, stages)
    check_inside(self.inside, ("conv2d_1a", "conv2d_4a", *names, *within))
    frozen, first = self.frozen_bn != "none", self.frozen_bn == "all"
    x = Stem(self.width_multiplier, self.inside, frozen, first, name="stem")(x, train)
    kinds = ((BLOCK_A, ENTRY_A, 64, 0.17), (BLOCK_B, ENTRY_B, None, 0.1), (BLOCK_C, ENTRY_C, None, 0.2))
    for (number, num_blocks), name, (block, entry, pooled, scale) in zip(stages.items(), names, kinds, strict=True):
      x = Stage(
        self._scaled(block),
        self._scaled(entry),
        pooled and int(pooled * self.width_multiplier),
        num_blocks,
        scale,
        number,
        name,
        linear_end=number == 5,
        inserts=self.inserts,
        inside=self.inside,
        frozen=frozen,
        remat=self.remat,
        name=name,
      )(x, train)
    return _ConvBN(int(1536 * self.width_multiplier), (1, 1), frozen=frozen, name="conv2d_7b")(x, train)

  def _scaled(self, branches: tuple[Branch, ...]) -> tuple[Branch, ...]:
    return tuple(
      tuple((int(features * self.width_multiplier), kernel) for features, kernel in layers) for layers in branches
    )
