"""The scores of a film over time, in memory that does not grow with its frames: a row of scores is kept of a window."""

import collections
import dataclasses
import pathlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from vidjax.apply.sharding import make_mesh
from vidjax.data.video_file import Frame
from vidjax.errors import InputError
from vidjax.evaluate.calibration import read_calibration
from vidjax.evaluate.views import by_name, make_scorer
from vidjax.run.opened import Run
from vidjax.timeline.live import Arrived
from vidjax.timeline.windows import Cut, Window, Windows

Score = Callable[[np.ndarray], np.ndarray]
"""uint8 clips `[B, T, H, W, C]` -> the task's answers, float32 `[B, K]`."""


class Track:
  """What is known of a film so far.

  Attributes:
    starts: seconds at which each window begins.
    ends: and ends.
    rows: its scores, float32 `[K]`.
    frames: that were seen.
    sampled: the fewest frames of a window.
    reshaped: of them, those of another size than the first.
    untimed: of them, those that state no time.
    first: seconds of the first frame, as the film states them.
    latencies: of live windows: seconds from the frame that ended it to its scores.
    skipped: live windows that were not scored, since a newer one was there.
  """

  def __init__(self, fps: float = 0.0):
    """Knows nothing yet but the rate that the film states, 0 for none."""
    self.starts: list[float] = []
    self.ends: list[float] = []
    self.rows: list[np.ndarray] = []
    self.frames = self.reshaped = self.untimed = self.skipped = 0
    self.sampled = 0
    self.first = 0.0
    self.latencies: list[float] = []
    self._last, self._interval = 0.0, 1 / fps if fps else 0.0

  def see(self, frame: Frame, own: float) -> float:
    """Counts a frame; its seconds from the first.

    Args:
      frame: the frame.
      own: its time.
    """
    if not self.frames:
      self.first = own
    elif own - self.first > self._last:
      self._interval = own - self.first - self._last
    self._last = own - self.first
    self.frames += 1
    self.reshaped += frame.reshaped
    self.untimed += frame.time is None
    return self._last

  def add(self, windows: list[Window], scores: np.ndarray) -> None:
    """Keeps scores.

    Args:
      windows: B of them.
      scores: float32 `[B, K]`.
    """
    self.starts += [window.start for window in windows]
    self.ends += [window.end for window in windows]
    self.rows += list(scores)
    self.sampled = min([self.sampled or windows[0].frames, *(window.frames for window in windows)])

  @property
  def seconds(self) -> float:
    """From the first frame to the end of the last, which is shown as long as the one before."""
    return self._last + self._interval

  @property
  def times(self) -> np.ndarray:
    """Seconds in the middle of each window, `[N]`."""
    return (np.array(self.starts) + np.array(self.ends)) / 2

  @property
  def scores(self) -> np.ndarray:
    """float32 `[N, K]`."""
    return np.stack(self.rows)


def make_score(run: Run, batch: int, calibrated: bool = False) -> Score:
  """The network on batches of one size, over the local devices; smaller ones are filled up.

  Args:
    run: with its variables.
    batch: clips of a batch.
    calibrated: correct the scores by the run's `calibration.json`, see `vidjax.evaluate.calibration`.

  Raises:
    InputError: nothing was fitted.
  """
  correction = read_calibration(run.workdir or pathlib.Path(), run.step) if calibrated else None
  mesh = make_mesh(min(batch, jax.local_device_count()))
  scorer = make_scorer(run.recipe, mesh)
  variables = jax.device_put(run.variables, NamedSharding(mesh, PartitionSpec()))

  def score(clips: np.ndarray) -> np.ndarray:
    count = len(clips)
    full = np.concatenate([clips, np.repeat(clips[-1:], batch - count, axis=0)])
    answers, _ = scorer(variables, {"video": full, "mask": np.arange(batch) < count})
    scores = np.asarray(by_name(answers)["scores"], np.float32)[:count]
    if not np.isfinite(scores).all():
      raise InputError(f"{run.called}: the network's scores are not finite: choose another --checkpoint")
    return correction.apply(scores) if correction else scores

  return score


def follow_film(
  frames: Iterable[tuple[Frame, float]], track: Track, cut: Cut, score: Score, batch: int, most: float = np.inf
) -> Iterator[tuple[Frame, float]]:
  """Scores all windows of a film; yields each frame and its seconds from the first.

  Args:
    frames: in their order, each with its time.
    track: takes the scores, also those before an error of the film.
    cut: how it becomes windows.
    score: the network.
    batch: windows that go through it at once.
    most: seconds that are read.
  """
  windows, waiting = Windows(cut), []

  def take(found: Iterable[Window], end: bool = False) -> None:
    for window in found:
      waiting.append(window)
      if len(waiting) == batch:
        flush()
    if end and waiting:
      flush()

  def flush() -> None:
    track.add(waiting, score(np.stack([window.clip for window in waiting])))
    waiting.clear()

  try:
    for frame, own in frames:
      since = track.see(frame, own)
      if since >= most:
        break
      take(windows.push(since, frame.image))
      yield frame, since
  except InputError:
    take((), end=True)
    raise
  take(windows.ended(min(track.seconds, most)), end=True)


@dataclasses.dataclass(frozen=True, eq=False)
class Now:
  """What is known when a live frame comes.

  Attributes:
    frame: the frame.
    time: its seconds from the first.
    scores: float32 `[K]` of the newest window, None before the first.
    fresh: the window has just been scored.
  """

  frame: Frame
  time: float
  scores: np.ndarray | None
  fresh: bool


def follow_live(
  arrived: Iterable[Arrived], track: Track, cut: Cut, score: Score, most: float = np.inf
) -> Iterator[Now]:
  """Scores the newest window as soon as it has ended, and yields what is known at each frame.

  Args:
    arrived: frames as they come.
    track: takes the scores.
    cut: how they become windows.
    score: the network.
    most: seconds after which it ends.
  """
  windows = Windows(cut)
  scores: Any = None
  last: Arrived | None = None

  def newest(found: Iterable[Window], at: float) -> bool:
    """Scores the last of the windows that have ended; whether there was one."""
    nonlocal scores
    ended = collections.deque(enumerate(found), maxlen=1)
    if not ended:
      return False
    before, window = ended.pop()
    track.skipped += before
    scores = score(window.clip[None])[0]
    track.add([window], scores[None])
    track.latencies.append(time.monotonic() - at)
    return True

  for last in arrived:
    since = track.see(last.frame, last.time)
    fresh = newest(windows.push(since, last.frame.image), last.at)
    yield Now(last.frame, since, scores, fresh)
    if since >= most:
      return
  if last is not None:
    newest(windows.ended(track.seconds), last.at)
