"""The confusion matrix as a picture, for a handful of classes as for 400."""

import os
from collections.abc import Sequence

import numpy as np

MAX_COUNTS = 25
"""More classes than this: no counts in the cells."""

MAX_NAMES = 100
"""More classes than this: every few classes get a name."""


def save_confusion(path: str | os.PathLike, matrix: np.ndarray, class_names: Sequence[str], title: str) -> None:
  """Writes the picture: rows are true classes, columns predicted ones, colour the share of the true class's videos.

  Args:
    path: of the PNG file.
    matrix: counts int `[K, K]`.
    class_names: K names.
    title: headline.
  """
  from matplotlib.colors import PowerNorm
  from matplotlib.figure import Figure

  classes = len(class_names)
  side = float(np.clip(0.35 * classes, 4.5, 18))
  head = float(np.clip(side, 10, 16))
  figure = Figure(figsize=(side + 2.5, side + 1.5), dpi=120, layout="constrained")
  axes = figure.add_subplot()
  share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
  norm = PowerNorm(0.5 if classes > MAX_COUNTS else 1, 0, 1)  # among many classes rare confusions must show too
  image = axes.imshow(share, cmap="Blues", norm=norm, interpolation="nearest")
  figure.colorbar(
    image,
    ax=axes,
    shrink=0.8,
    fraction=0.04,
    pad=0.02,
    format=lambda value, _: f"{value:.0%}",
    label="share of the true class",
  )
  ticks = range(0, classes, -(-classes // MAX_NAMES))
  names = [shorten(class_names[i]) for i in ticks]
  size = float(np.clip(72 * side / len(ticks) * 0.7, 5, 11))
  axes.set_xticks(ticks, names, rotation=90, fontsize=size, parse_math=False)
  axes.set_yticks(ticks, names, fontsize=size, parse_math=False)
  axes.set_xlabel("predicted class", fontsize=head)
  axes.set_ylabel("true class", fontsize=head)
  axes.set_title(title, fontsize=head + 2, parse_math=False)
  if classes <= MAX_COUNTS:
    for row, column in np.argwhere(matrix):
      ink = "white" if share[row, column] > 0.5 else "black"
      axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=ink, fontsize=9)
  figure.savefig(path)


def shorten(text: str, length: int = 32) -> str:
  """The text, its end replaced by an ellipsis where it is longer than `length`."""
  return text if len(text) <= length else text[: length - 1].rstrip() + "…"
