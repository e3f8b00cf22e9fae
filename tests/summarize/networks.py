"""A network whose attention to a frame is known: how bright it is."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.types import Output


class Bright(nn.Module):
  """Attention is the mean of the frame, from 0 (black) to 1 (white), where clips are normalised to 0 to 1.

  Attributes:
    num_classes: K.
    gates: whether it gives output gates.
  """

  num_classes: int
  gates: bool = True

  @nn.compact
  def __call__(self, clips: jax.Array, train: bool) -> Output:
    """Clips `[B, T, H, W, C]` to `Output`."""
    attention = clips[..., :3].mean((-3, -2, -1))
    features = clips.mean((1, 2, 3))
    aux = {"attention": attention}
    if self.gates:
      aux["output_gates"] = jnp.stack([attention, jnp.full_like(attention, 0.5)], -1)
    return Output(nn.Dense(self.num_classes)(features), features, aux)
