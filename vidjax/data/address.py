"""Frames that no file holds: of a camera, a pipe or an address. Nothing is opened but what the name says.

An address leads nowhere else: lists of further addresses, such as HLS and DASH, are refused.
"""

import contextlib
import os
import re
import sys
import urllib.parse
from collections.abc import Iterator
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from vidjax.data import video_file
from vidjax.errors import InputError

PIPE = "-"
CAMERA = r"\d{1,3}|/dev/video\d{1,3}"
LOOK = "2000000"
"""Microseconds of a stream that FFmpeg looks at before the first frame; by itself it takes 5 s."""
PROTOCOLS = {
  "http": "http,tcp",
  "https": "https,http,httpproxy,tls,tcp",
  "rtsp": "rtsp,rtp,srtp,udp,tcp",
  "tcp": "tcp",
  "udp": "udp",
}
"""Schemes that are read, and the protocols of FFmpeg that each may use: never "file"."""


def kind(name: str) -> str:
  """ "camera", "pipe", "address" or "file", by the name alone."""
  if name == PIPE or re.fullmatch(r"pipe:\d+", name):
    return "pipe"
  if re.fullmatch(CAMERA, name):
    return "camera"
  return "address" if re.match(r"[a-zA-Z][\w+.-]+://", name) else "file"


def shown(name: str) -> str:
  """The name as it may be printed and stored: an address without user, password and query."""
  if kind(name) != "address":
    return {"pipe": "stdin" if name == PIPE else name, "camera": f"camera {name}"}.get(kind(name), name)
  try:
    parts = urllib.parse.urlsplit(name)
  except ValueError:  # such as a bracket that is not closed
    return name.partition("://")[0] + "://..."
  return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextlib.contextmanager
def open_source(name: str, timeout: float = 10.0) -> Iterator[tuple[InputContainer, VideoStream]]:
  """A camera, a pipe or an address, and its best video stream.

  Args:
    name: "0" for the first camera, "-" for stdin, or an address.
    timeout: seconds without data after which an address is given up.

  Raises:
    InputError: it is not there, is not read, or holds no video.
  """
  what, where = kind(name), shown(name)
  options: dict[str, Any] = {"timeout": (timeout, timeout)}
  common = {"analyzeduration": LOOK, "format_whitelist": ",".join(video_file.formats())}
  if what == "camera":
    options |= {"file": _camera(name), "format": "video4linux2", "options": {"analyzeduration": LOOK}}
  elif what == "pipe":
    number = "0" if name == PIPE else name.partition(":")[2]
    if sys.stdin is not None and number == "0" and sys.stdin.isatty():
      raise InputError("stdin is a terminal, not a film: pipe one into the command, as `... | ... -`")
    options |= {"file": f"pipe:{number}", "options": common | {"protocol_whitelist": "pipe"}}
  else:
    scheme = name.partition("://")[0].lower()
    if scheme not in PROTOCOLS:
      raise InputError(f"{where}: addresses of {', '.join(PROTOCOLS)} are read, not {scheme}")
    options |= {"file": name, "options": common | {"protocol_whitelist": PROTOCOLS[scheme]}}
    if scheme == "rtsp":
      options["options"] |= {"format_whitelist": f"rtsp,{common['format_whitelist']}", "rtsp_transport": "tcp"}
  try:
    opened: Any = av.open(mode="r", **options, **video_file.LENIENT)
    container: InputContainer = opened
  except (FFmpegError, UnicodeDecodeError, ValueError) as error:
    reason = error.strerror if isinstance(error, FFmpegError) else error
    raise InputError(f"{where} cannot be read as a film: {_remedy(what, reason, timeout)}") from error
  with container:
    yield container, video_file.best_stream(container, where)


def _camera(name: str) -> str:
  """The device of a camera; raises an InputError where there is none."""
  if not sys.platform.startswith("linux"):
    raise InputError(f"camera {name}: cameras are read on Linux; elsewhere pipe one into `-` by ffmpeg")
  path = f"/dev/video{name}" if name.isdigit() else name
  if not os.path.exists(path):
    found = sorted(x for x in os.listdir("/dev") if re.fullmatch(r"video\d+", x))
    there = f"there is {', '.join(found)}" if found else "there is none on this machine"
    raise InputError(f"camera {name} is not there: {path} does not exist, {there}")
  if not os.access(path, os.R_OK):
    raise InputError(f"camera {name}: {path} may not be read: join the group that owns it, often `video`")
  return path


def _remedy(what: str, reason: Any, timeout: float) -> str:
  if "Immediate exit" in str(reason):
    return f"nothing came for {timeout:g} s"
  if what == "address" and "Invalid" in str(reason):
    return f"{reason}; lists of other addresses, such as HLS, are not followed: pipe them into `-` by ffmpeg"
  return str(reason)
