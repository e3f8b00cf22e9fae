"""Scores over time to spans: smoothing, two thresholds, a shortest length. Nothing here but NumPy."""

import dataclasses
from typing import NamedTuple

import numpy as np

from vidjax.errors import InputError


class Span(NamedTuple):
  """A class from a start to an end.

  Attributes:
    start: seconds from the film's first frame.
    end: the same.
    label: number of the class.
    score: mean of the smoothed scores of the class within.
  """

  start: float
  end: float
  label: int
  score: float


@dataclasses.dataclass(frozen=True)
class Rule:
  """How scores become spans.

  Attributes:
    on: a span holds a score of at least this.
    off: a span is bounded by scores below this, or by another class. What no span holds is no action.
    smooth: seconds over which scores are averaged before.
    at_least: seconds of the shortest span that is kept.
    one: one class at a time, the one with the highest score; else each class by itself.
    idle: numbers of classes that mean no action: they compete and have no spans.
    own: of each class, `on` and `off` of its own; empty where those above hold for all.
  """

  on: float = 0.5
  off: float = 0.3
  smooth: float = 1.0
  at_least: float = 1.0
  one: bool = True
  idle: tuple[int, ...] = ()
  own: tuple[tuple[float, float], ...] = ()

  def __post_init__(self):
    for on, off in ((self.on, self.off), *self.own):
      if not 0 < off <= on <= 1:
        raise InputError(f"--on={on:g} --off={off:g}: 0 < off <= on <= 1 is required")
    if not (0 <= self.smooth < np.inf and 0 <= self.at_least < np.inf):
      raise InputError(f"--smooth={self.smooth:g} --at_least={self.at_least:g}: seconds from 0 on are required")

  def of(self, label: int) -> tuple[float, float]:
    """`on` and `off` of a class."""
    return self.own[label] if self.own else (self.on, self.off)


def smoothed(times: np.ndarray, scores: np.ndarray, seconds: float) -> np.ndarray:
  """The mean over the scores at most `seconds / 2` away, float64 `[N, K]`.

  Args:
    times: float `[N]`, ascending.
    scores: `[N, K]`.
    seconds: width of the mean; 0 changes nothing.
  """
  sums = np.concatenate([np.zeros((1, scores.shape[1])), np.cumsum(scores, axis=0, dtype=np.float64)])
  reach = seconds / 2 + 1e-6
  first, last = np.searchsorted(times, times - reach), np.searchsorted(times, times + reach, side="right")
  return np.round((sums[last] - sums[first]) / (last - first)[:, None], 9)  # so that thresholds meet equal numbers


def cells(times: np.ndarray, start: float, end: float, gap: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """The time for which each score stands: up to the middle between it and its neighbours.

  Args:
    times: float `[N]`, ascending, the middles of the windows.
    start: where the first cell begins.
    end: where the last one ends.
    gap: scores further apart than this are no neighbours: each then stands for half of it.

  Returns:
    Starts `[N]`, ends `[N]`, and bool `[N]`: whether a cell touches the one before.
  """
  middles = (times[1:] + times[:-1]) / 2
  joined = np.diff(times) <= gap + 1e-6
  starts = np.concatenate([[start], np.where(joined, middles, times[1:] - gap / 2)])
  ends = np.concatenate([np.where(joined, middles, times[:-1] + gap / 2), [end]])
  return starts, ends, np.concatenate([[False], joined])


def find_spans(
  times: np.ndarray, scores: np.ndarray, rule: Rule, start: float, end: float, gap: float = np.inf
) -> list[Span]:
  """Spans by their start.

  Args:
    times: float `[N]`, ascending: seconds in the middle of each window.
    scores: `[N, K]`, 0 to 1.
    rule: how.
    start: seconds of the film's first frame.
    end: seconds at which its last frame ends.
    gap: a span does not cross scores further apart than this.
  """
  if not len(times):
    return []
  level = smoothed(times, scores, rule.smooth)
  starts, ends, joined = cells(times, start, end, gap)
  best = level.argmax(axis=1)
  found: list[Span] = []
  for label in range(level.shape[1]):
    own, (on, off) = level[:, label], rule.of(label)
    held = (own >= off) & (best == label) if rule.one else own >= off
    if label in rule.idle or not held.any():
      continue
    begins = held & ~(np.concatenate([[False], held[:-1]]) & joined)
    number = np.cumsum(begins) * held
    for run in range(1, int(begins.sum()) + 1):
      places = np.flatnonzero(number == run)
      first, last = places[0], places[-1]
      if own[places].max() >= on and ends[last] - starts[first] >= rule.at_least - 1e-6:
        found.append(Span(float(starts[first]), float(ends[last]), label, float(own[places].mean())))
  return sorted(found)
