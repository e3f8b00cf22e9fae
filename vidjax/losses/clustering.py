"""What draws windows to their clusters (dte Eq. 18; deep embedding clustering, Xie et al., ICML 2016)."""

import dataclasses

import jax
import jax.numpy as jnp
import optax

from vidjax.checks import check_fields
from vidjax.errors import ConfigError
from vidjax.types import Batch, Output


@dataclasses.dataclass(frozen=True)
class ClusterKL:
  """KL(P||Q), averaged over the windows of the clips that count; the loss is named `name`.

  The text adds up over all windows of the set: the mean differs by their number, a factor of the learning rate. With
  `Prediction` beside it, at a weight of .1, it is IDEC's objective (Guo et al., IJCAI 2017), which keeps the decoder.

  p is that of the network: of its current q and the frequencies of the last refresh; or in training, where it holds a
  table (`Clusters(table=True)`), the p of each record at the last refresh. Held frequencies let a cluster grow for a
  whole epoch before it is slowed down; a table does not.

  Attributes:
    name: under which the loss is logged and weighted.
  """

  name: str = "clustering"

  def __post_init__(self):
    check_fields(self)

  def __call__(self, output: Output, batch: Batch) -> dict[str, jax.Array]:
    """Reads `aux["assignment"]` and `aux["target_distribution"]` `[B, N, K]`, and `mask` `[B]`.

    Where there is `aux["table"]` `[R, N, K]`, it reads `index` `[B]` of the batch, too, which `task.table` gives.
    """
    q, p = output.take("assignment"), output.take("target_distribution")
    if "table" in output.aux:
      if "index" not in batch:
        raise ConfigError("ClusterKL reads p from a table by the numbers of records: set task.table=True")
      p = output.aux["table"][jnp.asarray(batch["index"])]
    log_q = jnp.log(jnp.maximum(q, jnp.finfo(q.dtype).tiny))
    divergence = optax.losses.kl_divergence(log_q, jax.lax.stop_gradient(p)).mean(axis=-1)
    return {self.name: jnp.mean(divergence, where=jnp.asarray(batch["mask"]))}
