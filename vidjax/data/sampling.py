"""Which frames of a video make a clip: uniform segments or a dense window (thesis 3.6.1 and 5.5.1).

Frame numbers are 0-based. A sampler draws at random in training and is fixed in tests; any video of at least one frame
gives a full clip.
"""

import dataclasses
from typing import Literal

import numpy as np

from vidjax.bounds import Count
from vidjax.checks import check_fields
from vidjax.errors import ConfigError, InputError


@dataclasses.dataclass(frozen=True)
class UniformSegments:
  """The video is divided evenly into S segments and each gives T consecutive frames (TSN, thesis 3.6.1).

  A segment holds the positions at which its run of T frames may start; training draws one of them, tests take the
  middle. A video shorter than the clip repeats frames in order, and a run that reaches the end repeats the last frame.

  Attributes:
    num_segments: S.
    frames_per_segment: T.
    by: "frame" divides the frames; "time" the seconds, where the frame rate varies: the film is sampled as if it had as
      many frames at one rate, each showing what the film shows then. The record must hold `times`.
    rule: "even" divides the whole video. "released" divides as TSN's and BQN's code does in training: segments of a
      whole number of frames, so the remainder at the end is never drawn; where a segment has less than one frame the
      runs start at sorted random positions, and in videos of at most S frames all at frame 0. Tests are the same.
  """

  num_segments: Count = 8
  frames_per_segment: Count = 1
  rule: Literal["even", "released"] = "even"
  by: Literal["frame", "time"] = "frame"

  def __post_init__(self):
    check_fields(self)

  @property
  def clip_length(self) -> int:
    """Frames in a clip, S * T."""
    return self.num_segments * self.frames_per_segment

  def train(self, num_frames: int, rng: np.random.Generator, times: np.ndarray | None = None) -> np.ndarray:
    """Frame numbers `[S * T]` int64 of a random clip, segment by segment, ascending from start to start."""
    starts = self._num_starts(num_frames)
    draws = rng.random(self.num_segments)  # rng.integers takes six times as long
    if self.rule == "released" and starts < self.num_segments:
      position = np.sort(draws) * starts if num_frames > self.num_segments else 0 * draws
    else:
      if self.rule == "released":
        starts -= starts % self.num_segments
      position = (np.arange(self.num_segments) + draws) * (starts / self.num_segments)
    starts = np.minimum(position.astype(np.int64), starts - 1)  # a sum may round up to the end
    return _shown(self, self._runs(starts, num_frames), num_frames, times)

  def test(self, num_frames: int, clips: int = 1, times: np.ndarray | None = None) -> np.ndarray:
    """Frame numbers `[clips, S * T]` int64: one clip in the middle of the segments, more clips evenly around it.

    Two clips are the middle and the first frame of every segment ("twice sampling" of TSM).
    """
    starts = self._num_starts(num_frames)
    shift = (clips - 2 * np.arange(clips)) % (2 * clips)  # position within a segment, in 1 / (2 clips) of it
    position = 2 * clips * np.arange(self.num_segments) + shift[:, None]
    runs = self._runs(starts * position // (2 * clips * self.num_segments), num_frames)
    return _shown(self, runs, num_frames, times)

  def _num_starts(self, num_frames: int) -> int:
    _check_num_frames(num_frames)
    return max(num_frames - self.frames_per_segment + 1, 1)

  def _runs(self, starts: np.ndarray, num_frames: int) -> np.ndarray:
    if self.frames_per_segment == 1:
      return starts
    frames = starts[..., None] + np.arange(self.frames_per_segment)
    return np.minimum(frames, num_frames - 1).reshape(*starts.shape[:-1], self.clip_length)


@dataclasses.dataclass(frozen=True)
class Dense:
  """T frames at a fixed stride from one window of the video (I3D, non-local nets; thesis 3.6.1 for Kinetics).

  A video shorter than the window is looped, as I3D and TSM do. `Dense(8, 8)` is TSM's dense sampling of 8 frames out
  of 64; `Dense(24, 1)` reads 24 consecutive frames, the S x T of the thesis.

  Attributes:
    num_frames: T.
    stride: frames from one to the next.
    by: as in `UniformSegments`.
    rule: "stride" as said. "spread" spreads the frames evenly from the first to the last frame of a window of T *
      stride, and a shorter video repeats its last frame, as SlowFast's (X3D's) and TimeSformer's released code does.
  """

  num_frames: Count = 8
  stride: Count = 8
  by: Literal["frame", "time"] = "frame"
  rule: Literal["stride", "spread"] = "stride"

  def __post_init__(self):
    check_fields(self)

  @property
  def clip_length(self) -> int:
    """Frames in a clip, T."""
    return self.num_frames

  def train(self, num_frames: int, rng: np.random.Generator, times: np.ndarray | None = None) -> np.ndarray:
    """Frame numbers `[T]` int64 of a window at a random position."""
    return _shown(self, self._window(rng.integers(self._num_starts(num_frames)), num_frames), num_frames, times)

  def test(self, num_frames: int, clips: int = 1, times: np.ndarray | None = None) -> np.ndarray:
    """Frame numbers `[clips, T]` int64: the middle window, or several spread from the first to the last one."""
    last = self._num_starts(num_frames) - 1
    starts = np.linspace(0, last, clips, dtype=np.int64) if clips > 1 else np.array([last // 2])
    return _shown(self, self._window(starts, num_frames), num_frames, times)

  def _num_starts(self, num_frames: int) -> int:
    _check_num_frames(num_frames)
    return max(num_frames - self.num_frames * self.stride + 1, 1)

  def _window(self, start: np.ndarray | np.integer, num_frames: int) -> np.ndarray:
    starts, last = np.asarray(start)[..., None], self.num_frames * self.stride - 1
    if self.rule == "spread":
      return np.minimum(starts + np.linspace(0, last, self.num_frames).astype(np.int64), num_frames - 1)
    return (starts + self.stride * np.arange(self.num_frames)) % num_frames


@dataclasses.dataclass(frozen=True)
class DenseSegments:
  """S runs of T consecutive frames at even distances in one window of the video (BQN on Kinetics, thesis 5.5.1).

  Runs start every `window // S` frames of the window: of 64 frames, the window of the non-local nets that the thesis
  cites, 16 runs start every 4 and 24 every 2. `window=3 * S` with T = 3 reads consecutive frames, as the last released
  BQN code does. In a video shorter than the window the starts are looped, and a run that reaches the end repeats the
  last frame.

  Attributes:
    num_segments: S.
    frames_per_segment: T.
    window: in frames, at least S.
    by: as in `UniformSegments`.
  """

  num_segments: Count = 16
  frames_per_segment: Count = 3
  window: Count = 64
  by: Literal["frame", "time"] = "frame"

  def __post_init__(self):
    check_fields(self)
    if self.window < self.num_segments:
      raise ConfigError(f"DenseSegments: window={self.window} has fewer frames than num_segments={self.num_segments}")

  @property
  def clip_length(self) -> int:
    """Frames in a clip, S * T."""
    return self.num_segments * self.frames_per_segment

  def train(self, num_frames: int, rng: np.random.Generator, times: np.ndarray | None = None) -> np.ndarray:
    """Frame numbers `[S * T]` int64 of a window at a random position."""
    return _shown(self, self._runs(rng.integers(self._num_starts(num_frames)), num_frames), num_frames, times)

  def test(self, num_frames: int, clips: int = 1, times: np.ndarray | None = None) -> np.ndarray:
    """Frame numbers `[clips, S * T]` int64: the middle window, or several spread from the first to the last one."""
    last = self._num_starts(num_frames) - 1
    starts = np.linspace(0, last, clips, dtype=np.int64) if clips > 1 else np.array([last // 2])
    return _shown(self, self._runs(starts, num_frames), num_frames, times)

  def _num_starts(self, num_frames: int) -> int:
    _check_num_frames(num_frames)
    return max(num_frames - self.window + 1, 1)

  def _runs(self, start: np.ndarray | np.integer, num_frames: int) -> np.ndarray:
    start = np.asarray(start)[..., None]
    starts = (start + self.window // self.num_segments * np.arange(self.num_segments)) % num_frames
    frames = np.minimum(starts[..., None] + np.arange(self.frames_per_segment), num_frames - 1)
    return frames.reshape(*start.shape[:-1], self.clip_length)


def _shown(
  sampler: UniformSegments | Dense | DenseSegments, numbers: np.ndarray, num_frames: int, times: np.ndarray | None
) -> np.ndarray:
  """The frames, by number, that a film shows where one of a steady rate would show the frames `numbers`.

  Args:
    sampler: says whether it samples by time.
    numbers: int64 `[...]`.
    num_frames: frames of the film.
    times: `[num_frames]` seconds of its frames from the first, ascending.
  """
  if sampler.by == "frame":
    return numbers
  if times is None:
    raise InputError("the records hold no times of frames, by which to sample: prepare them again, or set by='frame'")
  interval = (times[-1] - times[0]) / max(num_frames - 1, 1)
  wanted = times[0] + (numbers + 0.5) * interval  # half a frame later, since containers round times
  return np.maximum(np.searchsorted(times, wanted, side="right") - 1, 0)


def _check_num_frames(num_frames: int) -> None:
  if num_frames < 1:
    raise InputError(f"a video of {num_frames} frames cannot be sampled: leave it out of the data set")
