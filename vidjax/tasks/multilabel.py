"""Any number of K classes for each video, as in Charades: a score of its own for each class."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.bounds import Between
from vidjax.checks import check_fields
from vidjax.errors import ConfigError, InputError
from vidjax.types import Batch, Output, Scores, Summary


@dataclasses.dataclass(frozen=True)
class MultiLabel:
  """The sigmoid of each score says whether the video has the class; train it with `losses.BinaryCrossEntropy`.

  Attributes:
    num_classes: K.
    threshold: a class counts as found from this score on.
    targets: see `types.Task`.
    metric: see `types.Task`: "map", "f1", or "-loss/NAME", the lowest mean of a loss.
  """

  num_classes: int
  threshold: Between = 0.5
  targets: tuple[str, ...] = ("label", "mask")
  metric: str = "map"

  several: ClassVar[bool] = True
  numbers: ClassVar[tuple[str, ...]] = ("map", "f1", "hit1")

  def __post_init__(self):
    check_fields(self)

  def prepare(self, batch: Batch) -> Batch:
    """Adds `target` float32 `[B, K]`, which a transform may mix."""
    label = jnp.asarray(batch["label"])
    if label.ndim != 2:
      raise ConfigError(
        "task.make=MultiLabel: each video of this data set has one label; take vidjax.tasks.classification, or prepare"
        " a list with a column `labels`"
      )
    return {**batch, "target": label.astype(jnp.float32)}

  def measure(self, output: Output, batch: Batch) -> dict[str, jax.Array]:
    """`hit1` `[B]`: whether the video has the class with the highest score."""
    best = jnp.argmax(output.logits, -1, keepdims=True)
    return {"hit1": jnp.take_along_axis(jnp.asarray(batch["label"]), best, -1)[:, 0]}

  def answer(self, output: Output) -> jax.Array:
    """Sigmoid scores `[B, K]`."""
    return jax.nn.sigmoid(output.logits)

  def summarize(self, scores: Scores, class_names: Sequence[str]) -> Summary:
    """mAP, the mean average precision of the classes that have videos, and F1 over all scores at the threshold."""
    from sklearn.metrics import average_precision_score

    label, found = scores.label, scores.scores >= self.threshold
    if label.shape != scores.scores.shape or label.shape[1] != len(class_names):
      raise InputError(f"labels {label.shape} and scores {scores.scores.shape} are not of {len(class_names)} classes")
    videos = label.sum(axis=0)
    if not videos.any():
      raise InputError("no video has any of the classes: mAP takes some that have")
    own = [k for k in range(len(class_names)) if videos[k]]
    precision = {k: float(average_precision_score(label[:, k], scores.scores[:, k])) for k in own}
    best = {k: best_threshold(label[:, k], scores.scores[:, k]) for k in own}
    rows = [
      [k, class_names[k], int(videos[k]), f"{precision[k]:.4f}", f"{best[k][0]:.6g}", f"{best[k][1]:.4f}"]
      for k in sorted(own, key=lambda k: precision[k])
    ]
    rows += [[k, name, 0, "", "", ""] for k, name in enumerate(class_names) if k not in precision]
    header = ["label", "class", "videos", "average_precision", "best_threshold", "f1_there"]
    numbers = {
      "map": float(np.mean([*precision.values()])),
      "f1": float(2 * (label & found).sum() / max(label.sum() + found.sum(), 1)),
    }
    counts = {
      "videos": len(label),
      "classes": len(class_names),
      "classes_with_videos": len(own),
      "labels": int(label.sum()),
      "predicted": int(found.sum()),
      "threshold": self.threshold,
      "best_thresholds": {class_names[k]: best[k][0] for k in own},
    }
    line = f"mAP {numbers['map']:.2%}  F1 {numbers['f1']:.2%} at the threshold {self.threshold:g}"
    if len(own) < len(class_names):
      line += f" (over the {len(own)} of {len(class_names)} classes that have videos)"
    return Summary(numbers, counts, {"classes": [header, *rows]}, {}, line)


def best_threshold(label: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
  """The threshold with the highest F1 of one class, the largest of several, and that F1.

  Args:
    label: bool `[N]`, at least one of them True.
    scores: `[N]`.
  """
  from sklearn.metrics import precision_recall_curve

  precision, recall, thresholds = precision_recall_curve(label, scores)
  f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
  place = len(thresholds) - 1 - int(np.argmax(f1[:-1][::-1]))
  return float(thresholds[place]), float(f1[place])
