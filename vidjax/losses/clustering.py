"""What draws windows to their clusters (dte Eq. 18; deep embedding clustering, Xie et al., ICML 2016)."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import optax

from vidjax.checks import check_fields
from vidjax.types import Batch, Output


@dataclasses.dataclass(frozen=True)
class ClusterKL:
  """KL(P||Q), averaged over the windows of the clips that count; the loss is named `name`.

  The text adds up over all windows of the set: the mean differs by their number, a factor of the learning rate. With
  `Prediction` beside it, at a weight of .1, it is IDEC's objective (Guo et al., IJCAI 2017), which keeps the decoder.

  Attributes:
    target: "frequency" takes p of the current q and the frequencies of the last refresh; "table" the p of the last
      refresh, held by record, which `index` of the batch finds (`task.table`). It is measured in training alone.
    name: under which the loss is logged and weighted.
  """

  target: Literal["frequency", "table"] = "frequency"
  name: str = "clustering"

  def __post_init__(self):
    check_fields(self)

  def __call__(self, output: Output, batch: Batch) -> dict[str, jax.Array]:
    """Reads `aux["assignment"]` and `aux["target_distribution"]` `[B, N, K]`, or `aux["table"]`, and `mask` `[B]`."""
    q = output.take("assignment")
    if self.target == "table":
      p = output.take("table")[jnp.asarray(batch["index"])]
    else:
      p = output.take("target_distribution")
    log_q = jnp.log(jnp.maximum(q, jnp.finfo(q.dtype).tiny))
    divergence = optax.losses.kl_divergence(log_q, jax.lax.stop_gradient(p)).mean(axis=-1)
    return {self.name: jnp.mean(divergence, where=jnp.asarray(batch["mask"]))}
