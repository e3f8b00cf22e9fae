"""Blocks of a transformer on tokens of clips: attention of several kinds, an MLP, and the places of plug-ins.

`vidjax.backbones.vit` says what the kinds of attention are.
"""

from collections.abc import Callable
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from vidjax.ops.heads import HeadsMap, attend
from vidjax.ops.positions import Grid, rotate, rotations
from vidjax.plugins.insert import Insert, Place, apply_to_tokens

Attention = Literal["frame", "joint", "divided", "reused"]
Activation = Literal["gelu", "gelu_tanh", "quick_gelu"]
Biases = Literal["all", "qv", "none"]
ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
  "gelu": lambda x: nn.gelu(x, approximate=False),
  "gelu_tanh": nn.gelu,
  "quick_gelu": lambda x: x * nn.sigmoid(1.702 * x),
}


class Sequence(struct.PyTreeNode):
  """The tokens of clips.

  Attributes:
    x: `[B, G, P + N, D]`: G groups, T of them where every frame has a prefix, else 1; the P tokens of the prefix, then
      the N of the grid.
    grid: (T, H, W); G * N = T * H * W.
    prefix: P.
  """

  x: jax.Array
  grid: Grid = struct.field(pytree_node=False)
  prefix: int = struct.field(pytree_node=False)

  def split(self) -> tuple[jax.Array, jax.Array | None]:
    """The grid `[B, T, H, W, D]`, and the prefix `[B, G, P, 1, D]` or None."""
    batch, _, _, width = self.x.shape
    prefix = self.x[:, :, : self.prefix, None] if self.prefix else None
    return self.x[:, :, self.prefix :].reshape(batch, *self.grid, width), prefix

  def joined(self, grid: jax.Array, prefix: jax.Array | None) -> "Sequence":
    """The tokens with another grid and prefix.

    Args:
      grid: `[B, T, H, W, D]`.
      prefix: `[B, G, P, 1, D]` or None.
    """
    batch, groups, _, width = self.x.shape
    tokens = grid.reshape(batch, groups, -1, width)
    if prefix is not None:
      tokens = jnp.concatenate([prefix[:, :, :, 0], tokens], axis=2)
    return self.replace(x=tokens)


class SelfAttention(nn.Module):
  """Attention of all tokens of a sequence to each other, in heads.

  Attributes:
    heads: number of heads, each of a share of the channels.
    bias: of queries, keys and values: "all", "qv" without that of the keys, which no softmax sees, or "none".
  """

  heads: int
  bias: Biases = "all"

  @nn.compact
  def __call__(self, x: jax.Array, turned: tuple | None = None, grid: Grid | None = None, prefix: int = 0) -> jax.Array:
    """Tokens `[..., N, D]` to what they gather, `[..., N, D]`.

    The map of attention goes to "intermediates" as "attention", a `HeadsMap`, where the grid is given and that
    collection is mutable.

    Args:
      x: the tokens.
      turned: cosines and sines of rotary positions, see `ops.positions.rotations`.
      grid: (T, H, W), whose tokens `[B, G, prefix + N, D]` are.
      prefix: tokens of each group that lie nowhere in the grid.
    """
    width, split = x.shape[-1], (*x.shape[:-1], self.heads, -1)
    biased = {"all": ("query", "key", "value"), "qv": ("query", "value"), "none": ()}[self.bias]
    parts = [nn.Dense(width, name in biased, name=name)(x).reshape(split) for name in ("query", "key", "value")]
    query, key, value = parts
    if turned is not None:
      query, key = rotate(query, *turned), rotate(key, *turned)
    if grid is not None and self.is_mutable_collection("intermediates"):
      self.sow("intermediates", "attention", HeadsMap(query, key, grid, prefix))
    return nn.Dense(width, name="out")(attend(query, key, value).reshape(x.shape))


class TransformerBlock(nn.Module):
  """Attention, then an MLP, each on normalised tokens and added to the stream.

  Attributes:
    heads: of the attention.
    hidden: channels between the two layers of the MLP.
    attention: as in ViT.
    bias: as in SelfAttention.
    activation: of the MLP.
    epsilon: added to the variance of the normalisations.
    layer_scale: start of a factor for each channel of both branches (DINOv2), or None for no factors.
    drop_path: share of clips in training that skip a branch of the block, see ViT.
    rotary: the grid of the training where positions are rotations, else None.
    extend: as in ViT.
    marked: whether Grad-CAM reads this block's normalised tokens.
    inserts: plug-ins of this block.
  """

  heads: int
  hidden: int
  attention: Attention = "frame"
  bias: Biases = "all"
  activation: Activation = "gelu"
  epsilon: float = 1e-6
  layer_scale: float | None = None
  drop_path: float = 0.0
  rotary: Grid | None = None
  extend: bool = False
  marked: bool = False
  inserts: tuple[Insert, ...] = ()

  @nn.compact
  def __call__(self, tokens: Sequence, train: bool) -> Sequence:
    """Tokens to tokens of the same grid and prefix."""
    x = self._plug("ahead", tokens, train).x
    attention = SelfAttention(self.heads, self.bias, name="attention")
    norm1, norm2 = (nn.LayerNorm(self.epsilon, name=name) for name in ("norm1", "norm2"))
    if self.attention == "divided":
      x = self._over_time(tokens.replace(x=x), train)
    elif self.attention == "reused":
      x = self._reused(tokens.replace(x=x), norm1, attention, train)
    y = norm1(self._plug("before", tokens.replace(x=x), train).x)
    if self.marked:
      y = self._mark(tokens.replace(x=y))
    x = x + self._branch("residual", self._attend(tokens.replace(x=y), attention), train)
    x = self._plug("between", tokens.replace(x=x), train).x
    y = norm2(self._plug("middle", tokens.replace(x=x), train).x)
    z = ACTIVATIONS[self.activation](nn.Dense(self.hidden, name="wide")(y))
    z = nn.Dense(x.shape[-1], name="narrow")(z)
    x = x + self._branch("mlp_residual", tokens.replace(x=z), train)
    if self._has("parallel"):
      x = x + self._dropped(self._beside(tokens.replace(x=y), train), train)
    return self._plug("after", tokens.replace(x=x), train)

  def _attend(self, tokens: Sequence, attention: SelfAttention) -> Sequence:
    """Attention in the groups of the tokens; in each frame with the clip's prefix where it is divided."""
    x, prefix = tokens.x, tokens.prefix
    if divided := self.attention == "divided":
      grid, first = tokens.split()
      batch, frames, _, _, width = grid.shape
      x = grid.reshape(batch, frames, -1, width)
      if first is not None:
        x = jnp.concatenate([jnp.broadcast_to(first[:, :, :, 0], (batch, frames, prefix, width)), x], axis=2)
    turned = (
      None if self.rotary is None else rotations(tokens.grid, self.rotary, x.shape[-1] // self.heads, self.extend)
    )
    y = attention(x, turned, tokens.grid, prefix)
    if not divided:
      return tokens.replace(x=y)
    first = y[:, :, :prefix].mean(axis=1, keepdims=True)[:, :, :, None] if prefix else None
    return tokens.joined(y[:, :, prefix:].reshape(batch, *tokens.grid, width), first)

  def _over_time(self, tokens: Sequence, train: bool) -> jax.Array:
    """Adds what every place sees of its other frames, by weights of its own; the prefix stays."""
    grid, prefix = tokens.split()
    y = nn.LayerNorm(self.epsilon, name="time_norm")(grid)
    y, _ = apply_to_tokens(self.inserts, "temporal_before", y, None, train)
    y = SelfAttention(self.heads, self.bias, name="time_attention")(jnp.moveaxis(y, 1, 3))
    y = nn.Dense(grid.shape[-1], name="time_out")(self._dropped(jnp.moveaxis(y, 3, 1), train))
    y, _ = apply_to_tokens(self.inserts, "temporal", y, None, train)
    return tokens.joined(grid + y, prefix).x

  def _reused(self, tokens: Sequence, norm: nn.LayerNorm, attention: SelfAttention, train: bool) -> jax.Array:
    """Adds what every token sees of the other frames' at its place, by the weights of `attention`."""
    y = self._plug("temporal_before", tokens.replace(x=norm(tokens.x)), train).x
    y = attention(jnp.moveaxis(y, 1, 2))
    y = self._plug("temporal", tokens.replace(x=jnp.moveaxis(y, 2, 1)), train)
    return tokens.x + self._dropped(y.x, train)

  def _beside(self, tokens: Sequence, train: bool) -> jax.Array:
    """What plug-ins change of the tokens; in at least float32, where a small change keeps its digits."""
    x = tokens.x.astype(jnp.promote_types(tokens.x.dtype, jnp.float32))
    return (self._plug("parallel", tokens.replace(x=x), train).x - x).astype(tokens.x.dtype)

  def _branch(self, at: Place, tokens: Sequence, train: bool) -> jax.Array:
    """What a branch of the image network adds: plugged, scaled, and in training dropped for some clips."""
    x = self._plug(at, tokens, train).x
    if self.layer_scale is not None:
      scale = self.param(f"scale_{at}", nn.initializers.constant(self.layer_scale), (x.shape[-1],))
      x = x * scale.reshape(1, 1, 1, -1)
    return x if self.attention == "reused" else self._dropped(x, train)

  def _dropped(self, x: jax.Array, train: bool) -> jax.Array:
    if not train or self.drop_path == 0:
      return x
    kept = jax.random.bernoulli(self.make_rng("dropout"), 1 - self.drop_path, (x.shape[0], *(1,) * (x.ndim - 1)))
    return jnp.where(kept, x / (1 - self.drop_path), 0)

  def _has(self, at: Place) -> bool:
    return any(insert.at == at for insert in self.inserts)

  def _plug(self, at: Place, tokens: Sequence, train: bool) -> Sequence:
    if not self._has(at):
      return tokens
    return tokens.joined(*apply_to_tokens(self.inserts, at, *tokens.split(), train))

  def _mark(self, tokens: Sequence) -> jax.Array:
    grid, prefix = tokens.split()
    if not self.is_initializing():
      grid = self.perturb("feature_map", grid)
    self.sow("intermediates", "feature_map", grid)
    return tokens.joined(grid, prefix).x
