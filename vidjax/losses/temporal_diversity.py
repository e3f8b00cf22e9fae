"""Temporal Diversity loss (TDRL, Weng et al., ECCV 2020, Eq. 7): frames of a clip should not be alike."""

import dataclasses

import jax
import jax.numpy as jnp

from vidjax.bounds import Positive
from vidjax.checks import check_fields
from vidjax.types import Batch, Output


@dataclasses.dataclass(frozen=True)
class TemporalDiversity:
  """L_r: what the `TDLoss` plug-ins sowed, added over their sites, averaged over the clips that count.

  Its weight lambda (Eq. 2), 2e-4 in the paper, belongs to the blend: `Weighted({"temporal_diversity": 2e-4})`.

  Attributes:
    name: under which the loss is logged and weighted.
    scale: what the loss is multiplied by. It is for blends that have no weights, such as MGDA: sums over the pairs of
      frames and all sites are large beside a cross-entropy.
  """

  name: str = "temporal_diversity"
  scale: Positive = 1.0

  def __post_init__(self):
    check_fields(self)

  def __call__(self, output: Output, batch: Batch) -> dict[str, jax.Array]:
    """Reads `output.aux["temporal_diversity"]`, a tuple of `[B]`, one for each site, and `mask` `[B]`."""
    alike = jnp.sum(jnp.stack(output.take("temporal_diversity")), axis=0)
    return {self.name: self.scale * jnp.mean(alike, where=jnp.asarray(batch["mask"]))}
