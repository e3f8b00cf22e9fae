"""Normalisation of a map by its own moments (Ioffe & Szegedy 2015), with the gradient in few passes over the map.

The derivative JAX finds by itself keeps the centred map beside the map and sums three times over it; this one keeps
the map alone and sums twice. On 2 CPU cores a training step of MobileNetV2, X3D-M or ResNet-50 takes 7 to 14% less
time, and the gradient of ResNet-50 on 16 frames of 224 x 224 1.36 GB for 2.14 GB (with `ops.max_pool`).
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

Three = tuple[jax.Array, jax.Array, jax.Array]


def normalise_by_batch(x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, one_pass: bool = True) -> Three:
  """`(x - mean) / sqrt(var + epsilon) * scale + bias` by the moments of each channel; for reverse mode alone.

  Args:
    x: `[..., C]`; moments are taken over every axis but the last, in float32 at least.
    scale: `[C]`.
    bias: `[C]`.
    epsilon: added to the variance.
    one_pass: the variance is E[(x - m)^2] - (E[x] - m)^2, at least 0, which need not wait for the mean. Here m is
      the mean in the middle of the clips: with 0 in its place, digits are lost where E[x] is 100 deviations.
      Otherwise E[(x - E[x])^2].

  Returns:
    The map of the shape and dtype that `x`, `scale` and `bias` give together, the mean `[C]` and the biased variance
    `[C]`.
  """
  x = jnp.asarray(x)
  zero = jax.lax.full_like(x, 0, shape=())  # under shard_map, a scale and a bias that vary as x does
  return _normalise_by_batch(x, scale + zero.astype(scale.dtype), bias + zero.astype(bias.dtype), epsilon, one_pass)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _normalise_by_batch(x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, one_pass: bool) -> Three:
  wide, axes = x.astype(jnp.promote_types(x.dtype, jnp.float32)), range(x.ndim - 1)
  mean = wide.mean(axes)
  if one_pass:
    middle = wide[(slice(None), *(size // 2 for size in x.shape[1:-1]))].mean(0)
    spread = jnp.square(wide - jnp.expand_dims(middle, axes)).mean(axes)
    var = jnp.maximum(0, spread - jnp.square(mean - middle))
  else:
    var = jnp.square(wide - jnp.expand_dims(mean, axes)).mean(axes)
  return normalise(x, mean, var, scale, bias, epsilon), mean, var


def normalise(
  x: jax.Array, mean: jax.Array, var: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> jax.Array:
  """`(x - mean) / sqrt(var + epsilon) * scale + bias` by given moments.

  Args:
    x: `[..., C]`.
    mean: `[C]`.
    var: `[C]`.
    scale: `[C]`.
    bias: `[C]`.
    epsilon: added to the variance.
  """
  factor = scale * jax.lax.rsqrt(var + epsilon)
  mean, factor, shift = (jnp.expand_dims(value, range(x.ndim - 1)) for value in (mean, factor, bias))
  return ((x - mean) * factor + shift).astype(jnp.result_type(x, scale, bias))


def _forward(x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, one_pass: bool) -> tuple[Three, Any]:
  results: Three = _normalise_by_batch(x, scale, bias, epsilon, one_pass)
  return results, (x, scale, bias, *results[1:])


def _backward(epsilon: float, one_pass: bool, residuals: Any, cotangents: Three) -> Three:
  (x, scale, bias, mean, var), (g, of_mean, of_var) = residuals, cotangents
  axes, count = range(x.ndim - 1), math.prod(x.shape[:-1])
  wide, g = x.astype(mean.dtype), g.astype(mean.dtype)
  centred = wide - jnp.expand_dims(mean, axes)
  inverse = jax.lax.rsqrt(var + epsilon)
  total = g.sum(axes)
  along = (g * wide).sum(axes) - mean * total if one_pass else (g * centred).sum(axes)  # of g times the centred map
  of_mean = of_mean - scale * inverse * total
  of_var = of_var - scale * inverse**3 / 2 * along
  of_g, of_centred, rest = (
    jnp.expand_dims(value, axes) for value in (scale * inverse, 2 * of_var / count, of_mean / count)
  )
  dx = of_g * g + of_centred * centred + rest
  return dx.astype(x.dtype), (along * inverse).astype(scale.dtype), total.astype(bias.dtype)


_normalise_by_batch.defvjp(_forward, _backward)
