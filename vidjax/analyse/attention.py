"""What a temporal transformer adds to every frame: the maps A* of TTSN's Fig. 7."""

import os

import jax.numpy as jnp
import numpy as np

from vidjax.analyse.channels import Trained, record
from vidjax.analyse.gradcam import cell_centres, to_pixels
from vidjax.analyse.pictures import save_explanation
from vidjax.errors import InputError
from vidjax.types import Array

SITES = r"(^|/)(ett|\w+_ETT(_\d+)?)$"
"""Paths of the temporal transformers."""


def added_maps(clip: Array, trained: Trained) -> dict[str, np.ndarray]:
  """By the path of every ETT, the mean magnitude over the channels of what it adds: float32 `[N, h, w]`.

  Args:
    clip: `[T, H, W, C]`, as the network requires it.
    trained: the network and its variables.

  Raises:
    InputError: the network has no ETT.
  """
  maps, _ = record(*trained, jnp.asarray(clip)[None], SITES)
  if not maps:
    raise InputError("the network has no ETT: name a run of configs/ttsn.py, or of another network with one")
  return {path: np.asarray(jnp.abs(after - before).mean(-1)[0]) for path, (before, after) in maps.items()}


def save_attention(
  path: str | os.PathLike, frames: np.ndarray, numbers: np.ndarray, clip: Array, trained: Trained, title: str
) -> str:
  """Draws a clip's frames, and under them what the last ETT adds to each.

  Args:
    path: of the picture.
    frames: uint8 `[T, H, W, 3]`.
    numbers: int `[T]`, of the frames in their video.
    clip: `[T, H, W, C]`, the same for the network.
    trained: the network and its variables.
    title: of the picture.

  Returns:
    Path of the ETT shown.
  """
  site, added = sorted(added_maps(clip, trained).items())[-1]
  first, stride = cell_centres(trained[0], (1, *clip.shape))[-1]
  save_explanation(path, frames, [to_pixels(added, frames.shape[:3], first, stride)], numbers, title, label="|A*|")
  return site
