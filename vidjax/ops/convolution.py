"""Convolution by its fastest lowering; `nn.Conv(conv_general_dilated=convolution)` uses it.

A kernel of one tap is a product on the last axis: XLA's gradient of such a convolution is 1.5 to 15 times slower on a
CPU. A kernel of one input channel for each output is a depthwise convolution. The weight gradient of few output
channels, which XLA's runs at a fifth of a CPU's speed, is a matrix product for each tap. Everything else is XLA's.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from vidjax.ops.depthwise import depthwise_convolution

FEW = 24
"""Output channels up to which the products are faster: 256 images of 24 x 24 with 24 channels take 2.5 times as long by
XLA's on two cores; with 32 channels they do not."""

TAPS = 128
"""Taps of a kernel up to which there are products: each one is traced and compiled by itself."""

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
    few = kernel.shape[-1] <= FEW and math.prod(size) <= TAPS
    if len(size) == 2 and feature_group_count == 1 and few:
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


def _native(x: jax.Array, kernel: jax.Array, strides, padding, precision) -> jax.Array:
  return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=_LAYOUT, precision=precision)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _narrow(x: jax.Array, kernel: jax.Array, strides, padding, precision) -> jax.Array:
  return _native(x, kernel, strides, padding, precision)


def _forward(x: jax.Array, kernel: jax.Array, strides, padding, precision):
  return _native(x, kernel, strides, padding, precision), (x, kernel)


def _backward(strides, padding, precision, residuals, g: jax.Array):
  x, kernel = residuals
  (dx,) = jax.vjp(lambda x: _native(x, kernel, strides, padding, precision), x)[1](g)

  def native(x: jax.Array, g: jax.Array) -> jax.Array:
    return jax.vjp(lambda kernel: _native(x, kernel, strides, padding, precision), kernel)[1](g)[0]

  def products(x: jax.Array, g: jax.Array) -> jax.Array:
    n, height, width, features = g.shape
    padded = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((*pad, 0) for pad in padding), (0, 0, 0)])
    rows, columns = 1 + (height - 1) * strides[0], 1 + (width - 1) * strides[1]
    right = g.reshape(-1, features)

    def tap(i: int, j: int) -> jax.Array:
      part = lax.slice(padded, (0, i, j, 0), (n, i + rows, j + columns, x.shape[-1]), (1, *strides, 1))
      left = part.reshape(-1, x.shape[-1])
      return jnp.einsum("nc,nd->cd", left, right, precision=precision, preferred_element_type=jnp.float32)

    taps = [tap(i, j) for i in range(kernel.shape[0]) for j in range(kernel.shape[1])]
    return jnp.stack(taps).reshape(kernel.shape).astype(kernel.dtype)

  return dx, lax.platform_dependent(x, g, cpu=products, default=native)


_narrow.defvjp(_forward, _backward)
