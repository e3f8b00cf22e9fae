"""RGB difference: what changes from one frame to the next (TSN, Wang et al., ECCV 2016; a baseline of the thesis)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.inputs.checks import Frames, split


class RGBDifference(nn.Module):
  """Differences of neighbouring frames, x_{t+1} - x_t, of every segment: `[B,S*T,H,W,C] -> [B,S,H,W,(T-1)*C]`.

  The channels of the first difference come first. `weights.load` gives the backbone's first convolution the mean over
  the channels of a checkpoint, as TSN does. A pixel that is not finite spoils its own differences only.

  Attributes:
    frames: T of a segment; TSN stacks 5 differences of 6 frames.
    stack: False keeps the differences as frames: `[B,S*(T-1),H,W,C]`.
  """

  frames: Frames = 6
  stack: bool = True

  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns the differences; raises InputError where T does not divide the clip."""
    segments = split(self, x, self.frames)
    y = segments[..., 1:, :, :, :] - segments[..., :-1, :, :, :]
    if self.stack:
      y = jnp.moveaxis(y, -4, -2)
      return y.reshape(*y.shape[:-2], -1)
    return y.reshape(*x.shape[:-4], -1, *x.shape[-3:])
