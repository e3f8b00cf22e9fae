"""Decoding video files of any container with PyAV: sequentially, the right way up, with errors that name the file.

Files are read from the start: seeking by arithmetic is wrong on real files, and the number of frames a header states is
often wrong too. Truncation and damage in the middle are errors, not shorter videos.
"""

import dataclasses
import io
import os
from collections.abc import Iterator

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError

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
  with _open(video, name) as container:
    stream = container.streams.video[0]
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
    InputError: missing, empty, not a video, without video stream, truncated or damaged, or without a single frame.
  """
  count, size, name = 0, None, name or _name(video)
  with _open(video, name) as container:
    stream = container.streams.video[0]
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


def _open(video: str | os.PathLike | bytes, name: str | None) -> InputContainer:
  name = name or _name(video)
  if len(video) == 0 if isinstance(video, bytes) else os.path.isfile(video) and os.path.getsize(video) == 0:
    raise InputError(f"{name} is empty (0 bytes)")
  try:
    container = av.open(io.BytesIO(video) if isinstance(video, bytes) else os.fspath(video), "r")
  except FileNotFoundError:
    raise InputError(f"{name} does not exist") from None
  except IsADirectoryError:
    raise InputError(f"{name} is a folder, not a video file") from None
  except PermissionError:
    raise InputError(f"{name} may not be read: permission denied") from None
  except FFmpegError as error:
    raise InputError(f"{name} is not a video, or its header is damaged ({error.strerror})") from error
  if not container.streams.video:
    kinds = sorted({stream.type for stream in container.streams})
    container.close()
    if not kinds:
      raise InputError(f"{name} is truncated or damaged: it holds no stream")
    raise InputError(f"{name} holds no video, only {' and '.join(kinds)}")
  return container


def _name(video: str | os.PathLike | bytes) -> str:
  return f"a file of {len(video)} bytes" if isinstance(video, bytes) else os.fspath(video)


def _target_size(width: int, height: int, short_side: int | None) -> tuple[int, int]:
  """Width and height after shrinking."""
  shrink = min(1.0, short_side / min(width, height)) if short_side else 1.0
  return max(1, round(width * shrink)), max(1, round(height * shrink))
