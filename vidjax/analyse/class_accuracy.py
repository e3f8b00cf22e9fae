"""The accuracy of the classes that are confused most, of several networks side by side, as a picture."""

import os
from collections.abc import Mapping, Sequence

import numpy as np

from vidjax.analyse.pictures import save_figure, shorten


def confused_classes(matrix: np.ndarray, limit: int) -> list[int]:
  """The classes of the pairs that are confused in most videos, pair by pair, at most `limit` of them.

  Args:
    matrix: counts int `[K, K]`, true classes in rows, predicted ones in columns.
    limit: how many classes.
  """
  both = np.triu(matrix + matrix.T, 1)  # a pair either way round
  pairs = np.argwhere(both)
  order = np.argsort(-both[tuple(pairs.T)], kind="stable")
  return list(dict.fromkeys(pairs[order].ravel().tolist()))[:limit]


def save_class_accuracy(
  path: str | os.PathLike, matrices: Mapping[str, np.ndarray], class_names: Sequence[str], limit: int = 12
) -> list[int]:
  """Draws a group of bars for every class that the networks together confuse most, one bar a network.

  Args:
    path: of the picture, such as a PNG or PDF file.
    matrices: name of a network -> counts int `[K, K]`, true classes in rows, predicted ones in columns.
    class_names: K names.
    limit: classes at most.

  Returns:
    The classes, from the left; those without a video are left out.
  """
  from matplotlib.figure import Figure

  total = np.sum(list(matrices.values()), axis=0)
  classes = [label for label in confused_classes(total, limit) if total[label].sum()]
  width = 0.8 / len(matrices)
  figure = Figure(figsize=(max(3.5, 0.9 * len(classes) + 1), 3.2), dpi=200)
  axes = figure.add_subplot()
  for number, (name, matrix) in enumerate(matrices.items()):
    places = np.arange(len(classes)) + (number - (len(matrices) - 1) / 2) * width
    accuracy = [100 * matrix[label, label] / max(matrix[label].sum(), 1) for label in classes]
    bars = axes.bar(places, accuracy, 0.9 * width, label=shorten(name, 40))
    axes.bar_label(bars, fmt="%.0f", fontsize=6)
  names = [shorten(class_names[label], 24) for label in classes]
  axes.set_xticks(range(len(classes)), names, rotation=30, ha="right", fontsize=7, parse_math=False)
  axes.set_ylim(0, 108)
  axes.set_ylabel("accuracy of the class in %", fontsize=8)
  axes.tick_params(labelsize=7)
  legend = axes.legend(fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4, frameon=False)
  for text in legend.get_texts():
    text.set_parse_math(False)
  axes.spines[["top", "right"]].set_visible(False)
  save_figure(figure, path, bbox_inches="tight")
  return classes
