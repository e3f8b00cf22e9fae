"""Metrics of a split's scores: top-1, top-5, mean class accuracy, confusions."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vidjax.errors import InputError
from vidjax.types import Scores


def summarize(scores: Scores, class_names: Sequence[str]) -> dict[str, Any]:
  """The metrics of a split, as shares of 1.

  Args:
    scores: of N videos and K classes.
    class_names: K names in the order of the labels.

  Returns:
    `top1`; `top5` (the right class among the min(5, K) best); `mean_class`, the mean of `per_class` over the classes
    that have videos; the counts `videos`, `classes` and `classes_with_videos`; `per_class`, the accuracy of each class
    in the order of the labels, None where it has no video.

  Raises:
    InputError: scores and class names are not of the same number of classes, or a label is not among them.
  """
  from sklearn.metrics import accuracy_score, top_k_accuracy_score

  classes = len(class_names)
  if scores.scores.shape[1] != classes:
    raise InputError(f"the network scores {scores.scores.shape[1]} classes, but there are {classes} class names")
  if scores.label.min() < 0 or scores.label.max() >= classes:
    raise InputError(f"labels run from {scores.label.min()} to {scores.label.max()}, but there are {classes} classes")
  matrix = confusion(scores)
  videos = matrix.sum(axis=1)
  recall = np.diag(matrix) / np.maximum(videos, 1)
  within5 = top_k_accuracy_score(scores.label, scores.scores, k=5, labels=np.arange(classes)) if classes > 5 else 1.0
  return {
    "top1": float(accuracy_score(scores.label, scores.scores.argmax(axis=1))),
    "top5": float(within5),
    "mean_class": float(recall[videos > 0].mean()),
    "videos": len(scores.label),
    "classes": classes,
    "classes_with_videos": int((videos > 0).sum()),
    "per_class": [float(share) if count else None for share, count in zip(recall, videos, strict=True)],
  }


def confusion(scores: Scores) -> np.ndarray:
  """Counts int `[K, K]`: row the true class, column the class with the highest score."""
  classes = scores.scores.shape[1]
  cells = scores.label * classes + scores.scores.argmax(axis=1)
  return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def worst_pairs(matrix: np.ndarray, class_names: Sequence[str], limit: int = 10) -> list[dict[str, Any]]:
  """The pairs (true, predicted) that are confused in the largest number of videos, largest first.

  `share` is of the videos of the true class; it decides between equal numbers.

  Args:
    matrix: int `[K, K]`, from `confusion`.
    class_names: the K names.
    limit: pairs at most.
  """
  totals = matrix.sum(axis=1)
  pairs = [
    {
      "true": class_names[true],
      "predicted": class_names[predicted],
      "videos": int(matrix[true, predicted]),
      "share": float(matrix[true, predicted] / totals[true]),
    }
    for true, predicted in np.argwhere(matrix)
    if true != predicted
  ]
  return sorted(pairs, key=lambda pair: (-pair["videos"], -pair["share"]))[:limit]


def class_rows(matrix: np.ndarray, class_names: Sequence[str]) -> list[list[Any]]:
  """A table's header and one row for each class, the least accurate first.

  Args:
    matrix: int `[K, K]`, from `confusion`.
    class_names: the K names.
  """
  rows: list[list[Any]] = []
  for label, name in enumerate(class_names):
    videos, correct = int(matrix[label].sum()), int(matrix[label, label])
    mistakes = matrix[label] * (np.arange(len(matrix)) != label)
    worst = int(mistakes.argmax())
    accuracy = f"{correct / videos:.4f}" if videos else ""
    taken_for = [class_names[worst], int(mistakes[worst])] if mistakes.any() else ["", 0]
    rows.append([label, name, videos, correct, accuracy, *taken_for])
  rows.sort(key=lambda row: float(row[4] or 2))
  return [["label", "class", "videos", "correct", "accuracy", "most_confused_with", "videos_confused"], *rows]


def confusion_rows(matrix: np.ndarray, class_names: Sequence[str]) -> list[list[Any]]:
  """The confusion matrix as a table: rows are true classes, columns predicted ones.

  Args:
    matrix: int `[K, K]`, from `confusion`.
    class_names: the K names.
  """
  rows = ([name, *row] for name, row in zip(class_names, matrix.tolist(), strict=True))
  return [["true \\ predicted", *class_names], *rows]
