"""Average precision of spans at an overlap in time, as ActivityNet counts it: over all films, for each class."""

from collections.abc import Mapping, Sequence

import numpy as np

from vidjax.timeline.spans import Span

Films = Mapping[str, Sequence[Span]]
"""Name of a film -> its spans."""


def overlap(one: Span, other: Span) -> float:
  """Intersection over union of two spans in time, whatever their classes.

  Args:
    one: a span.
    other: another.
  """
  shared = min(one.end, other.end) - max(one.start, other.start)
  return max(shared, 0.0) / max(one.end - one.start + other.end - other.start - max(shared, 0.0), 1e-12)


def average_precision(found: Films, truth: Films, iou: float = 0.5) -> dict[int, float]:
  """The average precision of each class that has a true span.

  Found spans are taken by their score. Each is right where it overlaps a true span of its film and class that none
  before it has taken: the one that it overlaps most. The precision at a recall is the best at that recall or beyond.

  Args:
    found: spans with scores.
    truth: the true ones, whose scores do not count.
    iou: the least overlap.
  """
  return {
    label: _of_class(found, truth, label, iou) for label in sorted({x.label for xs in truth.values() for x in xs})
  }


def mean_average_precision(found: Films, truth: Films, iou: float = 0.5) -> float:
  """The mean of `average_precision` over the classes.

  Args:
    found: as there.
    truth: as there.
    iou: as there.
  """
  return float(np.mean([*average_precision(found, truth, iou).values()]))


def _of_class(found: Films, truth: Films, label: int, iou: float) -> float:
  left = {film: [span for span in spans if span.label == label] for film, spans in truth.items()}
  count = sum(map(len, left.values()))
  ranked = [(span, film) for film, spans in found.items() for span in spans if span.label == label]
  right: list[bool] = []
  for span, film in sorted(ranked, key=lambda pair: -pair[0].score):
    overlaps = [overlap(span, one) for one in left.get(film, [])]
    right.append(bool(overlaps) and max(overlaps) >= iou)
    if right[-1]:
      left[film].pop(int(np.argmax(overlaps)))
  hits = np.cumsum(right)
  precision = hits / np.arange(1, len(right) + 1)
  best = np.maximum.accumulate(precision[::-1])[::-1]  # at this recall or beyond
  return float(np.sum(best[np.array(right, bool)]) / count) if right else 0.0
