"""The objective of the recurrent temporal sparse autoencoder, each term a loss of its own (rtsae Eq. 12).

The blend carries the weights: mu .5 of "diversity", tau .02 of "low_rank", lambda .05 of "output_l1" and phi .8 of
"gate_l1" in the paper, 1 of "reconstruction".
"""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp

from vidjax.bounds import Count, Positive
from vidjax.checks import check_fields
from vidjax.ops.nuclear import nuclear_norm
from vidjax.recurrent import OPEN
from vidjax.types import Batch, Output


@dataclasses.dataclass(frozen=True)
class SparseAutoencoder:
  """The five terms of Eq. 12, each the mean over the clips that count.

  Attributes:
    target: "all" (default) sums the error over all steps; "selected" over those whose gate is open, as printed, where
      shutting every gate would make the whole loss 0.
    least: that many steps of the highest attention count as open in any case.
    epsilon: of the smoothed nuclear norm.
  """

  target: Literal["all", "selected"] = "all"
  least: Count = 2
  epsilon: Positive = 1e-2

  def __post_init__(self):
    check_fields(self)

  def __call__(self, output: Output, batch: Batch) -> dict[str, jax.Array]:
    """Reads what `networks.rtsae` puts into `aux`, and the batch's `mask` `[B]` of clips.

    Steps where `aux["mask"]` `[B, T]` is False are padding and count nowhere; without such a mask all steps count.
    """
    attention, hidden, gates = (output.take(name) for name in ("attention", "hidden", "output_gates"))
    steps = output.aux.get("mask", jnp.ones(attention.shape, bool))
    attention, gates = jnp.where(steps, attention, 0), jnp.where(steps[..., None], gates, 0)
    open_ = opened(jnp.where(steps, attention, -1), self.least) & steps
    error = jnp.sum(jnp.square(output.take("reconstruction") - output.take("target")), axis=-1)
    terms = {
      "reconstruction": jnp.where(steps if self.target == "all" else open_, error, 0).sum(-1),
      "diversity": -_distances(hidden, open_).sum(-1),
      "low_rank": nuclear_norm(gates, self.epsilon),
      "output_l1": jnp.abs(gates).sum((-1, -2)),
      "gate_l1": jnp.abs(attention).sum(-1),
    }
    mask = jnp.asarray(batch["mask"])
    return {name: jnp.mean(term, where=mask) for name, term in terms.items()}


@dataclasses.dataclass(frozen=True)
class GateL1:
  """The last term of Eq. 12 alone, for the joint phase, whose gates the text leaves free (4.3)."""

  def __call__(self, output: Output, batch: Batch) -> dict[str, jax.Array]:
    """`gate_l1`: the mean over the clips that count of the sum of their attention."""
    return {"gate_l1": jnp.mean(output.take("attention").sum(-1), where=jnp.asarray(batch["mask"]))}


def opened(attention: jax.Array, least: int = 1) -> jax.Array:
  """Which gates `[B, T]` are open: those above OPEN, and the `least` highest.

  Args:
    attention: `[B, T]`.
    least: that many of the highest count in any case.
  """
  floor = jax.lax.top_k(attention, min(least, attention.shape[-1]))[0][..., -1:]
  return (attention > OPEN) | (attention >= floor)


def _distances(hidden: jax.Array, open_: jax.Array) -> jax.Array:
  """`log(1 + ||h_i - h_next||^2)` `[B, T]` of each open step to the next open one, 0 where there is none."""
  steps = open_.shape[-1]
  number = jnp.where(open_, jnp.arange(steps)[None], steps)
  from_here = jax.lax.cummin(number, axis=1, reverse=True)
  after = jnp.concatenate([from_here[:, 1:], jnp.full_like(number[:, :1], steps)], axis=1)
  following = jnp.take_along_axis(hidden, jnp.minimum(after, steps - 1)[..., None], axis=1)
  distance = jnp.log1p(jnp.sum(jnp.square(hidden - following), axis=-1))
  return jnp.where(open_ & (after < steps), distance, 0)
