"""A film as windows of some seconds, one every so often, and the clip that a run's sampler takes from each.

Time is that of the frames. A window holds the frames that the film shows within it: those whose time lies in it, and
the one on the screen when it begins. No more frames are held than a window has.
"""

import collections
import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from vidjax.data.batches import Views
from vidjax.errors import InputError
from vidjax.run.films import check_reads_films
from vidjax.run.opened import Run
from vidjax.types import Sampler

NEAR = 1e-3
"""Seconds. Containers round times to milliseconds."""
MOST_BYTES = 2**29
"""Of the frames of a window."""


class Window(NamedTuple):
  """A window of a film.

  Attributes:
    start: seconds from the film's first frame.
    end: the same.
    clip: uint8 `[T, H, W, C]`, as cut for the network.
    frames: it was sampled from that many.
  """

  start: float
  end: float
  clip: np.ndarray
  frames: int


@dataclasses.dataclass(frozen=True)
class Cut:
  """How a film becomes windows.

  Attributes:
    window: seconds of a window.
    every: seconds from the start of one to the next.
    sampler: chooses the frames of a clip from those of its window, by their number.
    crop: cuts one view of a frame.
  """

  window: float
  every: float
  sampler: Sampler
  crop: Views


def cut_of(run: Run, window: float, every: float) -> Cut:
  """The run's own sampling and crop.

  A window is sampled by time: as if its frames were at one rate, each showing what the film shows then. Where the rate
  is steady, that is sampling by number.

  Args:
    run: that reads frames.
    window: seconds of a window.
    every: seconds from the start of one to the next.

  Raises:
    InputError: the run reads features or flow.
  """
  check_reads_films(run)
  if "colour" not in run.recipe.stream.gives:
    name = type(run.recipe.stream).__name__
    raise InputError(f"{run.called} reads {name}, and a timeline is made of frames: name a run that reads Frames")
  sampler: Any = run.recipe.sampler
  by_frame = dataclasses.replace(sampler, by="frame") if hasattr(sampler, "by") else sampler
  return Cut(window, every, by_frame, run.crops(1))


def looped(cut: Cut, frames: int) -> int:
  """The frames that a clip spans, where a window has fewer, so that the sampler repeats some; else 0.

  Args:
    cut: whose sampler.
    frames: of a window.
  """
  sampler: Any = cut.sampler
  span = getattr(sampler, "window", sampler.clip_length) * getattr(sampler, "stride", 1)
  return span if span > frames else 0


class Windows:
  """The windows of the frames that are pushed. Window k begins `k * every` seconds after the first frame."""

  def __init__(self, cut: Cut):
    """Holds nothing yet."""
    self.cut = cut
    self.number = 0
    self._held: collections.deque[tuple[float, np.ndarray]] = collections.deque()

  def push(self, time: float, image: np.ndarray) -> Iterator[Window]:
    """Takes a frame, and yields the windows that end before it.

    Args:
      time: seconds from the first frame, not before those of the last.
      image: uint8 RGB `[H, W, 3]`.
    """
    yield from self.ended(time)
    view = self.cut.crop(image[None, None])[0, 0]
    while len(self._held) > 1 and self._held[1][0] <= self._start + NEAR:
      self._held.popleft()
    self._held.append((time, view))
    if len(self._held) * view.nbytes > MOST_BYTES:
      raise InputError(
        f"--window={self.cut.window:g}: its frames take more than {MOST_BYTES >> 20} MB, {len(self._held)} of"
        f" {view.shape[1]} x {view.shape[0]} pixels: choose a shorter window"
      )

  def ended(self, time: float) -> Iterator[Window]:
    """The windows that end at a time or before.

    Args:
      time: seconds from the first frame.
    """
    while self._held and self._start + self.cut.window <= time + NEAR:
      start, end = self._start, self._start + self.cut.window
      held = [one for one in self._held if one[0] < end - NEAR]
      first = max((i for i, one in enumerate(held) if one[0] <= start + NEAR), default=0)
      times = [one[0] - start for one in held[first:]]
      steady = (np.arange(len(times)) + 0.5) * self.cut.window / len(times)
      shown = np.maximum(np.searchsorted(times, steady, side="right") - 1, 0)
      numbers = shown[self.cut.sampler.test(len(times))[0]]
      self.number += 1
      yield Window(start, end, np.stack([held[first + number][1] for number in numbers.tolist()]), len(times))

  @property
  def _start(self) -> float:
    return self.number * self.cut.every
