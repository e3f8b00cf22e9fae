"""Convolution by its fastest lowering; `nn.Conv(conv_general_dilated=convolution)` uses it.

A kernel of one tap is a product on the last axis: XLA's gradient of such a convolution is 1.5 to 15 times slower on a
CPU. A kernel of one input channel for each output is a depthwise convolution. Of few channels, where XLA reaches a
fifth of a CPU's speed or less, the convolution and its kernel's gradient are matrix products. Where jaxlib 0.10 keeps
a convolution on one core, it gets the others. Everything else is XLA's.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from vidjax.ops.depthwise import depthwise_convolution

FEW_OUTPUTS = 48
"""Output channels up to which products are the faster kernel gradient: 1.2 to 5 times on 24 x 24 maps of 24, 40 and 48
channels, as fast with 32 and 64, slower on large maps of 64."""

TAPS = 128
"""Taps of a kernel up to which there are products: each one is traced and compiled by itself."""

FEW_INPUTS = 4
"""Input channels up to which a product with all that the kernel sees (three channels: the first layer of most networks)
is faster than XLA's convolution to at most MEDIUM_OUTPUTS channels: 16 frames of 224 x 224 to 24 channels 4 times, with
a kernel of 5 x 5 5 times, to 32 channels 1.6 times. With 6 input or 40 output channels it is slower."""

MEDIUM_OUTPUTS = 32

ONE_CORE = range(32, 128) if jax.__version_info__ < (0, 11) else range(0)
"""Output channels for which the library in jaxlib 0.10 runs a float32 convolution on one core (below 32 that is no
slower); 0.11 and 0.12 use all cores. Convolutions whose result is larger than the map do not go to that library."""

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def convolution(
  x: jax.Array,
  kernel: jax.Array,
  strides: Sequence[int],
  padding: str | Sequence[tuple[int, int]],
  feature_group_count: int = 1,
  precision: Any = None,
  **options: Any,
) -> jax.Array:
  """`lax.conv_general_dilated` of the same arguments, channels last; sums in float32, returns the dtype of `x`.

  Args:
    x: `[N, *spatial, C]`.
    kernel: `[*k, C / feature_group_count, D]`.
    strides: of every spatial axis.
    padding: (before, after) of every spatial axis, or a name lax knows.
    feature_group_count: groups of channels that do not see each other.
    precision: as lax takes it.
    **options: further arguments of `lax.conv_general_dilated`.

  Returns:
    `[N, *spatial', D]`.
  """
  channels, size = x.shape[-1], kernel.shape[:-2]
  dilated = any(d != 1 for name in ("lhs_dilation", "rhs_dilation") for d in options.get(name) or ())
  if not dilated and options.get("batch_group_count", 1) == 1:
    pads = lax.padtype_to_pads(x.shape[1:-1], size, strides, padding) if isinstance(padding, str) else padding
    if math.prod(size) == feature_group_count == 1 and not any(map(any, pads)):
      return _pointwise(x, kernel, strides, precision)
    if feature_group_count == channels and kernel.shape[-2:] == (1, channels) and len(size) <= 3:
      return depthwise_convolution(x, kernel, strides, pads)
    narrow = any(features in ONE_CORE for features in kernel.shape[-2:]) or _by_products(kernel)
    if len(size) == 2 and feature_group_count == 1 and narrow:
      kernel = kernel + lax.full_like(x, 0, kernel.dtype, shape=())  # under shard_map, one that varies as x does
      return _narrow(x, kernel, tuple(strides), tuple((int(before), int(after)) for before, after in pads), precision)
  return lax.conv_general_dilated(
    x, kernel, strides, padding, feature_group_count=feature_group_count, precision=precision, **options
  )


def _pointwise(x: jax.Array, kernel: jax.Array, strides: Sequence[int], precision: Any) -> jax.Array:
  x = lax.slice(x, (0,) * x.ndim, x.shape, (1, *strides, 1))
  y = lax.dot(
    x.reshape(math.prod(x.shape[:-1]), -1), kernel.reshape(kernel.shape[-2:]), precision=precision
  )  # two axes: faster
  return y.reshape(*x.shape[:-1], kernel.shape[-1])


def _by_products(kernel: jax.Array) -> bool:
  """Whether the kernel's gradient is a product for each tap."""
  return kernel.shape[-1] <= FEW_OUTPUTS and math.prod(kernel.shape[:2]) <= TAPS


def _native(x: jax.Array, kernel: jax.Array, strides, padding, precision) -> jax.Array:
  return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=_LAYOUT, precision=precision)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _narrow(x: jax.Array, kernel: jax.Array, strides, padding, precision) -> jax.Array:
  native = functools.partial(_native, strides=strides, padding=padding, precision=precision)

  def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    rows = _seen(x, kernel.shape[:2], strides, padding)
    seen = jnp.concatenate([part for row in rows for part in row], axis=-1)
    y = lax.dot(seen.reshape(-1, seen.shape[-1]), kernel.reshape(-1, kernel.shape[-1]), precision=precision)
    return y.reshape(*seen.shape[:-1], kernel.shape[-1])

  def one_row_more(x: jax.Array, kernel: jax.Array) -> jax.Array:
    (above, below), columns = padding
    return _native(x, kernel, strides, ((above, below + 1), columns), precision)[:, :-1]

  if kernel.shape[-2] <= FEW_INPUTS and kernel.shape[-1] <= MEDIUM_OUTPUTS:
    return lax.platform_dependent(x, kernel, cpu=product, default=native)
  as_large = strides[0] == 1 and sum(padding[0]) == kernel.shape[0] - 1
  if as_large and kernel.shape[-1] in ONE_CORE and x.dtype == jnp.float32:
    return lax.platform_dependent(x, kernel, cpu=one_row_more, default=native)
  return native(x, kernel)


def _forward(x: jax.Array, kernel: jax.Array, strides, padding, precision):
  return _narrow(x, kernel, strides, padding, precision), (x, kernel)


def _backward(strides, padding, precision, residuals, g: jax.Array):
  x, kernel = residuals
  taps = kernel.shape[:2]
  if strides == (1, 1):  # the convolution of `g` with the kernel turned round
    pads = tuple((k - 1 - before, k - 1 - after) for k, (before, after) in zip(taps, padding, strict=True))
    dx = _narrow(g, lax.rev(kernel, (0, 1)).swapaxes(2, 3), strides, pads, precision)
  else:
    (dx,) = jax.vjp(lambda x: _native(x, kernel, strides, padding, precision), x)[1](g)

  def native(x: jax.Array, g: jax.Array) -> jax.Array:
    return jax.vjp(lambda kernel: _native(x, kernel, strides, padding, precision), kernel)[1](g)[0]

  def products(x: jax.Array, g: jax.Array) -> jax.Array:
    right = g.reshape(-1, g.shape[-1])
    groups = _seen(x, taps, strides, padding)
    if x.shape[-1] <= FEW_INPUTS:
      groups = [[jnp.concatenate(row, axis=-1)] for row in groups]
    lefts = [part.reshape(-1, part.shape[-1]) for group in groups for part in group]
    options = {"precision": precision, "preferred_element_type": jnp.float32}
    sums = [jnp.einsum("nc,nd->cd", left, right, **options) for left in lefts]
    return jnp.stack(sums).reshape(kernel.shape).astype(kernel.dtype)

  return dx, lax.platform_dependent(x, g, cpu=products, default=native) if _by_products(kernel) else native(x, g)


_narrow.defvjp(_forward, _backward)


def _seen(x: jax.Array, taps: Sequence[int], strides: Sequence[int], padding: Any) -> list[list[jax.Array]]:
  """What every tap of a kernel sees, row by row of the kernel: `[N, H', W', C]` each."""
  padded = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((*pad, 0) for pad in padding), (0, 0, 0)])
  height, width = (max(0, (n - k) // s * s + 1) for n, k, s in zip(padded.shape[1:3], taps, strides, strict=True))
  n, _, _, channels = padded.shape

  def part(i: int, j: int) -> jax.Array:
    return lax.slice(padded, (0, i, j, 0), (n, i + height, j + width, channels), (1, *strides, 1))

  return [[part(i, j) for j in range(taps[1])] for i in range(taps[0])]
