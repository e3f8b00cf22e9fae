"""Region-based non-local block (thesis Eq. 4.2-4.9; Huang and Bors, ICPR 2020)."""

import math
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.bounds import Odd
from vidjax.checks import check_clip, place
from vidjax.errors import ConfigError
from vidjax.layers import BatchNorm, linear_init
from vidjax.ops.attention import AttentionMap, Form, attention, halved
from vidjax.ops.depthwise import depthwise_convolution
from vidjax.ops.max_pool import max_pool

Similarity = Literal["gaussian", "dot", "dot_relu", "cosine"]
Aggregation = Literal["conv", "grouped", "average", "max"]

GROUP = 32
"""Channels of a group in the released code's aggregation."""


class RNL(nn.Module):
  """Adds to every position a sum over all positions, weighted by how alike their regions are: `[B,T,H,W,C]`, as x.

  One W_g gives query and key, both after F_theta, and the value, before it. Starts as the identity. The map
  `[B, T,H,W, T,H',W']`, queries first, goes to "intermediates" as "attention", an `AttentionMap`, where that collection
  is mutable.

  Attributes:
    kernel: of F_theta over time, height and width, odd; the released code has (3, 7, 7) in res3 and (3, 3, 3) in res4.
    form: "gaussian" (Eq. 4.5), "dot" (Eq. 4.6), "cosine" (Eq. 4.7), or "dot_relu": the released code's dot product.
    aggregation: F_theta: "conv", one kernel per channel; "average" (of zeros beyond the border, too) or "max" pooling;
      "grouped", the released code's way to the same function: a convolution of groups of 32 channels times a constant
      diagonal mask. That code counts its mask among the parameters. With a kernel of (1, 1, 1) it has no F_theta: take
      "average" for its weights.
    sub_sample: max-pool keys and values 1x2x2; an option of the released code.
    batch_norm: False starts W_z at zero instead of the BN after it; an option of the released code.
  """

  kernel: tuple[Odd, Odd, Odd] = (3, 7, 7)
  form: Similarity = "gaussian"
  aggregation: Aggregation = "conv"
  sub_sample: bool = False
  batch_norm: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns the clip with its context added; raises InputError for images or attributes that do not fit."""
    check_clip(self, x)
    batch, *grid, channels = x.shape
    inner = max(channels // 2, 1)
    if self.aggregation == "grouped" and inner > GROUP and inner % GROUP:
      raise ConfigError(
        f"RNL(aggregation='grouped') at {place(self, x)}: {inner} channels do not divide into groups of {GROUP}; use "
        "aggregation='conv'"
      )
    value = nn.Dense(inner, kernel_init=linear_init, name="w_g")(x)
    query = key = _Regions(self.kernel, self.aggregation, name="theta")(value)
    if self.sub_sample:
      key, value = halved(key), halved(value)
    keys = key.shape[1:-1]
    query, key, value = (array.reshape(batch, -1, inner) for array in (query, key, value))
    forms: dict[Similarity, Form] = {"gaussian": "softmax", "dot": "dot", "dot_relu": "relu", "cosine": "relu"}
    form = forms[self.form]
    if self.form == "cosine":
      query, key = _unit(query), _unit(key)
    if self.is_mutable_collection("intermediates"):
      self.sow("intermediates", "attention", AttentionMap(query, key, tuple(grid), keys, form))
    y = attention(query, key, value, form).reshape(batch, *grid, -1)
    if not self.batch_norm:
      return x + nn.Dense(channels, kernel_init=nn.initializers.zeros, name="w_z")(y)
    y = nn.Dense(channels, kernel_init=linear_init, name="w_z")(y)
    # all positions get nearly the same sum: their variance drowns in the mean of the squares, if taken from it
    bn = BatchNorm(scale_init=nn.initializers.zeros, one_pass=False, name="bn")
    return x + bn(y, train)


class _Regions(nn.Module):
  """F_theta (Eq. 4.3): summarises the region around every position, channel by channel; zeros beyond the border."""

  kernel: tuple[int, int, int]
  aggregation: Aggregation

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """`[B,T,H,W,C]` to the same shape."""
    if self.aggregation == "max":
      return max_pool(x, self.kernel, (1, 1, 1), "SAME")
    if self.aggregation == "average":
      return nn.avg_pool(x.astype(jnp.float32), self.kernel, padding="SAME").astype(x.dtype)
    features = x.shape[-1]
    width = min(GROUP, features)
    bound = math.sqrt(6 / (math.prod(self.kernel) * (width + features)))  # Xavier's of the grouped kernel

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
      return jax.random.uniform(key, shape, dtype, -bound, bound)

    padding = [(size // 2, size // 2) for size in self.kernel]
    if self.aggregation == "conv":
      return depthwise_convolution(x, self.param("kernel", init, (*self.kernel, 1, features)), (1, 1, 1), padding)
    diagonal = jnp.tile(jnp.eye(width, dtype=x.dtype), features // width)
    kernel = self.param("kernel", init, (*self.kernel, width, features)) * diagonal[None, None, None]
    layout, groups = ("NDHWC", "DHWIO", "NDHWC"), features // width
    return jax.lax.conv_general_dilated(
      x, kernel, (1, 1, 1), padding, dimension_numbers=layout, feature_group_count=groups
    )


def _unit(x: jax.Array) -> jax.Array:
  """`x` over its length along the last axis, zero where `x` is zero; float32 inside."""
  wide = x.astype(jnp.float32)
  squares = jnp.sum(wide * wide, axis=-1, keepdims=True)
  return (wide * jax.lax.rsqrt(jnp.maximum(squares, 1e-24))).astype(x.dtype)
