"""How well the decoder says what comes next (dte Eq. 15 and 17)."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import optax

from vidjax.checks import check_fields
from vidjax.types import Batch, Output


@dataclasses.dataclass(frozen=True)
class Prediction:
  """The loss of the decoder's prediction, averaged over the clips that count; it is named `name`.

  Eq. 15 is a likelihood and names no distribution [I]. The mean over steps and numbers takes the place of its sum, so
  that windows, widths and layers can be compared.

  Attributes:
    kind: "bernoulli", cross-entropy of the sigmoid output of Eq. 17 with targets from 0 to 1; "squared", the squared
      error of either output.
    name: under which the loss is logged and weighted.
  """

  kind: Literal["bernoulli", "squared"] = "bernoulli"
  name: str = "prediction"

  def __post_init__(self):
    check_fields(self)

  def __call__(self, output: Output, batch: Batch) -> dict[str, jax.Array]:
    """Reads `aux["target"]` and `aux["prediction"]`, or its `aux["prediction_logits"]`, `[B, N, M, F]`.

    `aux["exists"]` bool `[B, N, M]` says which steps the clip has; it reads `mask` `[B]`, too.
    """
    target = jax.lax.stop_gradient(output.take("target"))
    if self.kind == "bernoulli":
      losses = optax.sigmoid_binary_cross_entropy(output.take("prediction_logits"), target)
    else:
      losses = jnp.square(output.take("prediction") - target)
    exists = output.take("exists") & jnp.asarray(batch["mask"])[:, None, None]
    return {self.name: jnp.sum(losses.mean(-1), where=exists) / jnp.maximum(exists.sum(), 1)}
