"""A timeline as a picture: scores of the most frequent classes above, spans as bars below."""

import os
from collections.abc import Sequence

import numpy as np

from vidjax.analyse.pictures import save_figure, shorten
from vidjax.timeline.spans import Rule, Span

CLASSES = 8
"""Classes that are drawn."""
POINTS = 4000
"""Of a curve at most: of a longer one, the largest score of each stretch."""


def frequent(spans: Sequence[Span], scores: np.ndarray, limit: int = CLASSES) -> list[int]:
  """The labels that have the most seconds in spans, then those with the largest scores.

  Args:
    spans: of the film.
    scores: `[N, K]`.
    limit: of labels.
  """
  seconds = np.zeros(scores.shape[1])
  for span in spans:
    seconds[span.label] += span.end - span.start
  order = np.lexsort((-scores.max(axis=0), -seconds)).tolist()
  shown = [label for label in order if seconds[label] > 0] or order[: min(3, limit)]
  return shown[:limit]


def save_timeline(
  path: str | os.PathLike,
  times: np.ndarray,
  scores: np.ndarray,
  spans: Sequence[Span],
  class_names: Sequence[str],
  seconds: float,
  rule: Rule,
  title: str,
) -> None:
  """Draws scores and spans over the film's time.

  Args:
    path: of the picture.
    times: `[N]` seconds.
    scores: `[N, K]`, smoothed.
    spans: of the film.
    class_names: K names.
    seconds: length of the film.
    rule: whose thresholds are drawn as lines, those of a class alone in its colour.
    title: of the picture.
  """
  from matplotlib import colormaps
  from matplotlib.figure import Figure

  unit, name = next((x for x in ((3600, "hours"), (60, "minutes")) if seconds > 2 * x[0]), (1, "seconds"))
  labels = frequent(spans, scores)
  names = [shorten(class_names[label], 24) for label in labels]
  figure = Figure(figsize=(11, 2.6 + 0.28 * (len(labels) + 1)), dpi=130, layout="constrained")
  above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2.0, 0.28 * (len(labels) + 1)))
  where, drawn = _thinned(times, scores[:, labels])
  for row, label in enumerate(labels):
    colour = colormaps["tab10"](row)
    marker = "." if len(where) <= 60 else ""
    above.plot(where / unit, drawn[:, row], color=colour, linewidth=1.1, marker=marker, zorder=3)
    own = [span for span in spans if span.label == label]
    bars = [(span.start / unit, (span.end - span.start) / unit) for span in own]
    below.broken_barh(bars, (row - 0.36, 0.72), facecolors=colour, edgecolors="none")
  for row, label in enumerate(labels if rule.own else labels[:1]):
    for threshold, style in zip(rule.of(label), ("--", ":"), strict=True):
      colour = colormaps["tab10"](row) if rule.own else "0.5"
      above.axhline(threshold, color=colour, linewidth=0.8, linestyle=style, zorder=1)
  above.set(ylim=(0, 1.02), ylabel="score")
  above.set_title(shorten(title, 90), loc="left", fontsize=10, parse_math=False)
  below.set(xlim=(0, max(seconds, 1e-3) / unit), xlabel=name, ylim=(len(labels) - 0.4, -0.6))
  below.set_yticks(range(len(labels)), names, fontsize=8, parse_math=False)
  below.grid(axis="x", color="0.9", zorder=0)
  below.set_axisbelow(True)
  others = len({span.label for span in spans} - set(labels))
  if others:
    below.set_xlabel(f"{name} ({others} more classes have spans)")
  save_figure(figure, path)


def _thinned(times: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """At most POINTS of a curve."""
  if len(times) <= POINTS:
    return times, scores
  starts = np.unique(np.linspace(0, len(times), POINTS, endpoint=False).astype(int))
  return times[starts], np.maximum.reduceat(scores, starts, axis=0)
