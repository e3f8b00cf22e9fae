"""Where the Temporal Diversity loss looks at the features (TDRL, Weng et al., ECCV 2020, Eq. 7)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.bounds import Share
from vidjax.checks import check_clip, place
from vidjax.errors import InputError
from vidjax.ops.similarity import frame_similarity


class TDLoss(nn.Module):
  """Leaves the clip as it is and, in training, sows how alike its frames are: `[B,T,H,W,C] -> [B,T,H,W,C]`.

  `temporal_diversity` in `aux` is L_mu, `[B]` float32: over the first C_mu channels, the sum of the mean cosine
  similarity of all pairs of frames. `losses.temporal_diversity` adds the sites up. Its place is "before", after the
  temporal module in the tuple, in the last block of the last three stages: `Insert(TDLoss(), "before", (3, 4, 5),
  "last")`; ahead of the temporal module in the tuple it is "TDLoss B. TM" of Table 6.

  Attributes:
    share: C_mu / C, rounded to whole channels, at least one unless it is 0; the others may stay alike.
  """

  share: Share = 0.5

  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns x; raises ConfigError for a share that is none and, in training, InputError for clips of one frame."""
    check_clip(self, x)
    if train and self.is_mutable_collection("aux") and not self.is_initializing():
      if x.shape[-4] < 2:
        raise InputError(
          f"TDLoss at {place(self, x)} compares frames, got clips of one: sample more frames, or leave it out"
        )
      channels = max(round(self.share * x.shape[-1]), int(self.share > 0))
      self.sow("aux", "temporal_diversity", jnp.sum(frame_similarity(x[..., :channels]), axis=-1))
    return x
