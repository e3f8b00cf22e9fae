"""Which steps of a clip a network keeps, how well they hit the key moments, and the class they give (rtsae 5)."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import jax
import numpy as np

from vidjax.bounds import Between
from vidjax.checks import check_fields
from vidjax.errors import InputError
from vidjax.recurrent import OPEN
from vidjax.tasks.classification import Classification
from vidjax.types import Batch, Output, Scores, Summary


@dataclasses.dataclass(frozen=True)
class KeyframeClassification:
  """`Classification` by a network with attention `[B, T]`; the report says how many steps it keeps.

  Attributes:
    num_classes: K.
    threshold: attention above which a step is kept (rtsae Eq. 14); of a clip without one, the highest is.
    key_frames: compare the kept steps with the key moments, of a data set that has them.
    metric: see `types.Task`: those of `Classification`, "kept" or "f".
  """

  num_classes: int
  threshold: Between = OPEN
  key_frames: bool = False
  metric: str = "top1"

  several: ClassVar[bool] = False

  def __post_init__(self):
    check_fields(self)

  @property
  def classes(self) -> Classification:
    """The task that the classes are."""
    return Classification(self.num_classes)

  @property
  def targets(self) -> tuple[str, ...]:
    """See `types.Task`."""
    return ("label", "mask", "key_frames") if self.key_frames else ("label", "mask")

  @property
  def numbers(self) -> tuple[str, ...]:
    """The names of what a summary counts."""
    return (*Classification.numbers, "kept", *(("precision", "recall", "f") if self.key_frames else ()))

  def prepare(self, batch: Batch) -> Batch:
    """See `Classification`."""
    return self.classes.prepare(batch)

  def measure(self, output: Output, batch: Batch) -> dict[str, jax.Array]:
    """`top1` and `open` `[B]`, the share of gates that are open."""
    opened = (output.take("attention") > self.threshold).mean(axis=-1)
    return {**self.classes.measure(output, batch), "open": opened}

  def answer(self, output: Output) -> Mapping[str, jax.Array]:
    """Softmax scores `[B, K]`, and attention `[B, T]`."""
    return {"scores": self.classes.answer(output), "attention": output.take("attention")}

  def summarize(self, scores: Scores, class_names: Sequence[str]) -> Summary:
    """That of `Classification`, with the kept steps, and the attention of each video as a table."""
    summary = self.classes.summarize(scores, class_names)
    attention = scores.extras["attention"]
    numbers, details, line = kept_steps(attention, self.threshold, scores.extras.get("key_frames"))
    rows = [[int(index), *(f"{a:.4f}" for a in row)] for index, row in zip(scores.index, attention, strict=True)]
    table = [["index", *(f"step{i}" for i in range(attention.shape[1]))], *rows]
    return summary._replace(
      numbers={**summary.numbers, **numbers},
      details={**summary.details, **details},
      tables={**summary.tables, "attention": table},
      line=f"{summary.line}  {line}",
    )


def kept_steps(
  attention: np.ndarray,
  threshold: float,
  key_frames: np.ndarray | None = None,
  steps: np.ndarray | None = None,
) -> tuple[dict[str, float], dict[str, int], str]:
  """How many steps are kept and, where key moments are known, how well they hit them.

  Args:
    attention: `[N, T]` from 0 to 1.
    threshold: above which a step is kept; of a video without one the highest is.
    key_frames: bool `[N, T * F]`, F frames in a step, or None.
    steps: bool `[N, T]`, False on padding, which counts nowhere (default: all count).

  Returns:
    Numbers `kept` (share of the steps) and those of `hits`; counts for a report; both in one line.
  """
  steps = np.ones(attention.shape, bool) if steps is None else steps
  kept, shut = kept_by(np.where(steps, attention, -1), threshold)
  kept &= steps
  numbers = {"kept": float(kept.sum() / max(steps.sum(), 1))}
  if key_frames is not None:
    numbers |= hits(kept, of_steps(key_frames, attention.shape[1]) & steps)
  details = {"videos": len(kept), "steps": kept.shape[1], "videos_with_every_gate_shut": int(shut.sum())}
  line = "  ".join(f"{name} {value:.2%}" for name, value in numbers.items())
  if shut.any():
    line += f" (every gate was shut in {shut.sum()} of {len(kept)} videos: the best step of each is kept)"
  return numbers, details, line


def kept_by(attention: np.ndarray, threshold: float = OPEN) -> tuple[np.ndarray, np.ndarray]:
  """The steps that are kept, bool `[N, T]`, and the videos in which every gate is shut, bool `[N]`.

  Args:
    attention: `[N, T]`.
    threshold: above which a step is kept; of a video without one the highest is.
  """
  kept = attention > threshold
  shut = np.asarray(~kept.any(axis=1))
  kept[shut, attention[shut].argmax(axis=1)] = True
  return kept, shut


def of_steps(key_frames: np.ndarray, steps: int) -> np.ndarray:
  """Whether a step has a key frame, bool `[N, steps]`, of bool `[N, steps * F]`.

  Args:
    key_frames: of every frame.
    steps: of a clip.
  """
  if key_frames.shape[1] % steps:
    raise InputError(f"{key_frames.shape[1]} frames of a clip are no multiple of the network's {steps} steps")
  return np.any(key_frames.reshape(len(key_frames), steps, -1), axis=-1)


def hits(kept: np.ndarray, key: np.ndarray) -> dict[str, float]:
  """How well the kept steps hit the key moments: means over the videos that have one.

  Args:
    kept: bool `[N, T]`.
    key: bool `[N, T]`.

  Returns:
    `precision`, `recall` and `f`, their harmonic mean in each video; of a video without a kept step they are 0.

  Raises:
    InputError: no video has a key moment.
  """
  kept, key = kept[key.any(axis=-1)], key[key.any(axis=-1)]
  if not len(key):
    raise InputError("no video has a key moment to compare with: set task.key_frames=False")
  both = (kept & key).sum(axis=-1)
  precision, recall = both / np.maximum(kept.sum(axis=-1), 1), both / key.sum(axis=-1)
  f = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
  return {"precision": float(precision.mean()), "recall": float(recall.mean()), "f": float(f.mean())}
