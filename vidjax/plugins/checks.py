"""What several plug-ins refuse, in one wording."""

from typing import Any

import flax.linen as nn
import jax

from vidjax.errors import ConfigError, InputError


def check_clip(module: nn.Module, x: jax.Array) -> None:
  """Raises InputError where a module that mixes frames is given images, whose axis -4 is the batch."""
  if x.ndim < 5:
    raise InputError(
      f"{type(module).__name__} at {place(module)} takes clips [B, T, H, W, C], got the shape {x.shape}: "
      "give an image an axis of one frame"
    )


def bottleneck(module: Any, channels: int, least: int = 1) -> int:
  """`channels // module.reduction`, the hidden width; ConfigError where that is under `least`."""
  hidden = channels // module.reduction if module.reduction > 0 else 0
  if hidden < least:
    raise ConfigError(
      f"{type(module).__name__}(reduction={module.reduction}) at {place(module)}: {channels} channels leave {hidden} "
      f"inside; choose a reduction from 1 to {channels // least}"
    )
  return hidden


def place(module: nn.Module) -> str:
  """Where in the network a bound module sits, for messages, as in `backbone/res3/block0/after_SE`."""
  return "/".join(module.path) or "the top"
