"""Dynamic images by approximate rank pooling (Bilen et al., CVPR 2016; a baseline of thesis ch. 3 and 5)."""

import flax.linen as nn
import jax

from vidjax.inputs.checks import Frames, split
from vidjax.ops.rank_pooling import Weights, rank_pool


class DynamicImage(nn.Module):
  """One weighted sum of every segment's frames: `[B,S*T,H,W,C] -> [B,S,H,W,C]`.

  Frames that do not change give 0. A pixel that is not finite spoils that pixel of its segment only.

  Attributes:
    frames: T of a segment; the thesis compares at 6.
    weights: "harmonic" or "simple", see `ops.rank_pooling`.
  """

  frames: Frames = 6
  weights: Weights = "harmonic"

  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns the dynamic images; raises InputError where T does not divide the clip."""
    return rank_pool(split(self, x, self.frames), self.weights)
