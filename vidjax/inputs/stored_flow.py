"""Stored optical flow as a network's input: the temporal stream of two-stream networks (thesis Tables 3.12 and 5.2)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.bounds import Count
from vidjax.checks import place
from vidjax.errors import InputError
from vidjax.inputs.checks import split


class StoredFlow(nn.Module):
  """Stacks stored flow images of each segment: `[B, S frames, H, W, 3] -> [B, S, H, W, 2 frames]`.

  It reads the clips of `vidjax.data.streams.Flow`: red is u, green is v, and 0 to 255 are -20 to 20 pixels. Under
  `Normalise` with mean and std .5 the result is that of `vidjax.inputs.flow.Flow(frames + 1)`, in [-1, 1], but for the
  8 bits and the JPEG it was stored in, without its cost. Of clips of frames and flow, `Channels(3, 2)` before it takes
  the flow. It has no parameters.

  Attributes:
    frames: flow images of a segment; 5 make the 10 channels of the thesis.
  """

  frames: Count = 5

  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns u and v of the first image, u and v of the next, ...; raises InputError where the clip does not fit."""
    segments = split(self, x, self.frames)
    if x.shape[-1] not in (2, 3):
      raise InputError(f"StoredFlow at {place(self)} takes flow images of 2 or 3 channels, got the shape {x.shape}")
    stacked = jnp.moveaxis(segments[..., :2], -4, -2)
    return stacked.reshape(*stacked.shape[:-2], 2 * self.frames)
