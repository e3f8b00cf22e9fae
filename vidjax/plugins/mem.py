"""Motion Enhanced Module (TEINet, Liu et al., AAAI 2020): what is about to change is amplified."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.bounds import Count
from vidjax.checks import check_clip, divided


class MEM(nn.Module):
  """Scales each frame's channels by how their means change up to the next frame: `[B,T,H,W,C] -> [B,T,H,W,C]`.

  With s_t the mean of frame t over its positions, frame t is multiplied by `sigmoid(W_3 (W_2 s_{t+1} - W_1 s_t))`.
  The last frame passes as it is, and so does a clip of one frame. Its place is "before", ahead of a temporal module
  such as TIM.

  Attributes:
    reduction: r; C // r channels inside.
    bias: biases of the three 1x1 convolutions.
  """

  reduction: Count = 8
  bias: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns the enhanced clip; sows the factors `[B,T,C]` as "excitation".

    Raises InputError on images and ConfigError where r leaves no channel.
    """
    check_clip(self, x)
    dense = functools.partial(nn.Dense, use_bias=self.bias)
    hidden = divided(self, x)
    s = x.mean(axis=(-3, -2), dtype=jnp.float32)  # in bfloat16 the difference of two close means would be lost
    change = dense(hidden, name="next")(s[..., 1:, :]) - dense(hidden, name="this")(s[..., :-1, :])
    a = nn.sigmoid(dense(x.shape[-1], name="expand")(change))
    a = jnp.concatenate([a, jnp.ones_like(s[..., :1, :])], axis=-2)
    self.sow("intermediates", "excitation", a)
    return x * a[..., None, None, :].astype(x.dtype)
