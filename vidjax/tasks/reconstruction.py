"""Nothing is labelled: a network rebuilds its input, and its gates say which steps it kept (rtsae 3.2)."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.bounds import Between
from vidjax.checks import check_fields
from vidjax.tasks.keyframes import kept_steps
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
    """`open` `[B]`: the share of steps that are kept, without padding."""
    opened = output.take("attention") > self.threshold
    steps = output.aux.get("mask", jnp.ones_like(opened))
    return {"open": (opened & steps).sum(axis=-1) / jnp.maximum(steps.sum(axis=-1), 1)}

  def answer(self, output: Output) -> dict[str, jax.Array]:
    """Attention `[B, T]`, and `steps` `[B, T]`, False on padding."""
    attention = output.take("attention")
    return {"scores": attention, "steps": output.aux.get("mask", jnp.ones(attention.shape, bool))}

  def summarize(self, scores: Scores, class_names: Sequence[str]) -> Summary:
    """The share of steps that are kept and, where key moments are known, their precision, recall and F."""
    extras = scores.extras
    steps = extras.get("steps", np.ones(scores.scores.shape, bool))
    numbers, details, line = kept_steps(scores.scores, self.threshold, extras.get("key_frames"), steps)
    mean = float(scores.scores[steps].mean()) if steps.any() else 0.0
    return Summary(numbers | {"attention": mean}, details, line=line)
