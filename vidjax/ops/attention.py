"""Attention over many tokens in little memory (thesis Eq. 4.1; Wang et al., CVPR 2018; TTSN Eq. 3-4).

Space-time attention compares every position with every other: for 16 frames of 28 x 28 a map of 12544 x 12544.
`attention` never holds it: it goes through the queries in chunks and computes each chunk again in the backward pass.
`attention_map` is the map itself, and an `AttentionMap` stands for it where one row is looked at.
"""

import math
from typing import Literal

import jax
import jax.numpy as jnp
from flax import struct

from vidjax.ops.max_pool import max_pool

Form = Literal["softmax", "relu", "dot"]
"""What weighs a key: softmax of the products over the keys; their ReLU, or the products, over the number of keys."""

QUERIES = 512
"""Most queries in a chunk."""


def attention_map(query: jax.Array, key: jax.Array, form: Form = "softmax") -> jax.Array:
  """The weights of the keys for every query: `[B, N, D]` and `[B, M, D]` to float32 `[B, N, M]`.

  Args:
    query: `[B, N, D]`.
    key: `[B, M, D]`.
    form: "softmax" of the products, or another form of `Form`.
  """
  return _weights(jnp.einsum("bnd,bmd->bnm", query, key, preferred_element_type=jnp.float32), form)


@struct.dataclass
class AttentionMap:
  """A map of attention that nobody has computed yet: what a plug-in sows as "attention" under "intermediates".

  A row costs one product with the keys, whatever the size of the whole map.

  Attributes:
    query: `[B, N, D]`, N the product of `queries`.
    key: `[B, M, D]`, M the product of `keys`.
    queries: the grid of the queries, such as `(T, H, W)`, or `(T,)` where a frame is one token.
    keys: the grid of the keys, which may be smaller.
    form: how products become weights.
  """

  query: jax.Array
  key: jax.Array
  queries: tuple[int, ...] = struct.field(pytree_node=False)
  keys: tuple[int, ...] = struct.field(pytree_node=False)
  form: Form = struct.field(pytree_node=False, default="softmax")

  def row(self, *place: int) -> jax.Array:
    """The weights of all keys for the query at a place of the grid `queries`: float32 `[B, *keys]`."""
    number = sum(index * math.prod(self.queries[axis + 1 :]) for axis, index in enumerate(place))
    weights = attention_map(self.query[:, number : number + 1], self.key, self.form)
    return weights.reshape(-1, *self.keys)

  def full(self) -> jax.Array:
    """All rows: float32 `[B, *queries, *keys]`; for 16 frames of 28 x 28 that takes 629 MB a clip."""
    return attention_map(self.query, self.key, self.form).reshape(-1, *self.queries, *self.keys)


def attention(query: jax.Array, key: jax.Array, value: jax.Array, form: Form = "softmax") -> jax.Array:
  """For every query the sum of the values by their keys' weights, products and softmax in float32.

  No scale: multiply the query by one where it is wanted.

  Args:
    query: `[B, N, D]`.
    key: `[B, M, D]`.
    value: `[B, M, E]`.
    form: how products become weights.

  Returns:
    `[B, N, E]`, dtype as `query`.
  """
  if form == "dot":  # nothing between the two products: the second one first is D x E numbers, not N x M
    summary = jnp.einsum("bmd,bme->bde", key, value, preferred_element_type=jnp.float32) / key.shape[1]
    return jnp.einsum("bnd,bde->bne", query, summary.astype(query.dtype))
  count = query.shape[1]
  if count <= QUERIES:
    return jnp.einsum("bnm,bme->bne", attention_map(query, key, form).astype(value.dtype), value).astype(query.dtype)
  dtypes, wide = (key.dtype, value.dtype), (key.astype(jnp.float32), value.astype(jnp.float32))

  def one(query: jax.Array) -> jax.Array:
    """The output `[B, E]` of one query of every clip `[B, D]`."""
    # float32 outside the loop, where the chunks' gradients add up
    key, value = (array.astype(dtype) for array, dtype in zip(wide, dtypes, strict=True))
    weights = _weights(jnp.einsum("bd,bmd->bm", query, key, preferred_element_type=jnp.float32), form)
    summed = jnp.einsum("bm,bme->be", weights.astype(value.dtype), value, preferred_element_type=jnp.float32)
    return summed.astype(query.dtype)

  chunk = next((size for size in range(QUERIES, QUERIES // 2, -1) if count % size == 0), QUERIES)
  rows = jax.lax.map(jax.checkpoint(one, prevent_cse=False), jnp.moveaxis(query, 1, 0), batch_size=chunk)
  return jnp.moveaxis(rows, 0, 1)


def halved(x: jax.Array) -> jax.Array:
  """2 x 2 max pool of `[B, T, H, W, C]` or `[B, H, W, C]`, for keys and values; an axis of one pixel stays."""
  window = (*(1,) * (x.ndim - 4), min(2, x.shape[-3]), min(2, x.shape[-2]))
  return max_pool(x, window, window, "VALID")


def _weights(products: jax.Array, form: Form) -> jax.Array:
  if form == "softmax":
    return jax.nn.softmax(products, axis=-1)
  if form == "relu":
    products = jax.nn.relu(products)
  return products / products.shape[-1]
