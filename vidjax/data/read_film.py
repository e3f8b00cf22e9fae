"""Reading one film for a data set: decoded whole, cut into clips, or refused with the reason."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from vidjax.console import counted
from vidjax.data import flow, frame_folder, h264, schema, video_file
from vidjax.data.films import Film
from vidjax.data.shots import Shot, cut, packed
from vidjax.data.span import Span
from vidjax.errors import InputError

_FPS = 25.0
Pixels = video_file.Frame | frame_folder.Picture
"""A frame of a file or of a folder."""
Flow = Callable[[list[np.ndarray], list[np.ndarray]], list[bytes]]
"""`vidjax.data.flow.encode_flow`, wherever it is computed."""
Frame = TypeVar("Frame", video_file.Frame, frame_folder.Picture)


@dataclasses.dataclass(frozen=True)
class Storage:
  """How films are stored.

  Attributes:
    short_side: the short side of frames is shrunk to this.
    encoding: "jpeg" stores frames; "h264" packets of `vidjax.data.h264`, smaller and slower to sample; "video" the
      original files: slowest to sample.
    clip_seconds: films are cut into clips of this length; None keeps them whole.
    flow: store the optical flow of neighbouring frames, too.
    max_corrupt: frames of a film in which FFmpeg may conceal damage before the film is refused.
    fps: frames a second of folders of frames, which do not tell; 25 by default.
    gop: of "h264": frames from one key frame to the next.
    crf: of "h264": x264's constant rate factor.
  """

  short_side: int = 256
  encoding: str = "jpeg"
  clip_seconds: float | None = None
  flow: bool = False
  max_corrupt: int = 0
  fps: float | None = None
  gop: int = h264.GOP
  crf: float = h264.CRF


@dataclasses.dataclass(frozen=True)
class Kept:
  """What is known of a film that was read.

  Attributes:
    clips: examples it gave.
    frames: frames in them.
    stated_frames: the number its header states, 0 for none.
    corrupt: frames in which FFmpeg concealed damage.
    varies: whether the time from one frame to the next does.
    remarks: what else is worth a line in the report.
    seconds: their length.
  """

  clips: int
  frames: int
  stated_frames: int
  corrupt: int
  varies: bool
  remarks: list[str]
  seconds: float


def read(
  film: Film,
  storage: Storage,
  write: Callable[[Mapping[str, Any]], None],
  encode_flow: Flow = flow.encode_flow,
  progress: Callable[[], None] = lambda: None,
  threads: int = 0,
) -> Kept:
  """Reads a film and writes its examples one by one, the first before the last frame is decoded.

  Args:
    film: names the file.
    storage: how it is stored.
    write: takes each example.
    encode_flow: computes flow.
    progress: called after each frame.
    threads: of the decoder.

  Raises:
    InputError: the film is refused; what was written is then void.
  """
  name = film.name.encode("utf-8", "backslashreplace").decode()
  label = film.label if film.labels is None else film.labels
  _check_listed(film, name)
  if film.path.is_dir() and frame_folder.is_one(film.path):
    return _read_frames(film, name, label, storage, write, encode_flow, progress)
  info = video_file.probe(film.path, name)
  frames = video_file.read(film.path, storage.short_side, name=name, max_corrupt=storage.max_corrupt, threads=threads)
  seen = _Seen(info.fps, name, film.span)
  shots = _shots(seen.watch(frames, progress), encode_flow if storage.flow else None, _STORED[storage.encoding])
  if storage.encoding == "video" and film.span:
    raise InputError(f"{name} is a part of a film, and --encoding=video keeps whole files: take --encoding=jpeg")
  if storage.encoding == "video":
    extra = {"encoded": film.path.read_bytes(), "short_side": storage.short_side}
    write(_example(label, name, shots, info.fps, storage, extra))
    return seen.kept(1, info)
  return seen.kept(_write_clips(label, name, shots, info.fps, storage, write), info)


def _read_frames(
  film: Film,
  name: str,
  label: str | Sequence[str],
  storage: Storage,
  write: Callable[[Mapping[str, Any]], None],
  encode_flow: Flow,
  progress: Callable[[], None],
) -> Kept:
  """`read` of a folder of frames."""
  if storage.encoding == "video":
    raise InputError(f"{name} is a folder of frames, and --encoding=video keeps files: take --encoding=jpeg")
  frames = frame_folder.numbered(film.path, name)
  fps = storage.fps or _FPS
  info = video_file.VideoInfo(fps, "frames", len(frames))
  seen = _Seen(fps, name, film.span)
  pictures = frame_folder.read(frames, storage.short_side, fps, name)
  shots = _shots(seen.watch(pictures, progress), encode_flow if storage.flow else None, _STORED[storage.encoding])
  kept = seen.kept(_write_clips(label, name, shots, fps, storage, write), info)
  gaps = frame_folder.gaps(list(frames))
  return dataclasses.replace(kept, remarks=[*kept.remarks, f"frames {gaps} are missing"]) if gaps else kept


def _write_clips(
  label: str | Sequence[str],
  name: str,
  shots: Iterable[Shot],
  fps: float,
  storage: Storage,
  write: Callable[[Mapping[str, Any]], None],
) -> int:
  """Writes a film whole or cut; how many examples that is."""
  if not storage.clip_seconds:
    write(_example(label, name, shots, fps, storage))
    return 1
  number = -1
  for number, clip in enumerate(cut(shots, storage.clip_seconds, 2 if storage.flow else 1)):
    write(_example(label, f"{name}#{number:04d}", clip, fps, storage))
  return number + 1


def _check_listed(film: Film, name: str) -> None:
  """Raises an InputError for a file that a list names and that is not there."""
  if film.line and not film.path.exists():
    if film.path == pathlib.Path(film.file):
      raise InputError(f"{name} does not exist")
    home = film.path.absolute().parents[len(pathlib.Path(film.file).parts) - 1]
    hint = ", with / between folders" if "\\" in name else ""
    raise InputError(f"{name} does not exist in {home}: paths are relative to the list's folder{hint}")


def _example(
  label: str | Sequence[str],
  video_id: str,
  shots: Iterable[Shot],
  fps: float,
  storage: Storage,
  extra: Mapping[str, Any] | None = None,
) -> Mapping[str, Any]:
  """The example of a clip, its rate the average of its own times."""
  shots = list(packed(shots, storage.gop, storage.crf) if storage.encoding == "h264" else shots)
  count = len(shots)
  if storage.flow and count < 2:
    what = f"a clip of {video_id.rpartition('#')[0]}" if "#" in video_id else video_id
    raise InputError(f"{what} has {count} frame, and flow takes two: leave it out, or --flow, or cut longer clips")
  times = [shot.time - shots[0].time for shot in shots]
  rate = (count - 1) / times[-1] if times[-1] > 0 else fps
  if storage.encoding == "h264":
    extra = {"packets": [shot.jpeg for shot in shots], "gop": storage.gop}
  content = dict(extra or {"video": [shot.jpeg for shot in shots]})
  if storage.flow:
    content["flow"] = [shot.flow for shot in shots[:-1]]
  return schema.example(label, video_id, rate, count, times=times, **content)


def _shots(
  frames: Iterable[tuple[Pixels, float]], encode_flow: Flow | None, encode: Callable[[Pixels], bytes | np.ndarray]
) -> Iterator[Shot]:
  """Encodes frames, and the flow from each to the next in batches."""
  grey: list[np.ndarray] = []
  held: list[Shot] = []
  for frame, time in frames:
    jpeg = encode(frame)
    if encode_flow is None:
      yield Shot(jpeg, time)
      continue
    grey.append(flow.grey_levels(frame.image))
    held.append(Shot(jpeg, time))
    if len(held) > flow.BATCH:
      jpegs = encode_flow(grey[:-1], grey[1:])
      yield from (shot._replace(flow=jpeg) for shot, jpeg in zip(held, jpegs, strict=False))
      del grey[:-1], held[:-1]
  if encode_flow is not None and held:
    jpegs = encode_flow(grey[:-1], grey[1:]) if len(grey) > 1 else []
    yield from (shot._replace(flow=jpeg) for shot, jpeg in zip(held, [*jpegs, b""], strict=True))


def _jpeg(frame: Pixels) -> bytes:
  return frame.jpeg if isinstance(frame, frame_folder.Picture) else schema.encode_frames([frame.image])[0]


_STORED: dict[str, Callable[[Pixels], bytes | np.ndarray]] = {
  "jpeg": _jpeg,
  "h264": lambda frame: h264.even(frame.image),
  "video": lambda frame: b"",
}
"""What a shot holds of a frame."""


RESTART = 1.0
"""Seconds. A time that is further back than that is one that restarts; others are of frames out of order."""


class _Seen:
  """What passes by of a film, or of a part of it: its times, which it mends, and its damage."""

  def __init__(self, fps: float, name: str, span: Span | None = None):
    self._fps = fps
    self._name = name
    self._span = span
    self._before = 0
    self._times: list[float] = []
    self._corrupt = 0
    self._interlaced = self._untimed = 0

  def watch(
    self, frames: Iterable[Frame], progress: Callable[[], None] = lambda: None
  ) -> Iterator[tuple[Frame, float]]:
    """Frames and times; a time that is missing follows from the rate, and none is before the last.

    Times that restart, as where films were joined byte by byte, are counted on. Raises an InputError where the part
    ends after the film.
    """
    over, moved = False, 0.0
    for number, frame in enumerate(frames):
      time = frame.time if frame.time is None else frame.time + moved
      if time is None:
        if not self._fps:
          raise InputError(f"{self._name} states neither the times of its frames nor their rate")
        time = self._times[-1] + 1 / self._fps if self._times else 0.0
      if self._times and time < self._times[-1] - RESTART:
        interval = self._times[-1] - self._times[-2] if len(self._times) > 1 else 0.0
        moved += self._times[-1] + interval - time
        time = self._times[-1] + interval
      time = max([time, *self._times[-1:]])
      since = time - (self._times[0] if self._times else time)
      over = self._span is not None and self._span.over(number, since)
      if over:
        break
      self._times.append(time)
      if self._span and not self._span.begun(number, since):
        self._before += 1
        progress()
        continue
      self._corrupt += frame.corrupt
      self._interlaced += frame.interlaced
      self._untimed += frame.time is None
      progress()
      yield frame, self._times[-1]
    if self._span and not over:
      self._check_end(self._span)
    if self._span and self._times and len(self._times) == self._before:
      raise InputError(f"{self._name} holds no frame: correct the list")

  def _check_end(self, span: Span) -> None:
    """Raises an InputError where a part ends more than a frame after the film."""
    count = len(self._times)
    if not count:
      return
    length = self._times[-1] - self._times[0]
    interval = length / (count - 1) if count > 1 else 1 / (self._fps or 25)
    if span.end > count if span.in_frames else span.end > length + 2 * interval:
      there = f"{count} frames" if span.in_frames else f"{length + interval:.3f} s"
      raise InputError(f"{self._name} ends after the film, which has {there}: correct the list")

  def kept(self, clips: int, info: video_file.VideoInfo) -> Kept:
    """The summary."""
    times = self._times[self._before :]
    count = len(times)
    intervals = np.diff(times)
    remarks = []
    if info.num_streams > 1:
      remarks.append(f"the best of {info.num_streams} video streams")
    if self._corrupt:
      remarks.append(counted(self._corrupt, "damaged frame"))
    if self._interlaced:
      remarks.append(counted(self._interlaced, "frame") + " deinterlaced")
    if self._untimed:
      remarks.append(f"it states no times, and has those of {info.fps:.5g} frames a second")
    if abs(info.pixel_aspect - 1) > 0.001:
      remarks.append(f"pixels of {info.pixel_aspect:.3g}:1 made square")
    varies = rate_varies(intervals)
    length = float(intervals.sum())
    rate = (count - 1) / length if length > 0 else info.fps
    if varies:
      remarks.append(f"the frame rate varies, {rate:.3g} a second on average")
    elif info.fps and abs(info.fps / rate - 1) > 0.05:
      remarks.append(f"the header states {info.fps:.5g} frames a second, there are {rate:.3g}")
    seconds = round(count / rate if rate else 0.0, 3)
    stated = 0 if self._span else info.num_frames
    return Kept(clips, count, stated, self._corrupt, varies, remarks, seconds)


def frame_times(video: str, name: str | None = None) -> np.ndarray:
  """Seconds of all frames from the first, float64 `[N]`, as records hold them; errors as `video_file.read`.

  Args:
    video: path of the file.
    name: what errors call the file (default: its path).
  """
  times = [time for _, time in timed(video, 16, name=name)]
  return np.array(times) - times[0]


def timed(
  video: str,
  short_side: int | None = None,
  max_corrupt: int = 0,
  name: str | None = None,
  on_damage: Callable[[], None] = lambda: None,
) -> Iterator[tuple[video_file.Frame, float]]:
  """The frames of a film, each with the seconds at which it is shown; errors as `video_file.read`.

  Args:
    video: path of the file.
    short_side: larger frames are shrunk to it.
    max_corrupt: damaged frames and packets that are let through.
    name: what errors call the file (default: its path).
    on_damage: called for each damaged frame and packet that is let through.
  """
  frames = video_file.read(video, short_side, name=name, max_corrupt=max_corrupt, on_damage=on_damage)
  return times_of(frames, video_file.probe(video, name).fps, name or video)


def times_of(frames: Iterable[Frame], fps: float, name: str) -> Iterator[tuple[Frame, float]]:
  """Frames, each with the seconds at which it is shown: a missing time follows from the rate, and none goes back.

  Args:
    frames: in their order.
    fps: the rate that is stated, 0 for none.
    name: what errors call the film.

  Raises:
    InputError: there is neither a time nor a rate.
  """
  return _Seen(fps, name).watch(frames)


def rate_varies(intervals: np.ndarray) -> bool:
  """Whether over a tenth of the time lies between frames that are 1.5 times further or closer than half of them are."""
  if len(intervals) < 2 or not intervals.sum():
    return False
  middle = np.median(intervals)
  odd = (intervals > 1.5 * middle) | (intervals < middle / 1.5)
  return bool(intervals[odd].sum() > 0.1 * intervals.sum())
