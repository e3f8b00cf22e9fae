"""Pooling by attention: learnt queries gather what a classifier needs (V-JEPA 2's probe, SigLIP's head)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.backbones.transformer import ACTIVATIONS, Activation, Sequence, TransformerBlock
from vidjax.bounds import Count, Positive, Whole
from vidjax.checks import check_fields, place
from vidjax.errors import ConfigError
from vidjax.ops.heads import attend


class AttentivePooler(nn.Module):
  """Layers of attention among all tokens, then one query that looks at them: `[B, T, H, W, D]` to `[B, D]`.

  The defaults are V-JEPA 2's, whose query has no output layer; its MLPs have four times the width whatever the
  encoder's have. SigLIP's head has an output layer, no residual and no normalisation of what it looks at.

  Attributes:
    heads: of the attention; the width is a multiple of them.
    depth: layers of self-attention before the query's.
    hidden: channels inside the MLPs; None for 4 D.
    out: whether a layer follows the query's attention.
    residual: whether the query itself is added to what it gathers.
    norm: whether tokens are normalised before the query looks at them.
    activation: of the MLPs.
    epsilon: added to the variance of the normalisations.
  """

  heads: Count = 12
  depth: Whole = 0
  hidden: Count | None = None
  out: bool = False
  residual: bool = True
  norm: bool = True
  activation: Activation = "gelu"
  epsilon: Positive = 1e-6

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """`[B, T, H, W, D]` to `[B, D]`; ConfigError where the heads do not divide the width."""
    check_fields(self)
    batch, frames, height, columns, width = x.shape
    if width % self.heads:
      raise ConfigError(f"AttentivePooler(heads={self.heads}) at {place(self, x)}: must divide the {width} channels")
    hidden = self.hidden or 4 * width
    tokens = Sequence(x.reshape(batch, 1, -1, width), (frames, height, columns), 0)
    for number in range(self.depth):
      block = TransformerBlock(
        self.heads, hidden, "joint", activation=self.activation, epsilon=self.epsilon, name=f"block{number}"
      )
      tokens = block(tokens, train)
    x = tokens.x[:, 0]
    x = nn.LayerNorm(self.epsilon, name="norm1")(x) if self.norm else x
    start = self.param("query_token", nn.initializers.normal(0.02), (1, 1, width)).astype(x.dtype)
    start = jnp.broadcast_to(start, (batch, 1, width))
    parts = [nn.Dense(width, name=name)(part) for name, part in (("query", start), ("key", x), ("value", x))]
    query, key, value = (part.reshape(batch, -1, self.heads, width // self.heads) for part in parts)
    y = attend(query, key, value).reshape(batch, width)
    y = nn.Dense(width, name="out")(y) if self.out else y
    y = y + start[:, 0] if self.residual else y
    z = nn.Dense(hidden, name="wide")(nn.LayerNorm(self.epsilon, name="norm2")(y))
    return y + nn.Dense(width, name="narrow")(ACTIVATIONS[self.activation](z))
