"""Global context block (GCNet, Cao et al., ICCV workshops 2019, Fig. 4d and Eq. 5), over space-time."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.bounds import Count
from vidjax.checks import check_clip, divided


class GC(nn.Module):
  """Adds one vector of the clip's context to every position: `[B,T,H,W,C] -> [B,T,H,W,C]`.

  The softmax of a learnt score over all positions of all frames pools the clip; 1x1, LayerNorm, ReLU, 1x1 transform the
  result, and the last layer starts at zero, so that the clip passes unchanged at first. Its place in a block is
  "residual" (GCNet, "after 1x1"); thesis Table 4.6 puts it "after" whole blocks.

  Attributes:
    reduction: r; C // r channels inside, at least two, since LayerNorm turns a single one into zero.
  """

  reduction: Count = 16

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns the clip with its context added; sows the pooling weights `[B,T,H,W]` as "attention"."""
    check_clip(self, x)
    hidden = divided(self, x, least=2)
    # No bias: the softmax would not see it.
    score = nn.Dense(1, use_bias=False, name="score")(x).astype(jnp.float32)
    attention = nn.softmax(score, axis=(-4, -3, -2))
    self.sow("intermediates", "attention", attention[..., 0])
    context = jnp.sum(attention * x, axis=(-4, -3, -2), keepdims=True)
    y = nn.LayerNorm(epsilon=1e-5, name="ln")(nn.Dense(hidden, name="reduce")(context))
    y = nn.Dense(x.shape[-1], kernel_init=nn.initializers.zeros, name="expand")(nn.relu(y))
    return x + y.astype(x.dtype)
