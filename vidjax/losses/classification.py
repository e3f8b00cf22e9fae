"""Cross-entropy of the clip's class scores, or of those of a part of the network."""

import dataclasses

import jax
import jax.numpy as jnp
import optax

from vidjax.bounds import Rate
from vidjax.checks import check_fields
from vidjax.errors import ConfigError
from vidjax.types import Batch, Output


@dataclasses.dataclass(frozen=True)
class CrossEntropy:
  """Softmax cross-entropy, averaged over the clips that count; the loss is named `name`.

  Attributes:
    label_smoothing: share of the target spread evenly over all classes.
    name: under which the loss is logged and weighted.
    of: scores `[B, K]` in `output.aux` to judge in place of the clip's, such as "spatial_logits" of TwoStream or
      "busy_logits" of BQN; give each such loss a name.
  """

  label_smoothing: Rate = 0.0
  name: str = "classification"
  of: str | None = None

  def __post_init__(self):
    check_fields(self)

  def __call__(self, output: Output, batch: Batch) -> dict[str, jax.Array]:
    """Reads `label` `[B]`, or `target` `[B, K]` where mixing has written one, and `mask` `[B]`."""
    logits = (output.logits if self.of is None else output.take(self.of)).astype(jnp.float32)
    target = batch["target"] if "target" in batch else jax.nn.one_hot(batch["label"], logits.shape[-1])
    if target.shape != logits.shape:
      raise ConfigError(
        f"CrossEntropy(name={self.name!r}, of={self.of!r}) reads scores {logits.shape} for targets {target.shape}: "
        "name scores of whole clips, and leave the network's num_classes to the data"
      )
    target = optax.smooth_labels(jnp.asarray(target), self.label_smoothing)
    losses = optax.softmax_cross_entropy(logits, target)
    return {self.name: jnp.mean(losses, where=jnp.asarray(batch["mask"]))}
