"""One frame of every segment: what a stream of still images reads of clips made for another that sees motion."""

import flax.linen as nn
import jax

from vidjax.checks import place
from vidjax.errors import ConfigError
from vidjax.inputs.checks import split


class OneFrame(nn.Module):
  """Keeps one frame of every segment as it is: `[B,S*T,H,W,C] -> [B,S,H,W,C]`.

  Attributes:
    frames: T of a segment, as of the other stream's input.
    number: which of them, from 0.
  """

  frames: int = 6
  number: int = 0

  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns these frames; raises InputError where T does not divide the clip, ConfigError for no such frame."""
    segments = split(self, x, self.frames)
    if not 0 <= self.number < self.frames:
      raise ConfigError(
        f"OneFrame(frames={self.frames}, number={self.number}) at {place(self, x)}: number must be from 0 to "
        f"{self.frames - 1}"
      )
    return segments[..., self.number, :, :, :]
