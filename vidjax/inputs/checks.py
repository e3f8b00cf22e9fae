"""What several inputs refuse, in one wording."""

from typing import Annotated, Any

import flax.linen as nn
import jax

from vidjax.bounds import at_least
from vidjax.checks import check_clip, place
from vidjax.errors import ConfigError, InputError

Frames = Annotated[int, at_least(2)]
"""Of a segment."""


def split(module: nn.Module, x: jax.Array, frames: int) -> jax.Array:
  """Cuts a clip `[..., S * frames, H, W, C]` into its segments, `[..., S, frames, H, W, C]`.

  Args:
    module: bound; errors name it.
    x: the clip.
    frames: of a segment.

  Raises:
    InputError: images, or a clip whose length is no multiple of `frames`.
  """
  check_clip(module, x)
  length = x.shape[-4]
  if length % frames:
    shorter = f" or set frames to a divisor of {length} from 2 on" if length > 1 else ""
    raise InputError(
      f"{type(module).__name__}(frames={frames}) at {place(module)}: {length} frames do not make whole segments of "
      f"{frames}; sample a multiple of {frames} frames{shorter}"
    )
  return x.reshape(*x.shape[:-4], length // frames, frames, *x.shape[-3:])


def check_under_frames(module: Any, x: jax.Array, field: str) -> None:
  """Raises ConfigError unless a field of an input is under its `frames`.

  Args:
    module: with a field `frames`.
    x: what it was called with.
    field: name of the other field.
  """
  value, frames = getattr(module, field), module.frames
  if value >= frames:
    name = f"{type(module).__name__}(frames={frames}, {field}={value}) at {place(module, x)}"
    raise ConfigError(f"{name}: the {field} must be under the frames, {frames - 1} at most")
