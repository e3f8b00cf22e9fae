"""Convolution by its fastest lowering; `nn.Conv(conv_general_dilated=convolution)` uses it.

A kernel of one tap is a product on the last axis: XLA's gradient of such a convolution is 1.5 to 15 times slower on a
CPU. A kernel of one input channel for each output is a depthwise convolution. Of images, the kernel's gradient is one
matrix product for each row of taps. So is the gradient of a map of few channels, where there is a stride. With jaxlib
0.10, convolutions of few channels, and those that it keeps on one core, have another lowering. All else is XLA's.
Gradients are for reverse mode alone, but where XLA's are taken.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from vidjax.ops.apart import apart
from vidjax.ops.depthwise import depthwise_convolution
from vidjax.ops.windows import windows

TAPS = 128
"""Taps of a kernel up to which there are products: each one is traced and compiled by itself."""

FEW_INPUTS = 4
"""Input channels, at most, of the maps whose gradient is a product where there is a stride; three are those of most
networks' first layer."""

SLOW_OUTPUTS = range(17, 33) if jax.__version_info__ < (0, 11) else range(0)
"""Output channels to which jaxlib 0.10 convolves FEW_INPUTS channels slower than a product with all that the kernel
sees: 16 frames of 224 x 224 to 24 channels 2 to 5 times, to 32 channels .8 to 1.6 times. To 8 or 16 channels, and with
jaxlib 0.11 and 0.12, the product is slower, most where what all kernels see is larger than a cache: up to 10 times."""

CACHED = 2**20
"""Bytes of a factor of the kernel's gradient that stay in a core's cache. Of 256 maps of 24 x 24 x 24 it takes 41 ms in
such parts and 83 ms in one, on one core; parts of .5 to 4 MiB differ little."""

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
    plain = {"dimension_numbers", "lhs_dilation", "rhs_dilation", "batch_group_count"}.issuperset(
      name for name, value in options.items() if value is not None
    )
    real = all(jnp.issubdtype(a.dtype, jnp.floating) for a in (x, kernel))
    fits = all(n + sum(edge) >= k for n, edge, k in zip(x.shape[1:-1], pads, size, strict=True))
    if len(size) == 2 and feature_group_count == 1 and math.prod(size) <= TAPS and plain and real and fits:
      x, kernel = (  # under shard_map, each varies as both do
        one + lax.full_like(other, 0, one.dtype, shape=()) for one, other in ((x, kernel), (kernel, x))
      )
      return _dense(x, kernel, tuple(strides), tuple((int(before), int(after)) for before, after in pads), precision)
  return lax.conv_general_dilated(
    x, kernel, strides, padding, feature_group_count=feature_group_count, precision=precision, **options
  )


def _pointwise(x: jax.Array, kernel: jax.Array, strides: Sequence[int], precision: Any) -> jax.Array:
  x = lax.slice(x, (0,) * x.ndim, x.shape, (1, *strides, 1))
  y = lax.dot(
    x.reshape(math.prod(x.shape[:-1]), -1), kernel.reshape(kernel.shape[-2:]), precision=precision
  )  # two axes: faster
  return y.reshape(*x.shape[:-1], kernel.shape[-1])


def _native(x: jax.Array, kernel: jax.Array, strides, padding, precision) -> jax.Array:
  return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=_LAYOUT, precision=precision)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _dense(x: jax.Array, kernel: jax.Array, strides, padding, precision) -> jax.Array:
  native = functools.partial(_native, strides=strides, padding=padding, precision=precision)

  def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    seen = jnp.concatenate(windows(_pad(x, padding), kernel.shape[:2], strides), axis=-1)
    y = lax.dot(seen.reshape(-1, seen.shape[-1]), kernel.reshape(-1, kernel.shape[-1]), precision=precision)
    return y.reshape(*seen.shape[:-1], kernel.shape[-1])

  def one_row_more(x: jax.Array, kernel: jax.Array) -> jax.Array:
    (above, below), columns = padding
    return _native(x, kernel, strides, ((above, below + 1), columns), precision)[:, :-1]

  if kernel.shape[-2] <= FEW_INPUTS and kernel.shape[-1] in SLOW_OUTPUTS:
    return lax.platform_dependent(x, kernel, cpu=product, default=native)
  as_large = strides[0] == 1 and sum(padding[0]) == kernel.shape[0] - 1
  if as_large and kernel.shape[-1] in ONE_CORE and x.dtype == jnp.float32:
    return lax.platform_dependent(x, kernel, cpu=one_row_more, default=native)
  return native(x, kernel)


def _forward(x: jax.Array, kernel: jax.Array, strides, padding, precision):
  return _dense(x, kernel, strides, padding, precision), (x, kernel)


def _backward(strides, padding, precision, residuals, g: jax.Array):
  x, kernel = residuals
  taps = kernel.shape[:2]
  native = functools.partial(_native, strides=strides, padding=padding, precision=precision)

  def turned(g: jax.Array, kernel: jax.Array) -> jax.Array:
    return jax.vjp(lambda x: native(x, kernel), x)[1](g)[0]

  if strides == (1, 1):  # the convolution of `g` with the kernel turned round
    pads = tuple((k - 1 - before, k - 1 - after) for k, (before, after) in zip(taps, padding, strict=True))
    dx = _dense(g, lax.rev(kernel, (0, 1)).swapaxes(2, 3), strides, pads, precision)
  elif x.shape[-1] <= FEW_INPUTS:
    spread = functools.partial(_spread, shape=x.shape, strides=strides, padding=padding, precision=precision)
    dx = lax.platform_dependent(g, kernel, cpu=spread, default=turned)
  else:
    dx = turned(g, kernel)

  def correlated(x: jax.Array, g: jax.Array) -> jax.Array:
    return jax.vjp(lambda kernel: native(x, kernel), kernel)[1](g)[0]

  def products(x: jax.Array, g: jax.Array) -> jax.Array:
    n, height, width, channels = x.shape
    first = x.reshape(n * height * width, channels).T  # as the left factor wants it
    first = _pad(first.reshape(channels, n, height, width, 1), ((0, 0), *padding))
    first = lax.optimization_barrier(first)  # padded once, not for every tap
    seen = windows(first, (1, *taps), (1, *strides))
    lefts = [jnp.stack(seen[i : i + taps[1]]) for i in range(0, len(seen), taps[1])]  # a row of taps each
    right = g.reshape(math.prod(g.shape[:-1]), g.shape[-1])
    options = {"precision": precision, "preferred_element_type": jnp.promote_types(g.dtype, jnp.float32)}
    sums = [lax.dot(left.reshape(taps[1] * channels, right.shape[0]), right, **options) for left in lefts]
    return jnp.stack(sums).reshape(kernel.shape)

  def in_parts(x: jax.Array, g: jax.Array) -> jax.Array:
    images, steps = x.shape[0], _steps(x.shape[0], 4 * math.prod(g.shape[1:3]) * taps[1] * x.shape[-1])
    if steps == 1:
      return products(x, g).astype(kernel.dtype)
    x, g = (a.reshape(images // steps, steps, *a.shape[1:]) for a in (x, g))

    def add(total: jax.Array, i: jax.Array) -> tuple[jax.Array, None]:
      return total + products(*(lax.dynamic_index_in_dim(a, i, 1, keepdims=False) for a in (x, g))), None

    dtype = jnp.promote_types(kernel.dtype, jnp.float32)
    start = lax.full_like(x, 0, dtype, kernel.shape) + lax.full_like(g, 0, dtype, kernel.shape)  # varies as they do
    return lax.scan(add, start, jnp.arange(steps))[0].astype(kernel.dtype)

  return dx, lax.platform_dependent(x, g, cpu=functools.partial(apart, in_parts), default=correlated)


def _steps(images: int, size: int) -> int:
  """Into how many equal parts images are divided, each of whose factors, `size` bytes an image, fit into a cache.

  One where there are several devices, which would add up their sums of every part.
  """
  if jax.device_count() > 1 or not images:
    return 1
  most = max(m for m in range(1, images + 1) if images % m == 0 and (m == 1 or m * size <= CACHED))
  return images // most if CACHED / 8 <= most * size <= 8 * CACHED else 1


_dense.defvjp(_forward, _backward)


def _pad(x: jax.Array, padding: Any) -> jax.Array:
  return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((*pads, 0) for pads in padding), (0, 0, 0)])


def _spread(g: jax.Array, kernel: jax.Array, *, shape: Sequence[int], strides, padding, precision) -> jax.Array:
  """The gradient of a map `shape` of few channels: a product of every place with all taps, added where they fall.

  With stride s, every s-th tap falls on the same phase of the map: the s phases go side by side, each of them stride 1.
  """
  *taps, channels, features = kernel.shape
  counts = [math.ceil(k / s) for k, s in zip(taps, strides, strict=True)]
  fill = [(0, n * s - k, 0) for n, s, k in zip(counts, strides, taps, strict=True)]
  kernel = lax.pad(kernel, jnp.zeros((), kernel.dtype), [*fill, (0, 0, 0), (0, 0, 0)])
  (rows, columns), (down, across) = counts, strides
  kernel = kernel.reshape(rows, down, columns, across, channels, features).transpose(5, 0, 2, 1, 3, 4)
  wide = _pad(g, [(n - 1, n - 1) for n in counts])
  options = {"precision": precision, "preferred_element_type": jnp.promote_types(g.dtype, jnp.float32)}
  parts = lax.dot(wide.reshape(-1, features), kernel.reshape(features, -1), **options)
  parts = parts.reshape(*wide.shape[:3], rows, columns, down * across * channels)
  n, height, width = g.shape[0], *(size + count - 1 for size, count in zip(g.shape[1:3], counts, strict=True))
  total = jnp.zeros((), parts.dtype)
  for i, j in np.ndindex(rows, columns):  # what the first tap saw lies where `g` does, the others' is further on
    top, left = rows - 1 - i, columns - 1 - j
    total += parts[:, top : top + height, left : left + width, i, j]
  total = total.reshape(n, height, width, down, across, channels).transpose(0, 1, 3, 2, 4, 5)
  total = total.reshape(n, height * down, width * across, channels)
  sizes = zip(padding, shape[1:3], total.shape[1:3], strict=True)
  return _pad(total.astype(g.dtype), [(-before, before + size - whole) for (before, _), size, whole in sizes])
