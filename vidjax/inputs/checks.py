"""What several inputs refuse, in one wording."""

import flax.linen as nn
import jax

from vidjax.checks import check_clip, place
from vidjax.errors import ConfigError, InputError


def split(module: nn.Module, x: jax.Array, frames: int, fewest: int = 2) -> jax.Array:
  """Cuts a clip `[..., S * frames, H, W, C]` into its segments, `[..., S, frames, H, W, C]`.

  Raises:
    ConfigError: fewer than `fewest` frames a segment.
    InputError: images, or a clip whose length is no multiple of `frames`.
  """
  check_clip(module, x)
  if frames < fewest:
    raise ConfigError(
      f"{type(module).__name__}(frames={frames}) at {place(module)}: a segment has at least {fewest} frames"
    )
  length = x.shape[-4]
  if length == 0 or length % frames:
    shorter = f" or set frames to a divisor of {length} from {fewest} on" if length >= fewest else ""
    raise InputError(
      f"{type(module).__name__}(frames={frames}) at {place(module)}: {length} frames do not make whole segments of "
      f"{frames}; sample a multiple of {frames} frames{shorter}"
    )
  return x.reshape(*x.shape[:-4], length // frames, frames, *x.shape[-3:])
