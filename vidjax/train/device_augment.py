"""Augmentation on the device."""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Normalise:
  """Subtracts the mean and divides by the standard deviation, channel by channel.

  Attributes:
    mean: per channel, of values in [0, 1].
    std: likewise.
  """

  mean: tuple[float, ...] = (0.485, 0.456, 0.406)
  std: tuple[float, ...] = (0.229, 0.224, 0.225)

  def __call__(self, video: jax.Array) -> jax.Array:
    """uint8 `[..., C]`, or floats in [0, 1], to normalised float32."""
    scale = 255.0 if video.dtype == jnp.uint8 else 1.0
    mean, std = (jnp.asarray(x, jnp.float32) for x in (self.mean, self.std))
    shape = (1,) * (video.ndim - 1) + (-1,)
    return (video.astype(jnp.float32) / scale - mean.reshape(shape)) / std.reshape(shape)
