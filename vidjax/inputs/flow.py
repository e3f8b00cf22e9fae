"""TV-L1 optical flow as a network's input, computed on the device (baseline of thesis Tables 3.12 and 5.2)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.bounds import Count, Positive
from vidjax.checks import place
from vidjax.errors import InputError
from vidjax.inputs.checks import Frames, split
from vidjax.ops.flow_stack import flow_stacks


class Flow(nn.Module):
  """Stacks the flow of neighbouring frames of each segment: `[B, S frames, H, W, C] -> [B, S, H, W, 2 (frames - 1)]`.

  It has no parameters. Frames of any size fit: small ones get fewer levels (`ops.tvl1.pyramid_sizes`). A clip at rest
  gives 0; a pixel that is not finite spoils the flow of the two pairs its frame is in. Stored flow, 8 bits
  for -20 to 20 pixels (`python -m vidjax.prepare folder --flow`), is the same once mapped to [-1, 1].

  Attributes:
    frames: of a segment; 6 make the 5 stacked flows of the thesis (10 channels).
    bound: motion in pixels that becomes 1; faster motion is clipped to it.
    std: what the clip's channels were divided by, in frames of [0, 1]: ImageNet's, as `Normalise` does by default.
      TV-L1 weighs its two terms for grey levels of 255.
    levels: see `ops.tvl1.tvl1_flow`, as the next three.
    warps: linearisations on each level.
    iterations: for each of them.
    median: smooth the flow before each of them.
    stack: False keeps the flows as frames of 2 channels, `[B, S (frames - 1), H, W, 2]`, which TSP squeezes.
  """

  frames: Frames = 6
  bound: Positive = 20.0
  std: tuple[Positive, ...] = (0.229, 0.224, 0.225)
  levels: Count = 5
  warps: Count = 5
  iterations: Count = 15
  median: bool = False
  stack: bool = True

  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns the stacks in [-1, 1]; raises ConfigError and InputError where segments, std or settings do not fit."""
    segments = split(self, x, self.frames)
    solver = {"levels": self.levels, "warps": self.warps, "iterations": self.iterations, "median": self.median}
    try:
      stacks = flow_stacks(segments, self.std, self.bound, **solver)
    except InputError as error:
      raise type(error)(f"Flow at {place(self, x)}: {error}") from None
    if self.stack:
      return stacks
    pairs = jnp.moveaxis(stacks.reshape(*stacks.shape[:-1], self.frames - 1, 2), -2, -4)
    return pairs.reshape(*x.shape[:-4], -1, *x.shape[-3:-1], 2)
