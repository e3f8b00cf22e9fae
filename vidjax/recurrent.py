"""Recurrent layers over `[B, T, F]`: LSTM (dte Eq. 14), peephole LSTM (rtsae Eq. 1-5), aLSTM (Eq. 6-7), in stacks.

The carry is `(h, c)`, each `[B, D]`. Where a mask is False it is held, so that padding and steps that are passed over
change nothing.
"""

import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidjax.bounds import Count
from vidjax.checks import check_fields

SIGMA = 2.98
"""The start of p-psi's sigma: the value that rtsae draws in its Fig. 4."""
OPEN = 0.5
"""The attention above which a gate counts as open (rtsae Eq. 14)."""


class Carry(NamedTuple):
  """What a layer remembers.

  Attributes:
    h: hidden state `[B, D]`.
    c: cell state `[B, D]`.
  """

  h: jax.Array
  c: jax.Array


class Steps(NamedTuple):
  """What a layer gives for every step, each `[B, T, D]`.

  Attributes:
    h: hidden states.
    o: output gates.
  """

  h: jax.Array
  o: jax.Array


class LSTM(nn.Module):
  """One layer (rtsae Eq. 1-5, dte Eq. 14).

  Attributes:
    features: D.
    peephole: the gates see the cell (rtsae; the output gate its new state), and have a bias. Without, dte's LSTM, which
      has neither.
    bias: whether there is one (default: with peepholes). That of the forget gate starts at 1 and the others at 0
      (Jozefowicz et al., 2015) [I]: from 0, half of the cell would be gone after each step.
  """

  features: Count
  peephole: bool = False
  bias: bool | None = None

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    carry: Carry | None = None,
    mask: jax.Array | None = None,
    windows: np.ndarray | None = None,
  ) -> tuple[Carry, Steps]:
    """Runs over the steps, or over the steps of each of N windows.

    Args:
      x: `[B, T, F]`.
      carry: the state before the first step (default: zeros).
      mask: bool `[B, T]`, False where the carry is held; h and o are those of the step all the same. Floats from 0 to 1
        mix: `mask * new + (1 - mask) * old`.
      windows: int `[N, L]`, the steps of each window; the batch is B * N then, and T is L. Where windows overlap, the
        inputs of a step are multiplied by their weights once.

    Returns:
      The carry after the last step, and what each step gives.
    """
    check_fields(self)
    width = self.features
    bias = self.peephole if self.bias is None else self.bias
    inputs = nn.Dense(4 * width, use_bias=bias, bias_init=_remember, name="input")(x)
    if windows is not None:
      inputs = inputs[:, windows].reshape(-1, windows.shape[1], 4 * width)
    hidden = self.param("hidden", nn.initializers.orthogonal(), (width, 4 * width))
    peepholes = [jnp.zeros(())] * 3
    if self.peephole:
      peepholes = [self.param(f"peephole_{name}", nn.initializers.zeros, (width,)) for name in "ifo"]
    w_i, w_f, w_o = (w.astype(inputs.dtype) for w in peepholes)
    hidden = hidden.astype(inputs.dtype)
    carry = start(inputs, width) if carry is None else carry
    mask = jnp.ones(inputs.shape[:2], bool) if mask is None else mask

    def step(carry: Carry, now: tuple[jax.Array, jax.Array]) -> tuple[Carry, Steps]:
      given, moves = now
      i, f, g, o = jnp.split(given + carry.h @ hidden, 4, axis=-1)
      i = jax.nn.sigmoid(i + _times(w_i, carry.c))
      f = jax.nn.sigmoid(f + _times(w_f, carry.c))
      c = f * carry.c + i * jnp.tanh(g)
      o = jax.nn.sigmoid(o + _times(w_o, c))
      h = o * jnp.tanh(c)
      return Carry(_moved(moves, h, carry.h), _moved(moves, c, carry.c)), Steps(h, o)

    carry, steps = jax.lax.scan(step, carry, (inputs.swapaxes(0, 1), mask.swapaxes(0, 1)))
    return carry, Steps(*(x.swapaxes(0, 1) for x in steps))


class Stack(nn.Module):
  """Several layers, each over the hidden states of the one before; `lstm0`, `lstm1`, ... in the parameters.

  Attributes:
    features: D of each layer, the first one first.
    peephole: as in `LSTM`.
    bias: as in `LSTM`.
  """

  features: tuple[Count, ...]
  peephole: bool = False
  bias: bool | None = None

  @nn.compact
  def __call__(
    self, x: jax.Array, carries: tuple[Carry, ...] | None = None, mask: jax.Array | None = None
  ) -> tuple[tuple[Carry, ...], Steps]:
    """Arguments and results as in `LSTM`, with a carry for each layer; the steps are those of the last one."""
    check_fields(self)
    after: list[Carry] = []
    steps = Steps(x, x)
    for number, width in enumerate(self.features):
      layer = LSTM(width, self.peephole, self.bias, name=f"lstm{number}")
      carry, steps = layer(steps.h, None if carries is None else carries[number], mask)
      after.append(carry)
    return tuple(after), steps


class AttentionGate(nn.Module):
  """How much a step matters, from 0 to 1: `p-psi(||W o + b||)` (rtsae Eq. 6-7).

  Attributes:
    features: rows of W.
  """

  features: Count = 1

  @nn.compact
  def __call__(self, o: jax.Array) -> jax.Array:
    """Output gates `[..., D]` -> attention `[...]`, `1 - exp(-||W o + b||^2 / sigma)`.

    The bias starts where the gate is half open [I]: from 0, nearly shut, what lies behind it would see its biases.
    The squared norm, and `expm1`, keep every gradient finite where the gate is shut; sigma is positive by softplus.
    """
    check_fields(self)
    half = nn.initializers.constant(math.sqrt(SIGMA * math.log(2) / self.features))
    y = nn.Dense(self.features, bias_init=half, name="gate")(o)
    raw = self.param("sigma", lambda _: jnp.asarray(jnp.log(jnp.expm1(SIGMA))))
    return -jnp.expm1(-jnp.sum(jnp.square(y), axis=-1) / jax.nn.softplus(raw).astype(y.dtype))


class ALSTM(nn.Module):
  """Stacked peephole LSTMs, the last of which has an attention gate (rtsae Eq. 1-8).

  Attributes:
    depth: layers, 1 to 3 in the paper's Table 2.
    width: units of each.
    gate_features: rows of W_a in Eq. 6.
  """

  depth: Count = 2
  width: Count = 128
  gate_features: Count = 1

  @nn.compact
  def __call__(self, x: jax.Array, mask: jax.Array | None = None):
    """Steps `[B, T, F]` to the carries, hidden states `[B, T, D]`, output gates `[B, T, D]` and attention `[B, T]`.

    `mask` bool `[B, T]` is False on padding, whose attention is 0.
    """
    check_fields(self)
    carries, steps = Stack((self.width,) * self.depth, peephole=True, name="layers")(x, mask=mask)
    attention = AttentionGate(self.gate_features, name="attention")(steps.o)
    return carries, steps.h, steps.o, attention if mask is None else jnp.where(mask, attention, 0)


def start(x: jax.Array, features: int) -> Carry:
  """The carry before the first step of `[B, ...]`: zeros `[B, features]`.

  Args:
    x: `[B, ...]`, whose batch and dtype count.
    features: D.
  """
  return Carry(*(jnp.zeros((x.shape[0], features), x.dtype),) * 2)


def _remember(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
  """The biases of the gates i, f, g and o at the start."""
  return jnp.zeros(shape, dtype).reshape(4, -1).at[1].set(1).reshape(shape)


def _moved(moves: jax.Array, new: jax.Array, old: jax.Array) -> jax.Array:
  moves = moves[:, None]
  return jnp.where(moves, new, old) if moves.dtype == jnp.bool_ else moves * new + (1 - moves) * old


def _times(weight: jax.Array, c: jax.Array) -> jax.Array:
  return weight * c if weight.ndim == 0 else weight[None] * c
