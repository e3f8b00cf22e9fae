"""Vision transformer (Dosovitskiy et al., ICLR 2021) on clips `[B,T,H,W,C]`: a grid of tokens, and a prefix beside it.

The grid is `[B, T/tubelet, H/patch, W/patch, D]`; class token and registers are the prefix. Kinds of attention:

- "frame": a frame's tokens look at each other, every frame has a prefix of its own (ImageNet, CLIP, DINOv2);
- "joint": all tokens of the clip, with one prefix (VideoMAE, V-JEPA 2);
- "divided": over time at each place, then in each frame with the one prefix (TimeSformer, Bertasius et al., ICML 2021);
- "reused": over time by the weights of the attention itself, then as "frame" (AIM, Yang et al., ICLR 2023).

The blocks are four stages, numbered 2 to 5 as a ResNet's, so that a plug-in's stages mean the same. `released_vits` has
the settings of the families with released weights, which `vidjax.weights` reads.
"""

import math
from typing import Annotated, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.backbones.stage import Stage
from vidjax.backbones.transformer import Activation, Attention, Biases, Sequence, TransformerBlock
from vidjax.bounds import Bound, Count, Positive, Rate, Whole
from vidjax.checks import check_fields, place
from vidjax.errors import ConfigError, InputError
from vidjax.ops.positions import Grid, Interpolation, resample, sinusoids
from vidjax.plugins.insert import Insert, Inside, Place, apply_inside, check_inserts, check_inside

PLACES: tuple[Place, ...] = ("ahead", "before", "residual", "between", "middle", "parallel", "mlp_residual", "after")
OVER_TIME: tuple[Place, ...] = ("temporal_before", "temporal")
"""The places of attention over time, which "divided" and "reused" have."""
STAGES: tuple[int, ...] = (2, 3, 4, 5)
TrainedGrid = Annotated[Grid, Bound("(T, H, W), each at least 1", lambda grid: min(grid) >= 1)]
embedding = nn.initializers.normal(0.02)


class PatchEmbedding(nn.Module):
  """Patches, or tubelets of several frames, to tokens; adds positions and puts the prefix in front.

  Attributes:
    vit: the transformer whose first part this is.
  """

  vit: "ViT"

  @nn.compact
  def __call__(self, clips: jax.Array, train: bool) -> Sequence:
    """Clips `[B, T, H, W, C]` to tokens; InputError for frames or sizes that the patches do not divide."""
    vit = self.vit
    sides = (vit.tubelet, vit.patch, vit.patch)
    if any(size % side for size, side in zip(clips.shape[1:4], sides, strict=True)):
      frames, height, width = clips.shape[1:4]
      raise InputError(
        f"ViT(patch={vit.patch}, tubelet={vit.tubelet}) at {place(self)} got {frames} frames of {height} x {width}:"
        f" take multiples of both, as {_nearest(frames, vit.tubelet)} frames of {_nearest(height, vit.patch)} x"
        f" {_nearest(width, vit.patch)}"
      )
    kernel = sides if vit.tubelet > 1 else sides[1:]
    x = nn.Conv(vit.width, kernel, kernel, "VALID", use_bias=vit.patch_bias, name="patch")(clips)
    batch, *grid, width = x.shape
    frames, height, columns = grid
    if vit.positions == "learned":
      table = self.param("positions", embedding, (*vit.grid[1:], width))
      x = x + resample(table, (height, columns), vit.interpolation).astype(x.dtype)[None, None]
    elif vit.positions == "sincos":
      table = self._sincos(frames).reshape(-1, *vit.grid[1:], width)
      x = x + resample(table, (frames, height, columns), vit.interpolation).astype(x.dtype)[None]
    if vit.time_positions:
      table = self.param("time_positions", nn.initializers.zeros, (vit.grid[0], width))  # as TimeSformer and AIM
      x = x + self._in_time(table, frames).astype(x.dtype)[None, :, None, None]
    per_frame = vit.attention in ("frame", "reused")
    tokens = x.reshape(batch, frames if per_frame else 1, -1, width)
    if vit.prefix:
      counts = {"class_token": int(vit.class_token), "registers": vit.registers}
      first = [self.param(name, embedding, (count, width)) for name, count in counts.items() if count]
      first = jnp.concatenate(first).astype(x.dtype)[None, None]
      first = jnp.broadcast_to(first, (*tokens.shape[:2], *first.shape[2:]))
      if vit.time_positions and per_frame:  # AIM adds them to the class token, too
        first = first + self._in_time(table, frames).astype(x.dtype)[None, :, None]
      tokens = jnp.concatenate([first, tokens], axis=2)
    if vit.stem_norm:
      tokens = nn.LayerNorm(vit.epsilon, name="norm")(tokens)
    return Sequence(tokens, (frames, height, columns), vit.prefix)

  def _sincos(self, frames: int) -> jax.Array:
    trained = frames if self.vit.extend else self.vit.grid[0]
    return jnp.asarray(sinusoids(trained * math.prod(self.vit.grid[1:]), self.vit.width))

  def _in_time(self, table: jax.Array, frames: int) -> jax.Array:
    if not self.vit.extend:
      return resample(table, (frames,), "nearest" if self.vit.interpolation == "nearest" else "linear")
    if frames > len(table):
      raise InputError(
        f"ViT(extend=True) at {place(self)} has positions for {len(table)} steps, got {frames}: take fewer"
      )
    return table[:frames]


class LastNorm(nn.Module):
  """The normalisation behind the last block, and the choice of what is the feature map.

  Attributes:
    vit: the transformer whose last part this is.
  """

  vit: "ViT"

  @nn.compact
  def __call__(self, tokens: Sequence, train: bool) -> jax.Array:
    """Tokens to the grid `[B, T, H, W, D]`, or to the class token `[B, T, 1, 1, D]`, T = 1 where the clip has one."""
    x = nn.LayerNorm(self.vit.epsilon, name="norm")(tokens.x) if self.vit.last_norm else tokens.x
    grid, prefix = tokens.replace(x=x).split()
    return grid if prefix is None or self.vit.pool == "mean" else prefix[:, :, :1]


class ViT(nn.Module):
  """A vision transformer without its classifier; the defaults are ViT-B/16 of ImageNet, frame by frame.

  Attributes:
    width: D, channels of a token.
    depth: number of blocks.
    heads: of the attention; the width is a multiple of them.
    hidden: channels inside the MLP; None for 4 D.
    patch: side of a patch in pixels.
    tubelet: frames of a patch.
    grid: (T, H, W) of the tokens that positions are made for; clips of another grid get them interpolated.
    attention: see above.
    positions: "learned" for each place of a frame, "sincos" of the token's number in the clip (VideoMAE), "rotary" over
      time, height and width (V-JEPA 2), or "none".
    time_positions: whether there are learned ones for each frame, too.
    extend: what another number of frames than the grid's means: more time at the same rate, or by default the same
      time at another rate.
    interpolation: how positions are interpolated: "cubic", as Hugging Face does; "cubic_offset" as DINOv2's own code,
      "cubic_antialias" as that with registers and timm, "nearest" as TimeSformer.
    class_token: whether there is one.
    registers: further tokens of the prefix (Darcet et al., ICLR 2024).
    pool: the feature map is the grid ("mean", as the head pools it), or the "class" token alone.
    patch_bias: whether the patches' convolution has a bias (CLIP's has none).
    stem_norm: normalise ahead of the first block (CLIP).
    last_norm: normalise behind the last; a head that normalises the pooled features takes its place (VideoMAE).
    bias: of queries, keys and values, see SelfAttention.
    activation: of the MLPs; CLIP's is "quick_gelu".
    epsilon: added to the variance of the normalisations.
    layer_scale: as in TransformerBlock.
    drop_path: share of clips in training that skip a branch of the last block; less in earlier ones, 0 in the first.
      With "reused" attention those are what AIM adds: the attention over time, and what is "parallel" to the MLP.
    inserts: plug-ins and their sites.
    inside: modules between the parts, on the grid: after "stem", "stage2" to "stage5".
    remat: recompute activations block by block in the backward pass.
  """

  width: Count = 768
  depth: Annotated[int, Bound("an int of at least 4: a stage has a block", lambda n: n >= 4)] = 12
  heads: Count = 12
  hidden: Count | None = None
  patch: Count = 16
  tubelet: Count = 1
  grid: TrainedGrid = (1, 14, 14)
  attention: Attention = "frame"
  positions: Literal["learned", "sincos", "rotary", "none"] = "learned"
  time_positions: bool = False
  extend: bool = False
  interpolation: Interpolation = "cubic"
  class_token: bool = True
  registers: Whole = 0
  pool: Literal["mean", "class"] = "class"
  patch_bias: bool = True
  stem_norm: bool = False
  last_norm: bool = True
  bias: Biases = "all"
  activation: Activation = "gelu"
  epsilon: Positive = 1e-6
  layer_scale: Positive | None = None
  drop_path: Rate = 0.0
  inserts: tuple[Insert, ...] = ()
  inside: tuple[Inside, ...] = ()
  remat: bool = False

  @property
  def prefix(self) -> int:
    """Number of tokens that are no grid."""
    return int(self.class_token) + self.registers

  @property
  def marks_map(self) -> bool:
    """Whether the transformer marks what Grad-CAM explains: a class token is no map."""
    return self.pool == "class"

  def setup(self):
    """Makes the stem, the stages and the last part."""
    check_fields(self)
    if self.width % (2 * self.heads):
      raise ConfigError(f"ViT(width={self.width}): must be an even multiple of heads={self.heads}")
    if self.pool == "class" and not self.class_token:
      raise ConfigError("ViT(pool='class', class_token=False): take pool='mean', or a class token")
    if self.prefix and self.positions == "rotary":
      raise ConfigError("ViT(positions='rotary') has no place for a class token or registers: leave them out")
    if self.positions == "rotary" and self.attention != "joint":
      raise ConfigError(f"ViT(positions='rotary', attention={self.attention!r}): take attention='joint'")
    if self.time_positions and self.grid[0] == 1:
      raise ConfigError(
        f"ViT(time_positions=True, grid={tuple(self.grid)}) has positions for one step, so that all frames have the"
        f" same: give grid=(T, {self.grid[1]}, {self.grid[2]}) with T frames"
      )
    blocks = blocks_of(self.depth)
    places = PLACES if self.attention in ("frame", "joint") else (PLACES[0], *OVER_TIME, *PLACES[1:])
    check_inserts(self.inserts, blocks, places, self.prefix > 0, self.attention in ("frame", "reused"))
    check_inside(self.inside, ("stem", *(f"stage{number}" for number in STAGES)))
    self.stem = PatchEmbedding(self.copy())
    number = 0
    for stage, count in blocks.items():
      templates = tuple(self._block(number + i) for i in range(count))
      setattr(self, f"stage{stage}", Stage(templates, stage, self.inserts, self.remat))
      number += count
    self.last = LastNorm(self.copy())

  def _block(self, number: int) -> TransformerBlock:
    last = number == self.depth - 1
    return TransformerBlock(
      self.heads,
      self.hidden or 4 * self.width,
      self.attention,
      self.bias,
      self.activation,
      self.epsilon,
      self.layer_scale,
      self.drop_path * number / (self.depth - 1),
      self.grid if self.positions == "rotary" else None,
      self.extend,
      last and self.marks_map,
    )

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """`[B, T, H, W, C]` to `[B, T/tubelet, H/patch, W/patch, D]`, or to class tokens `[B, T or 1, 1, 1, D]`.

    An image `[B, H, W, C]` is a clip of one frame.
    """
    clips = x if x.ndim > 4 else x[:, None]
    tokens = self._inside("stem", self.stem(clips, train), train)
    for number in STAGES:
      tokens = self._inside(f"stage{number}", getattr(self, f"stage{number}")(tokens, train), train)
    y = self.last(tokens, train)
    return y if x.ndim > 4 else y[:, 0]

  def _inside(self, part: str, tokens: Sequence, train: bool) -> Sequence:
    if not any(module.after == part for module in self.inside):
      return tokens
    grid, prefix = tokens.split()
    y = apply_inside(self.inside, part, grid, train)
    if y.shape[1] != grid.shape[1] and tokens.x.shape[1] > 1 and prefix is not None:
      raise ConfigError(
        f"Inside(after={part!r}) makes {y.shape[1]} of {grid.shape[1]} frames, and each has its own class token: take"
        " class_token=False and pool='mean', or attention='joint'"
      )
    groups = y.shape[1] if tokens.x.shape[1] > 1 else 1
    flat = tokens.replace(x=jnp.zeros((y.shape[0], groups, 0, y.shape[-1]), y.dtype), grid=y.shape[1:4])
    return flat.joined(y, prefix)


def blocks_of(depth: int) -> dict[int, int]:
  """Number of a stage -> its blocks; where four does not divide the depth, the first stages have one more."""
  return {stage: depth // 4 + (i < depth % 4) for i, stage in enumerate(STAGES)}


def _nearest(size: int, side: int) -> int:
  return max(round(size / side), 1) * side
