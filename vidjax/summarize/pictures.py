"""Pictures of a summary: a contact sheet with times, and the curve over the film (as rtsae Fig. 16-18)."""

import pathlib
from collections.abc import Sequence

import numpy as np

from vidjax.analyse.pictures import save_figure, shorten

MOST = 48
"""Keyframes of a contact sheet."""
COLUMNS = 6
WIDTH = 2.1
"""Inches of a frame."""
TEXT = 0.26
"""Inches of the line above each frame."""
HEAD = 0.4
"""Inches of the title."""
FEW = 60
"""Values of a curve that have a dot each."""


def save_sheet(path: pathlib.Path, images: Sequence[np.ndarray], captions: Sequence[str], name: str, line: str) -> None:
  """Draws frames in rows, each under its caption.

  Args:
    path: of the picture.
    images: uint8 RGB `[H, W, 3]`, all of one size.
    captions: one for each.
    name: of the film, shortened where the sheet is narrow.
    line: what stands behind it.
  """
  from matplotlib.figure import Figure

  count = len(images)
  columns = min(count, COLUMNS)
  rows = -(-count // columns)
  tall, wide = images[0].shape[:2]
  scale = WIDTH / max(tall, wide)
  cell = (max(wide * scale, 1.5), tall * scale + TEXT)
  size = (max(columns * cell[0] + 0.2, 4.5), rows * cell[1] + HEAD + 0.1)
  figure = Figure(figsize=size, dpi=150)
  left = (size[0] - columns * cell[0]) / 2
  for place, (image, caption) in enumerate(zip(images, captions, strict=True)):
    row, column = divmod(place, columns)
    corner = (left + column * cell[0] + 0.03, size[1] - HEAD - (row + 1) * cell[1])
    box = (corner[0] / size[0], corner[1] / size[1], (cell[0] - 0.06) / size[0], (cell[1] - TEXT) / size[1])
    axes = figure.add_axes(box)
    axes.imshow(image)
    axes.set_axis_off()
    axes.set_title(caption, fontsize=8, pad=3)
  room = int(size[0] * 72 / (0.62 * 10)) - len(line) - 2  # letters of 10 points
  title = f"{shorten(name, max(room, 12))}: {line}"
  figure.text(0.5, 1 - 0.5 * HEAD / size[1], title, ha="center", va="center", fontsize=10, parse_math=False)
  save_figure(figure, path)


def save_curve(
  path: pathlib.Path, times: np.ndarray, values: np.ndarray, keyframes: np.ndarray, label: str, title: str
) -> None:
  """Draws a value of each frame over the film's time, with the keyframes.

  Args:
    path: of the picture.
    times: `[N]` seconds.
    values: `[N]`.
    keyframes: `[K]` seconds.
    label: what the values are.
    title: of the picture.
  """
  from matplotlib.figure import Figure

  unit, name = next((x for x in ((3600, "hours"), (60, "minutes")) if times[-1] - times[0] > 2 * x[0]), (1, "seconds"))
  figure = Figure(figsize=(9, 2.8), dpi=150, layout="constrained")
  axes = figure.subplots()
  axes.plot(times / unit, values, linewidth=0.8, color="tab:blue", marker="." if len(times) <= FEW else "")
  for number, time in enumerate(keyframes):
    axes.axvline(
      time / unit, color="tab:orange", linewidth=0.8, alpha=0.8, label="keyframes" if not number else None, zorder=0
    )
  axes.set(xlabel=name, ylabel=label)
  axes.set_ylim(bottom=0)
  axes.margins(x=0.01)
  axes.legend(loc="lower right", bbox_to_anchor=(1, 1), fontsize=8, frameon=False)
  axes.set_title(shorten(title, 70), loc="left", fontsize=10, parse_math=False)
  save_figure(figure, path)
