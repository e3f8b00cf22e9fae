"""The confusion matrix as a picture fit for print, for two classes as for 400."""

import os
import textwrap
from collections.abc import Sequence
from typing import IO

import numpy as np

from vidjax.analyse.pictures import legible, save_figure, shorten

DPI = 300
MAX_COUNTS = 25
"""More classes than this: no counts in the cells."""

MAX_NAMES = 75
"""More classes than this: every few classes get a name."""


def save_confusion(
  path: str | os.PathLike | IO[bytes], matrix: np.ndarray, class_names: Sequence[str], title: str
) -> None:
  """Writes the picture: rows are true classes, columns predicted ones, colour the share of the true class's videos.

  Args:
    path: of the picture, such as a PNG or PDF file, or an open file, which gets a PNG.
    matrix: counts int `[K, K]`.
    class_names: K names.
    title: headline.
  """
  from matplotlib.colors import PowerNorm
  from matplotlib.figure import Figure

  classes = len(class_names)
  pixels = max(round(DPI * float(np.clip(0.45 * classes, 2.6, 6.5)) / classes), 1)  # whole ones: all cells look alike
  side, cell = pixels * classes / DPI, 72 * pixels / DPI  # in inches and points
  figure = Figure(figsize=(side, side), dpi=DPI)
  axes = figure.add_axes((0, 0, 1, 1))
  share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
  many = classes > MAX_COUNTS
  norm = PowerNorm(0.5 if many else 1, 0, 1)  # among many classes rare confusions must show too
  image = axes.imshow(share, cmap="Blues", norm=norm, interpolation="nearest", aspect="auto")
  bar = figure.colorbar(
    image,
    cax=axes.inset_axes((1 + 0.1 / side, 0, 0.12 / side, 1)),
    ticks=[0, 0.01, 0.05, 0.2, 0.5, 1] if many else [0, 0.25, 0.5, 0.75, 1],
    format=lambda value, _: f"{value:.0%}",
  )
  bar.set_label("share of the true class", fontsize=8)
  bar.ax.tick_params(labelsize=7, width=0.5, length=2)

  every = -(-classes // MAX_NAMES)
  ticks = range(0, classes, every)
  size = float(np.clip(0.8 * cell * every, 5, 8))
  names = [shorten(class_names[i], 40) for i in ticks]
  room = int(cell / (0.62 * size))  # letters side by side within a cell
  flat = room >= 12
  axes.set_xticks(
    ticks,
    [textwrap.fill(name, room) for name in names] if flat else names,
    rotation=0 if flat else 90,
    fontsize=size,
    parse_math=False,
  )
  axes.set_yticks(
    ticks, [textwrap.fill(name, 24) for name in names] if flat else names, fontsize=size, parse_math=False
  )
  axes.tick_params(width=0.5, length=2)
  for part in (axes, bar.ax):
    part.grid(False, which="both")  # which a style may ask for
  named = f" (1 of {every} named)" if every > 1 else ""
  axes.set_xlabel(f"predicted class{named}", fontsize=9)
  axes.set_ylabel(f"true class{named}", fontsize=9)
  axes.set_title(legible(title), fontsize=9, parse_math=False)
  if not many:
    size = min(8, 1.4 * cell / len(str(matrix.max())))
    for row, column in np.argwhere(matrix):
      ink = "white" if share[row, column] > 0.6 else "black"
      axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=ink, fontsize=size)
  save_figure(figure, path, bbox_inches="tight", pad_inches=0.05)
