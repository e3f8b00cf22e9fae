"""Approximate rank pooling: a weighted sum over time that grows with the order of frames (Bilen et al., CVPR 2016)."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.checks import checked

Weights = Literal["harmonic", "simple"]


@checked
def rank_weights(frames: int, weights: Weights = "harmonic") -> np.ndarray:
  """The weights of T frames, `[T]` in float64; they sum to 0, but that the harmonic weight of a single frame is 1.

  Args:
    frames: T.
    weights: with t from 1 and H_t the t-th harmonic number, "harmonic" `2 (T - t + 1) - (T + 1) (H_T - H_{t-1})`, which
      ranks the running means of the frames, or "simple" `2 t - T - 1`, which ranks the frames.
  """
  t = np.arange(1.0, frames + 1)
  if weights == "simple":
    return 2 * t - frames - 1
  if frames == 1:  # the authors' exception: an image is its own dynamic image
    return t
  return 2 * (frames - t + 1) - (frames + 1) * np.cumsum(1 / t[::-1])[::-1]


def rank_pool(x: jax.Array, weights: Weights = "harmonic") -> jax.Array:
  """The dynamic image `[..., H, W, C]` of clips `[..., T, H, W, C]`; sums in float32, returns the dtype of `x`.

  Args:
    x: `[..., T, H, W, C]`.
    weights: see `rank_weights`.
  """
  alpha = jnp.asarray(rank_weights(x.shape[-4], weights), jnp.float32)
  return jnp.einsum("t,...thwc->...hwc", alpha, x.astype(jnp.float32), precision="highest").astype(x.dtype)
