"""Scaled dot-product attention of several heads, by cuDNN where there is one (Vaswani et al., NIPS 2017)."""

import jax
import jax.numpy as jnp
from flax import struct

from vidjax.ops.lowering import runs_on
from vidjax.ops.positions import Grid


def attend(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
  """softmax(Q K^T / sqrt(d)) V for every head: `[..., N, heads, d]`, twice `[..., M, heads, d]`.

  Args:
    query: queries.
    key: keys.
    value: values.
  """
  flat = [x.reshape(-1, *x.shape[-3:]) for x in (query, key, value)]
  y = jax.nn.dot_product_attention(*flat, implementation="cudnn" if _cudnn(query) else "xla")
  return y.reshape(query.shape)


def _cudnn(query: jax.Array) -> bool:
  """Whether cuDNN has this attention: 16-bit numbers, and heads of a multiple of 8 channels up to 128."""
  small = query.dtype in (jnp.bfloat16, jnp.float16) and query.shape[-1] % 8 == 0 and query.shape[-1] <= 128
  return small and runs_on("gpu")


@struct.dataclass
class HeadsMap:
  """A map of attention of several heads that nobody has computed yet, as `ops.attention.AttentionMap`.

  Attributes:
    query: `[B, G, P + N, heads, d]`: G groups of tokens that look at each other, each with P tokens that lie nowhere in
      the clip, such as a class token, before its N.
    key: the same of the keys.
    queries: the grid `(T, H, W)` of all tokens; G is T or 1.
    prefix: P.
  """

  query: jax.Array
  key: jax.Array
  queries: Grid = struct.field(pytree_node=False)
  prefix: int = struct.field(pytree_node=False)

  def row(self, *place: int) -> jax.Array:
    """What the token at a place (t, y, x) looks at, the mean over heads: float32 `[B, T, H, W]`.

    Tokens of other groups get 0. With tokens that lie nowhere in the clip the sum is below 1.
    """
    groups = self.query.shape[1]
    _, height, width = self.queries
    time, y, x = place
    group, ahead = (time, 0) if groups > 1 else (0, time)
    number = self.prefix + (ahead * height + y) * width + x
    products = jnp.einsum(
      "bhd,bmhd->bhm", self.query[:, group, number], self.key[:, group], preferred_element_type=jnp.float32
    )
    weights = jax.nn.softmax(products / self.query.shape[-1] ** 0.5, axis=-1).mean(axis=1)[:, self.prefix :]
    if groups == 1:
      return weights.reshape(-1, *self.queries)
    rows = jnp.zeros((weights.shape[0], *self.queries), jnp.float32)
    return rows.at[:, time].set(weights.reshape(-1, height, width))
