"""What is read, by its name: a file, an address, a camera, a pipe; all of it, or live."""

import contextlib
import dataclasses
import datetime
import hashlib
import pathlib
import re
import sys
from collections.abc import Iterator
from typing import Any

from vidjax.data import address, read_film, video_file
from vidjax.data.video_file import Frame
from vidjax.errors import InputError

SHORT = 0.05
"""A film at an address that is shorter than it states by more than this share, and a second, broke off."""

UNSOUGHT = (
  "if the server sends no parts of files, an MP4 must have its index in front: download it first, or copy it by ffmpeg"
  " -movflags faststart"
)
"""The remedy where not one frame comes from an http address."""


@dataclasses.dataclass(eq=False)
class Source:
  """What frames come from.

  Attributes:
    name: of a file; an address; "0" for a camera; "-" for stdin.
    live: the newest frames are kept, the others dropped.
    max_corrupt: damaged frames and packets that are let through; live, all are.
    timeout: seconds without data after which an address is given up.
    opened: container and stream of an address; others are opened when they are read.
    seconds: that an address states, None where it does not.
    fps: that a file or an address states, else 0.
    damaged: frames and packets so far.
  """

  name: str
  live: bool
  max_corrupt: int = 0
  timeout: float = 10.0
  opened: tuple[Any, Any] | None = None
  seconds: float | None = None
  fps: float = 0.0
  damaged: int = 0

  @property
  def is_file(self) -> bool:
    """Whether it can be read again."""
    return address.kind(self.name) == "file"

  @property
  def paced(self) -> bool:
    """A film that plays as before a camera, since it would come faster."""
    return self.live and (self.is_file or self.seconds is not None)

  @property
  def shown(self) -> str:
    """Its name without secrets."""
    return address.shown(self.name)

  def identity(self) -> dict[str, Any]:
    """What tells it from another: of a file its bytes, else where and until when it was read."""
    if not self.is_file:
      now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
      return {"source": self.shown, "read_until": now}
    path = pathlib.Path(self.name)
    with path.open("rb") as file:
      digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"source": self.name, "bytes": path.stat().st_size, "sha256": digest}

  def frames(self, short_side: int | None) -> Iterator[tuple[Frame, float]]:
    """Frames and their times. Live, one thread decodes: more would hold frames back.

    Args:
      short_side: larger frames are shrunk to it.

    Raises:
      InputError: it is not there, is damaged, or breaks off.
    """
    most = sys.maxsize if self.live else self.max_corrupt
    if self.is_file:
      return read_film.timed(self.name, short_side, most, on_damage=self._count)
    return self._stream(short_side, most)

  def _stream(self, short_side: int | None, most: int) -> Iterator[tuple[Frame, float]]:
    opened = self.opened and contextlib.nullcontext(self.opened)
    with opened or address.open_source(self.name, self.timeout) as (container, stream):
      threads = 1 if self.live else 0
      frames = video_file.read_stream(
        container, stream, self.shown, short_side, max_corrupt=most, threads=threads, on_damage=self._count
      )
      first = last = None
      self.fps = self.fps or video_file.stated_rate(stream)
      try:
        for frame, time in read_film.times_of(frames, self.fps, self.shown):
          first, last = (time if first is None else first), time
          yield frame, time
      except InputError as error:
        if first is None and self.name.lower().startswith("http"):
          raise InputError(f"{error}; {UNSOUGHT}") from error
        raise
    length = (last or 0.0) - (first or 0.0)
    if self.seconds and length < self.seconds - max(1.0, SHORT * self.seconds):
      raise InputError(f"{self.shown} states {self.seconds:.1f} s and ended after {length:.1f} s")
    if (self.seconds is None and re.match("rtsp:", self.name, re.IGNORECASE)) or address.kind(self.name) == "camera":
      raise InputError(f"{self.shown} ended after {length:.1f} s, as no camera does by itself")

  def _count(self) -> None:
    self.damaged += 1


def open_source(name: str, live: bool | None, max_corrupt: int, timeout: float, stack: contextlib.ExitStack) -> Source:
  """The source of a name.

  Args:
    name: of a file; an address; "0" for a camera; "-" for stdin.
    live: whether it is; None: cameras, pipes, and addresses of what states no length.
    max_corrupt: damaged frames and packets that are let through.
    timeout: seconds without data after which an address is given up.
    stack: closes an address.

  Raises:
    InputError: it is not there, or is no film.
  """
  what = address.kind(name)
  if what == "file":
    return Source(name, bool(live), max_corrupt, timeout, fps=video_file.probe(name).fps)
  if what == "camera" and live is False:
    raise InputError(f"{address.shown(name)} cannot wait: leave --nolive out")
  if what != "address":
    return Source(name, live is not False, max_corrupt, timeout)
  opened = stack.enter_context(address.open_source(name, timeout))
  seconds = _stated_seconds(*opened)
  live = seconds is None if live is None else live
  return Source(name, live, max_corrupt, timeout, opened, seconds, video_file.stated_rate(opened[1]))


def _stated_seconds(container: Any, stream: Any) -> float | None:
  if stream.duration and stream.time_base:
    return float(stream.duration * stream.time_base)
  return container.duration / 1e6 if container.duration and container.duration > 0 else None
