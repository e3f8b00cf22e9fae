"""Non-local block (Wang et al., CVPR 2018; thesis Eq. 4.1 and its instantiations i-iv) on space-time positions."""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.checks import check_fields
from vidjax.layers import BatchNorm, linear_init
from vidjax.ops.attention import AttentionMap, Form, attention, halved

Pairwise = Literal["gaussian", "embedded_gaussian", "dot", "concatenation"]


class NonLocal(nn.Module):
  """Adds to every position a weighted sum over all positions of the clip: `[B,T,H,W,C] -> [B,T,H,W,C]`.

  Images `[B,H,W,C]` will do. Starts as the identity: the BN before the sum has gamma = beta = 0. The map
  `[B, T,H,W, T,H',W']`, queries first, goes to "intermediates" as "attention", an `AttentionMap`, where that collection
  is mutable.

  Attributes:
    form: f(x_i, x_j): "gaussian" exp(x_i . x_j), "embedded_gaussian" exp(theta_i . phi_j), each divided by its sum;
      "dot" theta_i . phi_j, "concatenation" ReLU(w_f . [theta_i, phi_j]), each divided by the number of keys.
    sub_sample: max-pool keys and values 1x2x2, as TSM's code does; the thesis' equations and BQN's code do not.
  """

  form: Pairwise = "embedded_gaussian"
  sub_sample: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns the clip with its context added; raises ConfigError for an unknown form."""
    batch, *grid, channels = x.shape
    check_fields(self)
    inner = max(channels // 2, 1)

    def embedded(name: str) -> jax.Array:
      return nn.Dense(inner, kernel_init=linear_init, name=name)(x)

    query, key = (x, x) if self.form == "gaussian" else (embedded("theta"), embedded("phi"))
    value = embedded("g")
    if self.sub_sample:
      key, value = halved(key), halved(value)
    keys = key.shape[1:-1]
    query, key, value = (array.reshape(batch, -1, array.shape[-1]) for array in (query, key, value))
    weighing: Form = "softmax"
    if self.form == "dot":
      weighing = "dot"
    elif self.form == "concatenation":
      weighing = "relu"  # w_f . [theta, phi] is a sum of two scalars, and that the product of [a, 1] and [1, b]
      w_f = self.param("w_f", linear_init, (2 * inner, 1))
      a, b = query @ w_f[:inner], key @ w_f[inner:]
      query, key = (jnp.concatenate(pair, axis=-1) for pair in ((a, jnp.ones_like(a)), (jnp.ones_like(b), b)))
    if self.is_mutable_collection("intermediates"):
      self.sow("intermediates", "attention", AttentionMap(query, key, tuple(grid), keys, weighing))
    y = attention(query, key, value, weighing).reshape(batch, *grid, -1)
    y = nn.Dense(channels, kernel_init=linear_init, name="w_z")(y)
    # all positions get nearly the same sum: their variance drowns in the mean of the squares, if taken from it
    bn = BatchNorm(scale_init=nn.initializers.zeros, one_pass=False, name="bn")
    return x + bn(y, train)
