"""One frame of every segment: what a stream of still images reads of clips made for another that sees motion."""

import flax.linen as nn
import jax

from vidjax.bounds import Whole
from vidjax.inputs.checks import Frames, check_under_frames, split


class OneFrame(nn.Module):
  """Keeps one frame of every segment as it is: `[B,S*T,H,W,C] -> [B,S,H,W,C]`.

  Attributes:
    frames: T of a segment, as of the other stream's input.
    number: which of them, from 0.
  """

  frames: Frames = 6
  number: Whole = 0

  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns these frames; raises InputError where T does not divide the clip, ConfigError for no such frame."""
    segments = split(self, x, self.frames)
    check_under_frames(self, x, "number")
    return segments[..., self.number, :, :, :]
