"""Accuracy over the scale and the size of MBPM's kernel, trained and held (thesis Fig. 5.3), as heat maps.

The text has none of its numbers. It names 1.1 with 9x9, its best, and says that 11x11 is worse; the other scales and
sizes are ours. At mini scale kernels
are normalised by their magnitudes ("l1"): those that sum to 1, as in the thesis, are so tall for 9x9 pixels that no
training moves them. Clips have 48 pixels, not 224.
"""

import pathlib
import re

import numpy as np
from matplotlib.figure import Figure

from experiments.tables.command import run_table
from experiments.tables.row import Row, Table, Training
from experiments.tables.shown import Measured
from vidjax.analyse.pictures import save_figure

SIGMAS = 0.7, 1.1, 1.5
SIZES = 5, 7, 9, 11
DEFAULTS = {"sigma": 1.1, "kernel": 9, "trainable": True}
NAMED = (1.1, 9), (1.1, 11)
HELD = {True: "trained", False: "held"}


def row(sigma: float, size: int, trained: bool) -> Row:
  """An MBPM of one scale and size."""
  settings = {"sigma": sigma, "kernel": size, "trainable": trained}
  flags = [f"--config.model.representation.{key}={value}" for key, value in settings.items()]
  other = [flag for flag, key in zip(flags, settings, strict=True) if settings[key] != DEFAULTS[key]]
  full = {
    name: Training(f"configs/inputs.py:mbpm,data={data}", tuple(other))
    for name, data in (("SSv1", "ssv1"), ("UCF101", "ucf101"))
  }
  mini = Training("configs/inputs.py:mbpm", (*flags, "--config.model.representation.normalise=l1"))
  kind = "own" if (sigma, size) in NAMED else "ours"
  return Row(f"sigma {sigma} kernel {size} {HELD[trained]}", kind=kind, mini={"": mini}, full=full)


def draw_heat(path: pathlib.Path, table: Table, measured: Measured) -> None:
  """A panel for each column, of trained kernels and of held ones: size to the right, scale upwards; the mean in a cell.

  Args:
    path: of the picture.
    table: the table; what of it is measured tells the rest.
    measured: of its rows.
  """
  columns = list(dict.fromkeys(column for numbers in measured.values() for column in numbers))
  if not columns:
    return
  figure = Figure(figsize=(6.4, 2.9 * len(columns)), dpi=150, layout="constrained")
  grid = figure.subplots(len(columns), 2, squeeze=False)
  for line, column in zip(grid, columns, strict=True):
    maps = {name: np.full((len(SIGMAS), len(SIZES)), np.nan) for name in HELD.values()}
    for name, numbers in measured.items():
      found = re.fullmatch(r"sigma ([\d.]+) kernel (\d+) (\w+)", name)
      if found and column in numbers:
        place = SIGMAS.index(float(found[1])), SIZES.index(int(found[2]))
        maps[found[3]][place] = numbers[column].mean
    both = np.concatenate([values[np.isfinite(values)] for values in maps.values()])
    low, high = both.min(), max(both.max(), both.min() + 1)
    for axes, (name, values) in zip(line, maps.items(), strict=True):
      image = axes.imshow(values, cmap="viridis", vmin=low, vmax=high, origin="lower")
      axes.set_xticks(range(len(SIZES)), [f"{size}x{size}" for size in SIZES], fontsize=7)
      axes.set_yticks(range(len(SIGMAS)), list(map(str, SIGMAS)), fontsize=7)
      axes.set_xlabel("kernel", fontsize=8)
      axes.set_ylabel(r"$\sigma$", fontsize=8)
      axes.set_title(f"{column}, {name}", fontsize=8)
      for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
          dark = value < (low + high) / 2
          axes.text(j, i, f"{value:.1f}", ha="center", va="center", fontsize=7, color="white" if dark else "black")
    figure.colorbar(image, ax=list(line), fraction=0.04, pad=0.02).ax.tick_params(labelsize=7)
  save_figure(figure, path)


TABLE = Table(
  "thesis Fig. 5.3",
  tuple(
    row(sigma, size, trained)
    for trained in (True, False)
    for sigma in SIGMAS
    for size in SIZES
    if size < 11 or sigma == 1.1
  ),
  epochs=4.0,
  picture=draw_heat,
)

if __name__ == "__main__":
  run_table(TABLE)
