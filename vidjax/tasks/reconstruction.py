"""Nothing is labelled: a network rebuilds its input, and its gates say which steps it kept (rtsae 3.2)."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.bounds import Between
from vidjax.checks import check_fields
from vidjax.types import Batch, Output, Scores, Summary


@dataclasses.dataclass(frozen=True)
class Reconstruction:
  """Trains on losses alone; the report says how many steps the gates keep.

  Attributes:
    threshold: attention above which a step is kept (rtsae Eq. 14).
    key_frames: compare the steps that are kept with the key moments of a data set that has them.
    metric: see `types.Task`.
  """

  threshold: Between = 0.5
  key_frames: bool = False
  metric: str = "-loss/reconstruction"

  def __post_init__(self):
    check_fields(self)

  @property
  def targets(self) -> tuple[str, ...]:
    """See `types.Task`."""
    return ("mask", "key_frames") if self.key_frames else ("mask",)

  def prepare(self, batch: Batch) -> Batch:
    """The batch as it is."""
    return batch

  def measure(self, output: Output, batch: Batch) -> dict[str, jax.Array]:
    """`open` `[B]`: the share of steps that are kept."""
    return {"open": jnp.mean(output.take("attention") > self.threshold, axis=-1)}

  def answer(self, output: Output) -> jax.Array:
    """Attention `[B, T]`."""
    return output.take("attention")

  def summarize(self, scores: Scores, class_names: Sequence[str]) -> Summary:
    """The share of steps that are kept and, where key moments are known, their precision, recall and F."""
    kept = scores.scores > self.threshold
    numbers = {"kept": float(kept.mean()), "attention": float(scores.scores.mean())}
    if self.key_frames:
      numbers |= hits(kept, scores.targets["key_frames"])
    shut = int((~kept.any(axis=-1)).sum())
    line = "  ".join(f"{name} {value:.2%}" for name, value in numbers.items())
    return Summary(numbers, {"videos": len(kept), "steps": kept.shape[-1], "videos_without_a_step": shut}, line=line)


def hits(kept: np.ndarray, key: np.ndarray) -> dict[str, float]:
  """How well the steps that are kept hit the key moments: means over the videos that have one.

  Args:
    kept: bool `[N, T]`.
    key: bool `[N, T]`.

  Returns:
    `precision`, `recall` and `f`, their harmonic mean in each video; of a video without a step they are 0.
  """
  kept, key = kept[key.any(axis=-1)], key[key.any(axis=-1)]
  both = (kept & key).sum(axis=-1)
  precision, recall = both / np.maximum(kept.sum(axis=-1), 1), both / key.sum(axis=-1)
  f = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
  return {"precision": float(precision.mean()), "recall": float(recall.mean()), "f": float(f.mean())}
