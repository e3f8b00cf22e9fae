"""Progressive Enhancement Module (TDRL, Weng et al., ECCV 2020, Eq. 3-6)."""

import functools
from typing import Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.errors import ConfigError
from vidjax.plugins.checks import bottleneck, check_clip

Gamma = Literal["scalar", "vector"]
Memory = Literal["last", "first", "zeros"]


class PEM(nn.Module):
  """Scales each frame's channels by what changed there and before: `[B,T,H,W,C] -> [B,T,H,W,C]`.

  With s_t the mean of frame t over its positions: `d_t = ReLU(W_2 s_{t+1}) - ReLU(W_1 s_t)`, d_T is all ones (Eq. 4);
  `m_t = (1 - gamma_t) m_{t-1} + gamma_t d_t` with `gamma_t = sigmoid(W_g [m_{t-1}, d_t])` (Eq. 5); frame t is
  multiplied by `sigmoid(W_a m_t)` (Eq. 3, 6). A clip of one frame has d_1 = m_0 = ones (zeros where memory says so).
  Its place is "before", ahead of the temporal module; behind it, "PEM A. TM" of Table 6, list it second.

  Attributes:
    reduction: r; C // r values of memory. The paper does not say; 8 as in MEM.
    gamma: "scalar" for the whole memory (the text's), or "vector", one for each value.
    memory: m_0: "last", d_{T-1}, as in the paper's experiments; "first", d_1; or "zeros".
    bias: biases of W_1, W_2 and W_a; W_g has none.
  """

  reduction: int = 8
  gamma: Gamma = "scalar"
  memory: Memory = "last"
  bias: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns the enhanced clip; raises InputError on images and ConfigError for an attribute that does not fit."""
    check_clip(self, x)
    hidden = bottleneck(self, x.shape[-1])
    for name, kind in (("gamma", Gamma), ("memory", Memory)):
      if getattr(self, name) not in get_args(kind):
        raise ConfigError(f"PEM({name}={getattr(self, name)!r}): must be one of {', '.join(get_args(kind))}")
    dense = functools.partial(nn.Dense, use_bias=self.bias)
    s = x.mean(axis=(-3, -2), dtype=jnp.float32)  # in bfloat16 the difference of two close means would be lost
    after, before = nn.relu(dense(hidden, name="next")(s)), nn.relu(dense(hidden, name="this")(s))
    ones = jnp.ones_like(after[..., :1, :])
    d = jnp.concatenate([after[..., 1:, :] - before[..., :-1, :], ones], axis=-2)

    gates = 1 if self.gamma == "scalar" else hidden
    w_g = self.param("gate", nn.initializers.lecun_normal(), (2 * hidden, gates)).astype(jnp.float32)
    start = {"last": d[..., max(d.shape[-2] - 2, 0), :], "first": d[..., 0, :], "zeros": jnp.zeros_like(d[..., 0, :])}

    def step(m: jax.Array, frame: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
      d_t, pull = frame
      m = m + nn.sigmoid(m @ w_g[:hidden] + pull) * (d_t - m)
      return m, m

    frames = jnp.moveaxis(d, -2, 0)
    _, m = jax.lax.scan(step, start[self.memory], (frames, frames @ w_g[hidden:]))
    a = nn.sigmoid(dense(x.shape[-1], name="expand")(jnp.moveaxis(m, 0, -2)))
    return x * a[..., None, None, :].astype(x.dtype)
