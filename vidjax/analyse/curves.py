"""Losses and accuracies of several runs over their training, in one picture (thesis Fig. 4.7)."""

import os
from collections.abc import Mapping, Sequence

import numpy as np

from vidjax.analyse.pictures import legible, save_figure
from vidjax.errors import InputError
from vidjax.run.metrics import VALIDATION

MEAN_OF = 1 / 25
"""Share of a training's lines over which its curve is a running mean; the numbers themselves stand behind it, pale."""

Lines = Sequence[Mapping[str, float]]
"""Of a run's log, see `run.metrics.read_metrics`."""


def measured_twice(runs: Mapping[str, Lines]) -> list[str]:
  """Names of what any of the runs has measured in training and in validation, losses first."""
  found: dict[str, None] = {}
  for lines in runs.values():
    names = dict.fromkeys(name for line in lines for name in line)
    found |= dict.fromkeys(name for name in names if VALIDATION + name in names)
  return sorted(found, key=lambda name: not name.startswith("loss"))


def save_curves(path: str | os.PathLike, runs: Mapping[str, Lines], names: Sequence[str] = ()) -> None:
  """Draws a panel for each number: a colour for each run, solid in training and dashed in validation.

  In training a number is that of a batch, with its augmentation and dropout.

  Args:
    path: of the picture; its ending is one of `pictures.ENDINGS`.
    runs: name -> lines of its log.
    names: of the numbers (default: `measured_twice`).

  Raises:
    InputError: there is no such number.
  """
  from matplotlib.figure import Figure

  names = names or measured_twice(runs)
  known = sorted({name.removeprefix(VALIDATION) for lines in runs.values() for line in lines for name in line})
  unknown = [name for name in names if name not in known]
  if unknown or not names:
    raise InputError(
      f"the logs have no {', '.join(unknown) or 'validation'}; they have {', '.join(known) or 'no line'}"
    )
  width = 1 if len(names) == 1 else 2
  height = -(-len(names) // width)
  figure = Figure(figsize=(4.6 * width, 3 * height + 0.3 * len(runs)), dpi=150, layout="constrained")
  grid = figure.subplots(height, width, squeeze=False)
  for axes, name in zip(grid.flat, names, strict=False):
    for number, lines in enumerate(runs.values()):
      colour = f"C{number % 10}"
      for kind, style in ((name, "-"), (VALIDATION + name, "--")):
        epochs, values = _series(lines, kind)
        marker = "o" if kind != name and len(values) < 40 else ""
        if kind == name and len(values) > 2:
          axes.plot(epochs, values, color=colour, alpha=0.25, linewidth=0.8)
          values = _smooth(values)
        axes.plot(epochs, values, style + marker, color=colour, linewidth=1.4, markersize=3)
    axes.set_title(legible(name), fontsize=9, parse_math=False)
    axes.set_xlabel("epoch", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
  for axes in grid.flat[len(names) :]:
    axes.set_visible(False)
  _legend(figure, list(runs))
  save_figure(figure, path)


def _legend(figure, runs: Sequence[str]) -> None:
  from matplotlib.lines import Line2D

  entries = [Line2D([], [], color=f"C{number % 10}", linewidth=2) for number in range(len(runs))]
  entries += [Line2D([], [], color="0.3", linestyle=style) for style in ("-", "--")]
  labels = [legible(run) for run in runs] + ["training", "validation"]
  found = figure.legend(
    entries, labels, loc="outside lower center", ncols=min(len(labels), 4), fontsize=8, frameon=False
  )
  for text in found.get_texts():
    text.set_parse_math(False)


def _series(lines: Lines, name: str) -> tuple[np.ndarray, np.ndarray]:
  """Epochs and values of a number; the epoch of a step follows from the lines that have both."""
  both = [(line["step"], line["epoch"]) for line in lines if "epoch" in line and line["step"]]
  step, epoch = both[-1] if both else (1.0, 1.0)
  found = [(line["step"] * epoch / step, line[name]) for line in lines if line.get(name) is not None]
  epochs, values = np.array(found, float).reshape(-1, 2).T
  return epochs, values


def _smooth(values: np.ndarray) -> np.ndarray:
  """A running mean of a share `MEAN_OF` of the values, of fewer at both ends."""
  half = max(round(len(values) * MEAN_OF / 2), 1)
  sums = np.concatenate([[0.0], np.cumsum(values)])
  place = np.arange(len(values))
  low, high = np.maximum(place - half, 0), np.minimum(place + half + 1, len(values))
  return (sums[high] - sums[low]) / (high - low)
