"""Convolution pyramid attention (thesis Eq. 4.10-4.11, Table 4.5)."""

import math
from typing import Annotated

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.bounds import Bound, Odd
from vidjax.checks import check_clip
from vidjax.layers import conv

Pyramid = Annotated[
  tuple[tuple[Odd, Odd, Odd], ...],
  Bound("different kernels of three odd sizes, such as ((1, 1, 1), (3, 7, 7))", lambda k: 0 < len(k) == len(set(k))),
]


class CPA(nn.Module):
  """Weighs every position of a clip by one number, from convolutions of its channels' mean: `[B,T,H,W,C]`, as x.

  No code was released. The weights of Eq. 4.10 add up to one over a clip, so multiplying by them makes a feature map
  T H W times smaller. Here their mean is one instead; `literal` leaves the equation as printed. Kernels start at zero:
  all weights equal, the identity. The weights `[B,T,H,W]` go to "intermediates" as "attention" where that is mutable.

  Attributes:
    kernels: of the pyramid over time, height and width, odd; the default is Table 4.5's best.
    literal: weights that add up to one.
  """

  kernels: Pyramid = ((1, 1, 1), (3, 3, 3), (3, 7, 7), (3, 9, 9))
  literal: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns the weighted clip; raises InputError for images, and for no kernel, an even one or one twice."""
    check_clip(self, x)
    mean = x.mean(axis=-1, keepdims=True)
    levels = [
      conv(
        1,
        kernel,
        padding=[(size // 2, size // 2) for size in kernel],
        kernel_init=nn.initializers.zeros,
        name="conv" + "x".join(map(str, kernel)),
      )(mean)
      for kernel in self.kernels
    ]
    weights = jax.nn.softmax(sum(levels, jnp.zeros((), jnp.float32)), axis=(-4, -3, -2))
    if not self.literal:
      weights = weights * math.prod(x.shape[-4:-1])
    if self.is_mutable_collection("intermediates"):
      self.sow("intermediates", "attention", weights[..., 0])
    return x * weights.astype(x.dtype)
