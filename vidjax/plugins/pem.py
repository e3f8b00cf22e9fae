"""Progressive Enhancement Module (TDRL, Weng et al., ECCV 2020, Eq. 3-6)."""

import functools
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.bounds import Count
from vidjax.checks import check_clip, divided

Gamma = Literal["scalar", "vector"]
Memory = Literal["last", "first", "zeros"]


class PEM(nn.Module):
  """Scales each frame's channels by what changed there and before: `[B,T,H,W,C] -> [B,T,H,W,C]`.

  With s_t the mean of frame t over its positions: `d_t = ReLU(W_2 s_{t+1}) - ReLU(W_1 s_t)`, d_T is all ones (Eq. 4);
  `m_t = (1 - gamma_t) m_{t-1} + gamma_t d_t` with `gamma_t = sigmoid(W_g [m_{t-1}, d_t])` (Eq. 5); frame t is
  multiplied by `sigmoid(W_a m_t)` (Eq. 3, 6). A clip of one frame has d_1 = m_0 = ones (zeros where memory says so).
  Its place is "before", ahead of the temporal module; behind it, "PEM A. TM" of Table 6, list it second. The factors
  `[B,T,C]` are sown as `excitation` to "intermediates".

  Attributes:
    reduction: r; C // r values of memory. The paper does not say; 8 as in MEM.
    gamma: "scalar" for the whole memory (the text's), or "vector", one for each value.
    memory: m_0: "last", d_{T-1}, as in the paper's experiments; "first", d_1; or "zeros".
    bias: biases of W_1, W_2 and W_a; W_g has none.
  """

  reduction: Count = 8
  gamma: Gamma = "scalar"
  memory: Memory = "last"
  bias: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns the enhanced clip; raises InputError on images and ConfigError for an attribute that does not fit."""
    check_clip(self, x)
    hidden = divided(self, x)
    dense = functools.partial(nn.Dense, use_bias=self.bias)
    s = x.mean(axis=(-3, -2), dtype=jnp.float32)  # in bfloat16 the difference of two close means would be lost
    after, before = nn.relu(dense(hidden, name="next")(s)), nn.relu(dense(hidden, name="this")(s))
    ones = jnp.ones_like(after[..., :1, :])
    d = jnp.concatenate([after[..., 1:, :] - before[..., :-1, :], ones], axis=-2)

    gates = 1 if self.gamma == "scalar" else hidden
    w_g = self.param("gate", nn.initializers.lecun_normal(), (2 * hidden, gates)).astype(jnp.float32)
    start = {"last": d[..., max(d.shape[-2] - 2, 0), :], "first": d[..., 0, :], "zeros": jnp.zeros_like(d[..., 0, :])}

    remember = _remember if gates == 1 else _remember_each
    a = nn.sigmoid(dense(x.shape[-1], name="expand")(remember(d, w_g, start[self.memory])))
    self.sow("intermediates", "excitation", a)
    return x * a[..., None, None, :].astype(x.dtype)


def _remember(d: jax.Array, w_g: jax.Array, m_0: jax.Array) -> jax.Array:
  """Eq. 5 with one gamma for all values, `[B,T,h] -> [B,T,h]`: the gates first, then m, linear in what is left.

  gamma_t needs no more of m_{t-1} than its product with W_g, which has a recursion of its own.
  """
  h = d.shape[-1]
  own, pull = (jnp.moveaxis(d @ w, -2, 0) for w in (w_g[:h], w_g[h:]))

  def step(p: jax.Array, frame: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    gamma = nn.sigmoid(p + frame[1])
    return p + gamma * (frame[0] - p), gamma

  _, gamma = jax.lax.scan(step, m_0 @ w_g[:h], (own, pull))
  gamma = jnp.moveaxis(gamma, 0, -2)
  kept, new = 1 - gamma, gamma * d
  new = new.at[..., 0, :].add(kept[..., 0, :] * m_0)
  return jax.lax.associative_scan(lambda a, b: (a[0] * b[0], a[1] * b[0] + b[1]), (kept, new), axis=d.ndim - 2)[1]


def _remember_each(d: jax.Array, w_g: jax.Array, m_0: jax.Array) -> jax.Array:
  """Eq. 5 with a gamma for each value, step by step: `[B,T,h] -> [B,T,h]`."""
  h = d.shape[-1]

  def step(m: jax.Array, frame: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    d_t, pull = frame
    m = m + nn.sigmoid(m @ w_g[:h] + pull) * (d_t - m)
    return m, m

  frames = jnp.moveaxis(d, -2, 0)
  return jnp.moveaxis(jax.lax.scan(step, m_0, (frames, frames @ w_g[h:]))[1], 0, -2)
