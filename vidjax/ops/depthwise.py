"""Depthwise convolution over 1 to 3 spatial axes: a sum of shifted slices times the taps on CPUs, XLA's own elsewhere.

XLA's depthwise convolution is one to two orders of magnitude slower than the sum on a CPU, in both directions.
"""

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from vidjax.bounds import Count, Whole
from vidjax.checks import checked
from vidjax.errors import InputError
from vidjax.ops.apart import apart
from vidjax.ops.windows import windows

Padding = tuple[tuple[int, int], ...]

MANY = 32
"""Taps up to which one loop reads them all; beyond, what they read is too much for the cache."""
KEPT = 16
"""Taps from which their sum is computed once and kept: XLA computes it again in every loop that reads it, such as
squeezing and exciting (X3D-M infers 8 to 18% faster). Of 3 x 3 taps, computing it again is no slower."""
GROUP = 21
"""Taps a loop reads where they are many (3 x 7 x 7 on 28 x 28 x 256: 16 to 24 are the fastest, 10 times one loop)."""
CHANNELS = 128
"""Channels that go together where taps are many (of 256 or 512 channels, 1.5 to 3 times as fast as all at once)."""
LANES = 8
"""Channels a loop takes at a time: those beyond a multiple of them go one by one, so that from WIDE channels on the map
is filled up to one where it is padded anyway and strides are 1 (X3D's 54 channels: two thirds of the time)."""
WIDE = 32
FEWEST = 8
"""Channels from which the kernel's gradient is one loop over tiles where taps are few and reach along several axes."""
TILE = 4
"""Places of a tile along every axis that has taps: 3 x 3 on 56 x 56 x 144 and 3 x 3 x 3 on 8 x 56 x 56 x 54 take .5 to
.75 of the time of blocks; 8 where there is one such axis."""
BLOCK = 1 << 16
"""Numbers of a map that one step of the kernel's gradient takes: 256 KiB stay in a core's cache for all taps."""
STRIPS = 8
"""Products that one step adds up before it writes their sum."""


@checked
def depthwise_convolution(
  x: jax.Array,
  kernel: jax.Array,
  strides: Sequence[Count],
  padding: Sequence[tuple[Whole, Whole]],
  mode: Literal["zero", "reflect", "edge"] = "zero",
) -> jax.Array:
  """Convolves each channel with a kernel of its own; sums in float32, returns the dtype of `x`.

  Args:
    x: `[N, *spatial, C]`, 1 to 3 spatial axes.
    kernel: `[*k, 1, C]`, as `nn.Conv(feature_group_count=C)` keeps it.
    strides: of every spatial axis.
    padding: (before, after) of every spatial axis.
    mode: what is beyond the border: zeros, the reflected map (without its border) or the border itself.

  Returns:
    `[N, *spatial', C]`.

  Raises:
    InputError: shapes do not fit, or the map is smaller than what is to be reflected.
  """
  axes, sizes, padding = x.ndim - 2, x.shape[1:-1], tuple((int(before), int(after)) for before, after in padding)
  if not 1 <= axes <= 3 or kernel.ndim != x.ndim or kernel.shape[-2:] != (1, x.shape[-1]) or not kernel.size:
    raise InputError(
      f"depthwise_convolution: x {x.shape} must be [N, 1 to 3 spatial axes, C] and wants a kernel [*k, 1, C] of "
      f"as many axes, not {kernel.shape}"
    )
  if len(strides) != axes or len(padding) != axes:
    raise InputError(f"depthwise_convolution: x {x.shape} wants {axes} strides and pads, not {strides} and {padding}")
  if mode == "reflect" and any(size <= max(pads) for size, pads in zip(sizes, padding, strict=True)):
    raise InputError(
      f"depthwise_convolution: x {x.shape} is too small to be reflected by {padding}; every axis must be "
      "longer than its pad"
    )
  if any(size + sum(pads) < k for size, pads, k in zip(sizes, padding, kernel.shape, strict=False)):
    raise InputError(
      f"depthwise_convolution: x {x.shape} padded by {padding} is smaller than the kernel {kernel.shape}"
    )
  if mode != "zero":
    x, padding = jnp.pad(x, ((0, 0), *padding, (0, 0)), mode), ((0, 0),) * axes
  kernel = kernel + lax.full_like(x, 0, kernel.dtype, shape=())  # under shard_map, a kernel that varies as x does
  return _depthwise(x, kernel, tuple(map(int, strides)), padding)


def _native(x: jax.Array, kernel: jax.Array, strides: tuple[int, ...], padding: Padding) -> jax.Array:
  spatial = "DHW"[3 - len(strides) :]
  layout = (f"N{spatial}C", f"{spatial}IO", f"N{spatial}C")
  return lax.conv_general_dilated(
    x, kernel.astype(x.dtype), strides, padding, dimension_numbers=layout, feature_group_count=x.shape[-1]
  )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _depthwise(x: jax.Array, kernel: jax.Array, strides: tuple[int, ...], padding: Padding) -> jax.Array:
  native = functools.partial(_native, strides=strides, padding=padding)
  return lax.platform_dependent(
    x, kernel, cpu=functools.partial(_sum_of_slices, strides=strides, padding=padding), default=native
  )


def _forward(x: jax.Array, kernel: jax.Array, strides: tuple[int, ...], padding: Padding):
  return _depthwise(x, kernel, strides, padding), (x, kernel)


def _backward(strides: tuple[int, ...], padding: Padding, residuals: tuple[jax.Array, jax.Array], g: jax.Array):
  x, kernel = residuals
  taps, sizes = kernel.shape[:-2], x.shape[1:-1]

  def native(x: jax.Array, kernel: jax.Array, g: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jax.vjp(functools.partial(_native, strides=strides, padding=padding), x, kernel)[1](g)

  def slices(x: jax.Array, kernel: jax.Array, g: jax.Array) -> tuple[jax.Array, jax.Array]:
    reach = [1 + (n - 1) * s for n, s in zip(g.shape[1:-1], strides, strict=True)]
    pads = [(k - 1 - p[0], n + p[0] - r) for k, p, n, r in zip(taps, padding, sizes, reach, strict=True)]
    spread = lax.pad(g, jnp.zeros((), g.dtype), [(0, 0, 0), *((0, 0, s - 1) for s in strides), (0, 0, 0)])
    dx = _sum_of_slices(spread, lax.rev(kernel, range(len(taps))), (1,) * len(taps), tuple(pads))
    return dx, _kernel_gradient(x, g, taps, strides, padding).astype(kernel.dtype)

  return lax.platform_dependent(x, kernel, g, cpu=slices, default=native)


_depthwise.defvjp(_forward, _backward)


@functools.partial(jax.jit, static_argnums=(2, 3), inline=True)  # traced once for all layers of a shape
def _sum_of_slices(x: jax.Array, kernel: jax.Array, strides: tuple[int, ...], padding: Padding) -> jax.Array:
  taps, channels = kernel.shape[:-2], x.shape[-1]
  more = _fill(channels, strides, padding)
  padded = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((*pads, 0) for pads in padding), more])
  weights = kernel.reshape(math.prod(taps), *(1,) * (x.ndim - 1), channels).astype(jnp.float32)
  weights = lax.pad(weights, jnp.float32(0), [(0, 0, 0)] * x.ndim + [more])
  if len(weights) > MANY:
    parts = [slice(start, start + CHANNELS) for start in range(0, padded.shape[-1], CHANNELS)]
    sums = [_sum_in_groups(padded[..., part], weights[..., part], taps, strides) for part in parts]
    total = jnp.concatenate(sums, axis=-1)
  else:
    at_once = functools.partial(_sum_at_once, taps=taps, strides=strides)
    total = at_once(padded, weights) if len(weights) < KEPT else apart(at_once, padded, weights)
  return total[..., :channels].astype(x.dtype)


def _fill(channels: int, strides: tuple[int, ...], padding: Padding) -> tuple[int, int, int]:
  """Channels to add, as `lax.pad` takes them; none where the map is not padded, or with strides, which gain nothing."""
  helps = channels >= WIDE and max(strides) == 1 and any(map(any, padding))
  return 0, -channels % LANES if helps else 0, 0


def _sum_at_once(padded: jax.Array, weights: jax.Array, taps: tuple[int, ...], strides: tuple[int, ...]) -> jax.Array:
  """The sum of slices times weights `[taps, ..., C]` in one loop."""
  parts = zip(windows(padded, taps, strides), weights, strict=True)
  return sum((part * weight for part, weight in parts), jnp.zeros((), jnp.float32))


def _sum_in_groups(padded: jax.Array, weights: jax.Array, taps: tuple[int, ...], strides: tuple[int, ...]) -> jax.Array:
  """The sum of slices times weights `[taps, ..., C]`, GROUP taps at a time."""
  spatial = [(n - k) // s * s + 1 for n, k, s in zip(padded.shape[1:-1], taps, strides, strict=True)]
  sizes = padded.shape[0], *spatial, padded.shape[-1]

  def add(total: jax.Array, group: Any) -> tuple[jax.Array, None]:
    for tap, weight in zip(*group, strict=True):
      part = lax.dynamic_slice(padded, [np.int32(0), *tap, np.int32(0)], sizes)
      total += lax.slice(part, (0,) * padded.ndim, sizes, (1, *strides, 1)) * weight
    return total, None

  steps = math.ceil(len(weights) / GROUP)
  count = math.ceil(len(weights) / steps)  # in a group; the last one is filled up with taps of no weight
  fill = [(0, steps * count - len(weights), 0), *[(0, 0, 0)] * padded.ndim]
  weights = lax.pad(weights, jnp.zeros((), jnp.float32), fill)
  starts = np.resize(np.array(list(np.ndindex(*taps)), np.int32), (steps, count, len(taps)))
  result = (padded.shape[0], *(math.ceil(n / s) for n, s in zip(spatial, strides, strict=True)), padded.shape[-1])
  total = lax.full_like(padded, 0, jnp.float32, result)
  return lax.scan(add, total, (starts, weights.reshape(steps, count, *weights.shape[1:])))[0]


@functools.partial(jax.jit, static_argnums=(2, 3, 4), inline=True)  # as _sum_of_slices
def _kernel_gradient(
  x: jax.Array, g: jax.Array, taps: tuple[int, ...], strides: tuple[int, ...], padding: Padding
) -> jax.Array:
  """Sums, for every tap, what it sees times `g`."""
  few = len(taps) > 1 and math.prod(taps) <= MANY and x.shape[-1] >= FEWEST
  return (_sum_of_tiles if few else _sum_of_blocks)(x, g, taps, strides, padding)


def _sum_of_tiles(
  x: jax.Array, g: jax.Array, taps: tuple[int, ...], strides: tuple[int, ...], padding: Padding
) -> jax.Array:
  """The kernel's gradient in one loop: over every tile of `g` for all taps, then over the tiles.

  A slice of the map cut into as many tiles holds, in the first places of each tile, what all taps see at one place of a
  tile of `g`: the loop adds up as many products as a tile has places.
  """
  spatial, channels, most = g.shape[1:-1], x.shape[-1], TILE if sum(k > 1 for k in taps) > 1 else 2 * TILE
  tile = [1 if k == 1 else max(most, math.ceil(k / s)) for k, s in zip(taps, strides, strict=True)]
  count = [math.ceil(n / size) for n, size in zip(spatial, tile, strict=True)]
  whole = [size * n for size, n in zip(tile, count, strict=True)]
  reach = [s * (n + size - 1) for s, n, size in zip(strides, whole, tile, strict=True)]
  edges = [(before, n - size - before, 0) for (before, _), n, size in zip(padding, reach, x.shape[1:-1], strict=True)]
  x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *edges, _fill(channels, strides, padding)])
  edges = [(0, n - size, 0) for n, size in zip(whole, spatial, strict=True)]
  g = lax.pad(g, jnp.zeros((), g.dtype), [(0, 0, 0), *edges, _fill(channels, strides, padding)])
  x, g = lax.optimization_barrier((x, g))  # padded once, not in every product

  def tiles(a: jax.Array, sizes: Sequence[int]) -> jax.Array:
    return a.reshape(a.shape[0], *(n for pair in zip(count, sizes, strict=True) for n in pair), a.shape[-1])

  def part(a: jax.Array, start: Sequence[int], size: Sequence[int]) -> jax.Array:
    """`size` places from `start` on of every tile."""
    spans = [slice(first, first + n) for first, n in zip(start, size, strict=True)]
    return a[:, *(index for span in spans for index in (slice(None), span))]

  total = jnp.zeros((), jnp.float32)
  origin, ones = [0] * len(taps), [1] * len(taps)
  for place in np.ndindex(*tile):
    start = list(map(operator.mul, strides, place))
    end = [at + s * n for at, s, n in zip(start, strides, whole, strict=True)]
    seen = lax.slice(x, (0, *start, 0), (x.shape[0], *end, x.shape[-1]))
    seen = part(tiles(seen, list(map(operator.mul, strides, tile))), origin, taps)
    total += seen.astype(jnp.float32) * part(tiles(g, tile), place, ones)
  axes = range(1, total.ndim - 1)
  total = total.transpose(0, *axes[::2], *axes[1::2], total.ndim - 1)  # samples, tiles, taps, channels
  total = total.reshape(-1, math.prod(taps) * x.shape[-1]).sum(0)
  return total.reshape(*taps, 1, x.shape[-1])[..., :channels]


def _sum_of_blocks(
  x: jax.Array, g: jax.Array, taps: tuple[int, ...], strides: tuple[int, ...], padding: Padding
) -> jax.Array:
  """The kernel's gradient block by block, so that all taps find the block in the cache.

  A step of the scan multiplies one block and one tap, adds up STRIPS strips of it, and leaves the sum over what
  remains, rows, columns and steps, to the end. The compiled code is short however many taps there are.
  """
  width, channels = g.shape[-2:]
  block = _split(g.shape[:-2], max(1, BLOCK // (width * channels)))
  strip = [math.ceil(n / count) for n, count in zip(block, _split(block, STRIPS), strict=True)]
  block = [n * math.ceil(whole / n) for n, whole in zip(strip, block, strict=True)]
  blocks = [math.ceil(n / size) for n, size in zip(g.shape[:-2], block, strict=True)]
  samples, *rows = (count * size for count, size in zip(blocks, block, strict=True))
  ends = [(n - 1) * s + k for n, s, k in zip((*rows, width), strides, taps, strict=True)]
  fill = [end - n - before for end, n, (before, _) in zip(ends, x.shape[1:-1], padding, strict=True)]
  edges = [(before, after, 0) for (before, _), after in zip(padding, fill, strict=True)]
  x = lax.pad(x.astype(jnp.float32), jnp.float32(0), [(0, samples - x.shape[0], 0), *edges, (0, 0, 0)])
  edges = [(0, size - n, 0) for size, n in zip((samples, *rows, width, channels), g.shape, strict=True)]
  g = lax.pad(g.astype(jnp.float32), jnp.float32(0), edges)
  step = [1, *strides, 1]
  offsets = np.array([(0, *tap, 0) for tap in np.ndindex(*taps)], np.int32)
  starts = np.array([(*np.multiply(at, block), 0, 0) for at in np.ndindex(*blocks)], np.int32)
  if strides[-1] == 1:  # a row is one run of numbers: a tap further right is `channels` of them further on
    x, g, step = x.reshape(*x.shape[:-2], -1), g.reshape(*g.shape[:-2], -1), step[:-1]
    offsets, starts = offsets[:, :-1] * ([1] * len(block) + [channels]), starts[:, :-1]
  x, g = lax.optimization_barrier((x, g))  # padded once, not in every product
  line = g.shape[len(strip) :]
  sizes = [(n - 1) * s + 1 for n, s in zip((*strip, *line), step, strict=True)]

  def product(start: jax.Array, tap: jax.Array, offset: list[int]) -> jax.Array:
    start += np.array(offset + [0] * len(line))
    seen = lax.dynamic_slice(x, list(start * np.array(step) + tap), sizes)
    return lax.slice(seen, (0,) * x.ndim, seen.shape, step) * lax.dynamic_slice(g, list(start), (*strip, *line))

  def add(sums: jax.Array, at: Any) -> tuple[jax.Array, None]:
    index, tap, start = at
    strips = np.ndindex(*map(operator.floordiv, block, strip))
    products = [product(start, tap, list(map(operator.mul, strip, number))) for number in strips]
    return sums.at[index].add(functools.reduce(operator.add, products)), None

  index = np.tile(np.arange(len(offsets), dtype=np.int32), len(starts))
  steps = index, np.tile(offsets.astype(np.int32), (len(starts), 1)), np.repeat(starts, len(offsets), 0)
  sums, _ = lax.scan(add, lax.full_like(x, 0, shape=(len(offsets), *strip, *line)), steps)
  sums = sums.reshape(len(offsets), -1, channels)
  return jnp.einsum("r,trc->tc", jnp.ones(sums.shape[1]), sums).reshape(*taps, 1, channels)


def _split(sizes: Sequence[int], room: int) -> list[int]:
  """Even pieces of every axis, as long as `room` allows for their product, the last axis first."""
  pieces = []
  for size in reversed(sizes):
    piece = math.ceil(size / math.ceil(size / max(1, min(size, room))))
    room = max(1, room // piece)
    pieces.insert(0, piece)
  return pieces
