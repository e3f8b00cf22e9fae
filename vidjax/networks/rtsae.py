"""Recurrent temporal sparse autoencoder: it learns without labels which steps of a sequence to keep (rtsae Eq. 6-8).

The encoder is a stack of peephole LSTMs whose last layer has an attention gate. The decoder rebuilds the sequence from
what the gates let through; `losses.sparse_autoencoder` asks that it does so from few of them. The text leaves open how
the decoder reads the gated outputs [I]: see `decode`.
"""

from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.bounds import Count
from vidjax.checks import check_fields, place
from vidjax.errors import InputError
from vidjax.recurrent import ALSTM, Stack
from vidjax.types import Output

Decode = Literal["gated", "final", "feedback"]


class RTSAE(nn.Module):
  """Encoder, gates and decoder over features of any backbone.

  Attributes:
    depth: layers of the encoder, and of the decoder.
    width: units of each layer.
    gate_features: rows of W_a in Eq. 6.
    decode: what the decoder reads at a step: "gated" (default), the encoder's hidden state times its attention, from a
      carry of zeros, so that what no gate lets through is lost; "final", zeros, from the encoder's last carry;
      "feedback", its own last output, from that carry. With the last two the gates do not touch the reconstruction, as
      the text may be read, too.
    normalise: "unit" divides each step of the sequence by its root mean square; None takes it as it is. A hidden state
      lies within -1 and 1, so that a linear read-out follows it.
    padding: "zeros" (default) takes a step whose features are all 0 for padding, where no mask says which steps are; so
      sequences of unequal length share a batch. None takes every step for one of the sequence.
    num_classes: not used; other networks have it.
  """

  depth: Count = 2
  width: Count = 128
  gate_features: Count = 1
  decode: Decode = "gated"
  normalise: Literal["unit"] | None = "unit"
  padding: Literal["zeros"] | None = "zeros"
  num_classes: int = 0

  @nn.compact
  def __call__(self, features: jax.Array, train: bool, mask: jax.Array | None = None) -> Output:
    """Encodes, gates and decodes.

    Args:
      features: `[B, T, F]`.
      train: not used; other networks have it.
      mask: bool `[B, T]`, False on padding (default: as `padding` says). There the carries are held and the attention
        is 0.

    Returns:
      An `Output` without logits; its `features` `[B, D]` are the mean of the gated states. `aux` holds `attention` and
      `mask` `[B, T]`, `hidden` and `output_gates` `[B, T, D]`, `target` and `reconstruction` `[B, T, F]`. What the last
      four hold on padding means nothing.

    Raises:
      InputError: shapes that do not fit, or another F than that of the parameters.
    """
    check_fields(self)
    mask = self._steps(features, mask)
    x = unit(features) if self.normalise == "unit" else features
    carries, hidden, gates, attention = ALSTM(self.depth, self.width, self.gate_features, name="encoder")(x, mask)
    gated = hidden * attention[..., None]
    decoder = Stack((self.width,) * self.depth, peephole=True, name="decoder")
    read_out = nn.Dense(x.shape[-1], name="read_out")
    if self.decode == "gated":
      _, steps = decoder(gated, mask=mask)
    elif self.decode == "final":
      _, steps = decoder(jnp.zeros_like(hidden), carries, mask)
    else:
      steps = self._fed_back(decoder, carries, hidden, mask)
    aux = {
      "attention": attention,
      "mask": mask,
      "hidden": hidden,
      "output_gates": gates,
      "target": jax.lax.stop_gradient(x),
      "reconstruction": read_out(steps.h),
    }
    no_scores: Any = None
    length = jnp.maximum(mask.sum(axis=1, keepdims=True), 1).astype(gated.dtype)
    return Output(no_scores, gated.sum(axis=1) / length, aux)

  def _steps(self, features: jax.Array, mask: jax.Array | None) -> jax.Array:
    """The mask, after the checks of what the network was called with."""
    if features.ndim != 3:
      raise InputError(f"RTSAE at {place(self)} takes features [B, T, F], got the shape {features.shape}")
    if self.has_variable("params", "read_out"):
      trained = self.get_variable("params", "read_out")["kernel"].shape[-1]
      if trained != features.shape[-1]:
        raise InputError(
          f"RTSAE at {place(self)}: its parameters are for features of {trained} numbers, and these have"
          f" {features.shape[-1]}: give it features of the backbone it was trained on"
        )
    if mask is not None:
      if mask.shape != features.shape[:2]:
        raise InputError(
          f"RTSAE at {place(self)}: the mask of the shape {mask.shape} must be [B, T], {features.shape[:2]}"
        )
      return mask.astype(bool)
    return jnp.any(features != 0, axis=-1) if self.padding == "zeros" else jnp.ones(features.shape[:2], bool)

  def _fed_back(self, decoder: Stack, carries, hidden: jax.Array, mask: jax.Array):
    """The decoder with its own last hidden state as its input, zeros at first."""

    def step(module: Stack, carry, moves: jax.Array):
      carries, last = carry
      carries, steps = module(last, carries, moves[:, None])
      return (carries, jnp.where(moves[:, None, None], steps.h, last)), steps

    first = (carries, jnp.zeros_like(hidden[:, :1]))
    scan = nn.scan(step, variable_broadcast="params", split_rngs={"params": False}, in_axes=1, out_axes=1)
    _, steps = scan(decoder, first, mask)
    return jax.tree.map(lambda x: x.reshape(hidden.shape[0], hidden.shape[1], -1), steps)


def unit(x: jax.Array, epsilon: float = 1e-6) -> jax.Array:
  """Each vector of `[..., F]` over its root mean square; zeros stay zeros.

  Args:
    x: the vectors.
    epsilon: floor of the root mean square.
  """
  return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + epsilon**2)
