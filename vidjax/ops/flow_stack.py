"""Segments of frames to stacks of optical flow, as two-stream networks read them (Simonyan and Zisserman 2014)."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.bounds import Positive
from vidjax.checks import checked
from vidjax.errors import InputError
from vidjax.ops.tvl1 import Array, tvl1_flow

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey level."""


@checked
def flow_stacks(segments: Array, std: Sequence[Positive], bound: Positive, **solver: Any) -> jax.Array:
  """Flow of every two neighbouring frames of each segment, `[..., n, H, W, C] -> [..., H, W, 2 (n - 1)]`.

  Args:
    segments: of n frames in RGB, or of grey frames.
    std: what the channels were divided by, in frames of [0, 1].
    bound: motion in pixels that becomes 1; faster motion is clipped to it.
    **solver: further arguments of `tvl1_flow`.

  Returns:
    In [-1, 1] and the dtype of the segments; channels u and v of the first two frames, u and v of the next two, ...

  Raises:
    InputError: `std` does not fit the channels, or these are neither RGB nor grey.
  """
  channels = segments.shape[-1]
  if channels not in (1, 3) or len(std) != channels:
    raise InputError(
      f"optical flow takes clips of 1 or 3 channels, each with its std, got the shape {segments.shape} and std {std}"
    )
  weights = np.float32(255) * np.array(std, np.float32) * np.array(LUMA if channels == 3 else (1,), np.float32)
  grey = jnp.asarray(segments, jnp.float32) @ weights
  flow = tvl1_flow(grey[..., :-1, :, :], grey[..., 1:, :, :], **solver)
  scaled = jnp.clip(flow / bound, -1, 1).astype(segments.dtype)
  stacked = jnp.moveaxis(scaled, -4, -2)
  return stacked.reshape(*stacked.shape[:-2], -1)
