"""Decoding video files of any container with PyAV: sequentially, the right way up, with errors that name the file.

Files are read from the start: seeking by arithmetic is wrong on real files, and the number of frames a header states is
often wrong too. Truncation and damage that FFmpeg notices are errors, not shorter videos; a Matroska, WebM or MPEG-TS
file that was cut short looks to it like a shorter one.
"""

import contextlib
import dataclasses
import io
import os
import stat
from collections.abc import Iterator

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from vidjax.errors import InputError


@dataclasses.dataclass(frozen=True)
class VideoInfo:
  """What the header of a file states.

  Attributes:
    fps: frames per second on average, 0 where it is not stated.
    codec: name of the video codec.
    num_frames: the number of frames, 0 where it is not stated; only decoding tells the truth.
  """

  fps: float
  codec: str
  num_frames: int


def probe(video: str | os.PathLike | bytes, name: str | None = None) -> VideoInfo:
  """Reads the header of a file; arguments and errors as in `decode`."""
  with _open(video, name) as (_, stream):
    rate = stream.average_rate or stream.guessed_rate or 0
    return VideoInfo(float(rate), stream.codec_context.codec.canonical_name, stream.frames)


def decode(
  video: str | os.PathLike | bytes, short_side: int | None = None, rotate: bool = True, name: str | None = None
) -> Iterator[np.ndarray]:
  """Yields the frames of the first video stream, uint8 RGB `[H, W, 3]`, all of one size.

  Args:
    video: path or bytes of a file.
    short_side: frames whose short side is longer are shrunk to it, aspect kept; smaller ones stay as they are.
    rotate: turn the frames as the rotation flag of phones and cameras asks for.
    name: what errors call the file; its path by default.

  Raises:
    InputError: missing, empty, no video but a picture or something else, without video stream, truncated or damaged,
      or without a single frame.
  """
  count, size, name = 0, None, name or _name(video)
  with _open(video, name) as (container, stream):
    stream.thread_type = "AUTO"
    try:
      for packet in container.demux(stream):
        if packet.is_corrupt:
          raise InputError(f"{name} is truncated or damaged: {count} frames could be decoded")
        for frame in packet.decode():
          size = size or _target_size(frame.width, frame.height, short_side)
          quarter_turns = round(frame.rotation / 90) if rotate else 0
          image = frame.reformat(*size, format="rgb24", interpolation="AREA").to_ndarray()
          yield np.ascontiguousarray(np.rot90(image, quarter_turns))
          count += 1
    except FFmpegError as error:
      raise InputError(f"{name} is damaged: {count} frames could be decoded, then: {error.strerror}") from error
  if not count:
    raise InputError(f"{name} holds no frame that can be decoded")


@contextlib.contextmanager
def _open(video: str | os.PathLike | bytes, name: str | None) -> Iterator[tuple[InputContainer, VideoStream]]:
  """The file and its first video stream that is not the cover picture of a song."""
  name = name or _name(video)
  size = len(video) if isinstance(video, bytes) else _size(video, name)
  if not size:
    raise InputError(f"{name} is empty (0 bytes)")
  try:  # "file:" keeps FFmpeg from reading a name with a colon as an address
    container = av.open(io.BytesIO(video) if isinstance(video, bytes) else f"file:{os.fspath(video)}", "r")
  except PermissionError:
    raise InputError(f"{name} may not be read: permission denied") from None
  except (FFmpegError, UnicodeDecodeError) as error:
    reason = error.strerror if isinstance(error, FFmpegError) else error
    raise InputError(f"{name} is not a video, or its header is damaged ({reason})") from error
  with container:
    if container.format.name.endswith("_pipe") or container.format.name == "image2":
      raise InputError(f"{name} is a picture, not a video file")
    for stream in container.streams.video:
      if not stream.disposition & Disposition.attached_pic:
        yield container, stream
        return
    kinds = sorted({stream.type for stream in container.streams} - {"video"})
    if not kinds:
      raise InputError(f"{name} is truncated or damaged: it holds no stream")
    raise InputError(f"{name} holds no video, only {' and '.join(kinds)}")


def _size(path: str | os.PathLike, name: str) -> int:
  """Bytes of a file; raises an InputError unless it is one."""
  try:
    status = os.stat(path)
  except FileNotFoundError:
    what = "is a link to a file that does not exist" if os.path.islink(path) else "does not exist"
    raise InputError(f"{name} {what}") from None
  except PermissionError:
    raise InputError(f"{name} may not be read: permission denied") from None
  except (OSError, ValueError) as error:  # a circle of links, a name that is too long or has a NUL character in it
    raise InputError(f"{name} cannot be read ({error})") from error
  if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
    raise InputError(f"{name} is {'a folder' if stat.S_ISDIR(status.st_mode) else 'a device'}, not a video file")
  return status.st_size


def _name(video: str | os.PathLike | bytes) -> str:
  if isinstance(video, bytes):
    return f"a file of {len(video)} bytes"
  path = os.fspath(video)
  return path if path.strip() else repr(path)


def _target_size(width: int, height: int, short_side: int | None) -> tuple[int, int]:
  """Width and height after shrinking."""
  shrink = min(1.0, short_side / min(width, height)) if short_side else 1.0
  return max(1, round(width * shrink)), max(1, round(height * shrink))
