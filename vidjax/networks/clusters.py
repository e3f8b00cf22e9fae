"""The clusters of embedded windows, as a part of networks (dte Eq. 19-20)."""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.bounds import Count, Positive
from vidjax.checks import check_fields, place
from vidjax.errors import ConfigError
from vidjax.ops.clusters import student_q, target_p


class Clusters(nn.Module):
  """Centres `[K, D]` and the running statistic `scale`, which k-means starts (`train.clusters.KMeans`).

  Distances count in units of `scale` [I]: hidden states of an LSTM lie within -1 and 1, and where all distances are far
  below 1, q would be the same for all clusters.

  The other running statistics are those of the last refresh (`train.clusters.Refresh`): `frequency` `[K]`. With
  `records`, the cluster of every training window, `assigned` `[R, N]`, and `changed`, the share that had another one.

  Attributes:
    number: K.
    dof: degrees of freedom of Student's t, alpha.
    records: R, records of the training split, whose clusters are kept; None keeps none.
    table: keep p of every record, too, `[R, N, K]`, in place of the frequencies, for `losses.ClusterKL`.
  """

  number: Count
  dof: Positive = 1.0
  records: Count | None = None
  table: bool = False

  same: ClassVar[tuple[str, ...]] = ("dof",)  # see `train.parts`

  @nn.compact
  def __call__(self, z: jax.Array, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The centres, and of embeddings `[B, N, D]` `assignment` q and `target_distribution` p `[B, N, K]`.

    With `records`, `changed` `[B]`, too; in training alone, `table`.
    """
    check_fields(self)
    if self.table and self.records is None:
      raise ConfigError(
        f"Clusters(table=True) at {place(self)}: set records to the number of training records, for which p is held"
      )
    centres = self.param("centres", nn.initializers.normal(0.1), (self.number, z.shape[-1]))
    frequency = self.variable("batch_stats", "frequency", jnp.ones, (self.number,), jnp.float32).value
    scale = self.variable("batch_stats", "scale", jnp.ones, (), jnp.float32).value
    q = student_q(z.astype(jnp.float32) / scale, centres.astype(jnp.float32) / scale, self.dof)
    p = jax.lax.stop_gradient(target_p(q, frequency))
    found = {"assignment": q.astype(z.dtype), "target_distribution": p.astype(z.dtype)}
    if self.records is not None:
      shape = (self.records, z.shape[1])
      self.variable("batch_stats", "assigned", jnp.full, shape, -1, jnp.int32)
      changed = self.variable("batch_stats", "changed", jnp.ones, (), jnp.float32).value
      found["changed"] = jnp.full(z.shape[0], changed.astype(z.dtype))
      if self.table:
        table = self.variable("batch_stats", "table", jnp.zeros, (*shape, self.number), jnp.float32).value
        found |= {"table": table} if train else {}
    return centres, found
