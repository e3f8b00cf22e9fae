"""One class of K for each video."""

import dataclasses

import jax
import jax.numpy as jnp

from vidjax.types import Batch, Output


@dataclasses.dataclass(frozen=True)
class Classification:
  """The softmax of the network's scores names the class.

  Attributes:
    num_classes: K.
    targets: see `types.Task`.
    metric: see `types.Task`: "top1", "top5", "mean_class", or "-loss/NAME", the lowest mean of a loss.
  """

  num_classes: int
  targets: tuple[str, ...] = ("label", "mask")
  metric: str = "top1"

  def prepare(self, batch: Batch) -> Batch:
    """Adds `target` `[B, K]`, one-hot labels that a transform may mix."""
    return {**batch, "target": jax.nn.one_hot(batch["label"], self.num_classes)}

  def measure(self, output: Output, batch: Batch) -> dict[str, jax.Array]:
    """`top1` `[B]`: whether the class with the highest score is the label."""
    return {"top1": jnp.argmax(output.logits, -1) == jnp.asarray(batch["label"])}

  def answer(self, output: Output) -> jax.Array:
    """Softmax scores `[B, K]`."""
    return jax.nn.softmax(output.logits)
