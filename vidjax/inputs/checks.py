"""What several inputs refuse, in one wording."""

import flax.linen as nn
import jax

from vidjax.errors import ConfigError, InputError


def split(module: nn.Module, x: jax.Array, frames: int, fewest: int = 2) -> jax.Array:
  """Cuts a clip `[..., S * frames, H, W, C]` into its segments, `[..., S, frames, H, W, C]`.

  Raises:
    ConfigError: fewer than `fewest` frames a segment.
    InputError: images, or a clip whose length is no multiple of `frames`.
  """
  if frames < fewest:
    raise ConfigError(
      f"{type(module).__name__}(frames={frames}) at {place(module)}: a segment has at least {fewest} frames"
    )
  check_clip(module, x)
  length = x.shape[-4]
  if length == 0 or length % frames:
    raise InputError(
      f"{type(module).__name__}(frames={frames}) at {place(module)}: {length} frames do not make whole segments of "
      f"{frames}; sample a multiple of {frames} frames or set frames to a divisor of {length}"
    )
  return x.reshape(*x.shape[:-4], length // frames, frames, *x.shape[-3:])


def check_clip(module: nn.Module, x: jax.Array) -> None:
  """Raises InputError where images are given, whose axis -4 is the batch."""
  if x.ndim < 5:
    raise InputError(
      f"{type(module).__name__} at {place(module)} takes clips [B, T, H, W, C], got the shape {x.shape}: "
      "give an image an axis of one frame"
    )


def place(module: nn.Module) -> str:
  """Where in the network a bound module sits, for messages, as in `representation`."""
  return "/".join(module.path) or "the top"
