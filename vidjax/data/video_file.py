"""Decoding video files of any container with PyAV: sequentially, the right way up, with errors that name the file.

Files are read from the start: seeking by arithmetic is wrong on real files, and the number of frames a header states is
often wrong too. Truncation and damage that FFmpeg notices are errors, not shorter videos. No decoder notices all
damage: most inside HEVC, Cinepak or uncompressed video decodes to wrong pixels without a word, and a Matroska, WebM or
MPEG-TS file that was cut short looks like a shorter one. Frames of a stream before its first key frame are left out.
"""

import contextlib
import dataclasses
import functools
import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import av
import av.filter
import numpy as np
from av.container import InputContainer
from av.error import BlockingIOError as NothingYet
from av.error import EOFError as NothingLeft
from av.error import FFmpegError
from av.format import ContainerFormat, Flags
from av.stream import Disposition
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from vidjax.console import counted
from vidjax.errors import InputError

MAX_PIXELS = 2**26
"""Pixels of a frame; 8K has half as many. What states more is damaged, and would fill the memory."""
MAX_SIDE = 65535
"""Pixels of a side of a JPEG."""
LISTS = ("concat", "hls", "applehttp", "dash", "webm_dash_manifest", "imf", "sdp", "vobsub", "avisynth", "lavfi")
"""FFmpeg's formats whose files name other files or addresses, which it would open, or are programs."""
LENIENT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
"""Options of `av.open`. PyAV 18 refuses titles that are not UTF-8 without this one. PyAV 19 reads them and has none."""
_ASPECTS = (1 / 8, 8)
"""Widths of a pixel in heights; what lies outside is a damaged header."""
_SCALER = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
"""swscale is 1 level too dark without the last two, where it only converts."""


@dataclasses.dataclass(frozen=True)
class VideoInfo:
  """What the header of a file states.

  Attributes:
    fps: frames per second on average, 0 where it is not stated.
    codec: name of the video codec.
    num_frames: the number of frames, 0 where it is not stated; only decoding tells the truth.
    num_streams: video streams in the file, cover pictures aside; the best is read, as the ffmpeg command chooses.
    pixel_aspect: width of a pixel in heights; frames are stretched to square pixels.
  """

  fps: float
  codec: str
  num_frames: int
  num_streams: int = 1
  pixel_aspect: float = 1.0


class Frame(NamedTuple):
  """A decoded frame.

  Attributes:
    image: uint8 RGB `[H, W, 3]`.
    time: seconds at which it is shown, None where the file does not tell.
    corrupt: FFmpeg concealed damage in it.
    interlaced: it was woven of two fields, and is deinterlaced.
    key: it is coded by itself, so that damage before it does not show in it.
    reshaped: the film had another size before, to which it was brought.
  """

  image: np.ndarray
  time: float | None
  corrupt: bool = False
  interlaced: bool = False
  key: bool = True
  reshaped: bool = False


def probe(video: str | os.PathLike | bytes, name: str | None = None) -> VideoInfo:
  """Reads the header of a file; errors as in `read`.

  Args:
    video: path or bytes of a file.
    name: what errors call the file (default: its path).
  """
  with _open(video, name) as (container, stream):
    streams = sum(not one.disposition & Disposition.attached_pic for one in container.streams.video)
    codec = stream.codec_context.codec.canonical_name
    return VideoInfo(stated_rate(stream), codec, stream.frames, streams, _pixel_aspect(stream))


def stated_rate(stream: VideoStream) -> float:
  """Frames a second, 0 where they are not stated. FFmpeg's average of formats without times is 25 in any case."""
  untimed = stream.container.format.flags & Flags.no_timestamps.value
  rates = stream.average_rate, stream.guessed_rate
  return float((rates[1] or rates[0] if untimed else rates[0] or rates[1]) or 0)


def decode(
  video: str | os.PathLike | bytes,
  short_side: int | None = None,
  rotate: bool = True,
  name: str | None = None,
  first_stream: bool = False,
) -> Iterator[np.ndarray]:
  """Yields the images of `read`, uint8 RGB `[H, W, 3]`, all of one size; errors as in `read`.

  Args:
    video: path or bytes of a file.
    short_side: frames whose short side is longer are shrunk to it; None leaves all as they are.
    rotate: turn and mirror the frames as the display matrix says.
    name: what errors call the file (default: its path).
    first_stream: read the first video stream, not the best.
  """
  return (frame.image for frame in read(video, short_side, rotate, name, first_stream=first_stream))


def read(
  video: str | os.PathLike | bytes,
  short_side: int | None = None,
  rotate: bool = True,
  name: str | None = None,
  max_corrupt: int = 0,
  threads: int = 0,
  first_stream: bool = False,
  on_damage: Callable[[], None] = lambda: None,
) -> Iterator[Frame]:
  """Yields the frames of the best video stream, all of one size.

  Interlaced frames are deinterlaced (bwdif) and pixels made square.

  Args:
    video: path or bytes of a file.
    short_side: frames whose short side is longer are shrunk to it, aspect kept; smaller ones stay as they are.
    rotate: turn and mirror the frames as the display matrix of phones and cameras asks for.
    name: what errors call the file; its path by default.
    max_corrupt: damaged frames and packets that are let through.
    threads: of the decoder, 0 for the cores.
    first_stream: read the first video stream, not the best, as data sets were made that hold no `times`.
    on_damage: called for each damaged frame and packet that is let through.

  Raises:
    InputError: missing, empty, no video but a picture or something else, without video stream, of absurd size,
      truncated or damaged, or without a single frame.
  """
  name = name or _name(video)
  with _open(video, name, first_stream) as (container, stream):
    yield from read_stream(container, stream, name, short_side, rotate, max_corrupt, threads, on_damage)


def read_stream(
  container: InputContainer,
  stream: VideoStream,
  name: str,
  short_side: int | None = None,
  rotate: bool = True,
  max_corrupt: int = 0,
  threads: int = 0,
  on_damage: Callable[[], None] = lambda: None,
) -> Iterator[Frame]:
  """`read` of what is open already, such as a camera.

  Args:
    container: that is open.
    stream: of its video.
    name: what errors call it.
    short_side: as in `read`, as the next four.
    rotate: see there.
    max_corrupt: see there.
    threads: see there.
    on_damage: see there.
  """
  count, damaged, size, stated = 0, 0, None, None
  scaler = VideoReformatter()  # one for all frames: each would start and end threads of its own
  stream.thread_type = "AUTO"
  stream.codec_context.thread_count = threads
  stream.codec_context.options = {"err_detect": "crccheck", "max_pixels": str(MAX_PIXELS)}
  aspect = _pixel_aspect(stream)

  def packets() -> Iterator[av.VideoFrame]:
    """The frames of the packets; those that cannot be decoded are counted, or end it."""
    nonlocal damaged
    for packet in container.demux(stream):
      if packet.is_corrupt:
        damaged += 1
        if damaged > max_corrupt:
          raise InputError(f"{name} is truncated or damaged: {counted(count, 'frame')} could be decoded")
        on_damage()
      try:
        yield from packet.decode()
      except FFmpegError:
        damaged += 1
        if damaged > max_corrupt:
          raise
        on_damage()

  try:
    for frame, corrupt, matrix, interlaced in _deinterlace(packets()):
      damaged += corrupt
      if damaged > max_corrupt:
        raise InputError(f"{name} is damaged: FFmpeg conceals errors in frame {count} (see --max_corrupt)")
      if corrupt:
        on_damage()
      if not size:
        _check_size(frame.width, frame.height, name)
        size = _target_size(max(1, round(frame.width * aspect)), frame.height, short_side)
        _check_size(*size, name)
        stated = frame.width, frame.height
      image = scaler.reformat(frame, *size, format="rgb24", interpolation=_SCALER, threads=1).to_ndarray()
      upright = _upright(image, matrix) if rotate else image
      yield Frame(upright, frame.time, corrupt, interlaced, frame.key_frame, (frame.width, frame.height) != stated)
      count += 1
  except InputError:
    raise
  except (FFmpegError, MemoryError, ValueError) as error:
    reason = error.strerror if isinstance(error, FFmpegError) else error
    raise InputError(f"{name} is damaged: {counted(count, 'frame')} could be decoded, then: {reason}") from error
  if not count:
    raise InputError(f"{name} holds no frame that can be decoded")


def _upright(image: np.ndarray, matrix: np.ndarray | None) -> np.ndarray:
  """The image as its display matrix, int `[3, 3]`, says: (x, y) is shown at (x, y, 1) @ matrix, to the right angle."""
  if matrix is None:
    return image
  (a, b), (c, d) = matrix[:2, :2].tolist()
  if abs(b) + abs(c) > abs(a) + abs(d):
    image, a, d = image.transpose(1, 0, 2), c, b
  return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def _matrix(frame: av.VideoFrame) -> np.ndarray | None:
  data = frame.side_data.get("DISPLAYMATRIX")
  return None if data is None else np.frombuffer(data, np.int32).reshape(3, 3)


def _deinterlace(
  frames: Iterable[av.VideoFrame],
) -> Iterator[tuple[av.VideoFrame, bool, np.ndarray | None, bool]]:
  """Frames with whether they are corrupt, their display matrix and whether they were interlaced.

  From the first interlaced frame on all go through FFmpeg's filter, which leaves progressive ones as they are.
  """
  graph, form, waiting = None, None, []
  for frame in frames:
    about = (bool(frame.is_corrupt), _matrix(frame), bool(frame.interlaced_frame))
    if graph is None and not frame.interlaced_frame:
      yield frame, *about
      continue
    if graph is None or form != (frame.width, frame.height, frame.format.name):
      yield from _pulled(graph, waiting, end=True)
      form, graph = (frame.width, frame.height, frame.format.name), av.filter.Graph()
      source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
      graph.link_nodes(source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink"))
      graph.configure()
    waiting.append(about)
    graph.push(frame)
    yield from _pulled(graph, waiting)
  yield from _pulled(graph, waiting, end=True)


def _pulled(
  graph: av.filter.Graph | None, waiting: list[tuple[bool, np.ndarray | None, bool]], end: bool = False
) -> Iterator[tuple[av.VideoFrame, bool, np.ndarray | None, bool]]:
  """What the filter has ready, each frame with the first of what waits for it."""
  if graph is None:
    return
  if end:
    graph.push(None)
  while waiting:
    try:
      frame = graph.vpull()
    except (NothingYet, NothingLeft):
      return
    yield frame, *waiting.pop(0)


@contextlib.contextmanager
def _open(
  video: str | os.PathLike | bytes, name: str | None, first_stream: bool = False
) -> Iterator[tuple[InputContainer, VideoStream]]:
  """The file and its best video stream that is not the cover picture of a song."""
  name = name or _name(video)
  size = len(video) if isinstance(video, bytes) else _size(video, name)
  if not size:
    raise InputError(f"{name} is empty (0 bytes)")
  try:  # "file:" keeps FFmpeg from reading a name with a colon as an address
    source = io.BytesIO(video) if isinstance(video, bytes) else f"file:{os.fspath(video)}"
    options = {"protocol_whitelist": "file", "format_whitelist": ",".join(formats())}
    container = av.open(source, "r", options=options, **LENIENT)
  except PermissionError:
    raise InputError(f"{name} may not be read: permission denied") from None
  except (FFmpegError, UnicodeDecodeError) as error:
    if _is_text(video):
      raise InputError(f"{name} is not a video but text, such as a list of other files") from error
    reason = error.strerror if isinstance(error, FFmpegError) else error
    raise InputError(f"{name} is not a video, or its header is damaged ({reason})") from error
  with container:
    yield container, best_stream(container, name, first_stream)


def best_stream(container: InputContainer, name: str, first_stream: bool = False) -> VideoStream:
  """The best video stream that is not the cover picture of a song.

  Args:
    container: that is open.
    name: what errors call it.
    first_stream: take the first video stream, not the best.

  Raises:
    InputError: there is none, or its codec is not known, or its frames are of absurd size.
  """
  if container.format.name.endswith("_pipe") or container.format.name == "image2":
    raise InputError(f"{name} is a picture, not a video file")
  found = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
  if found:
    known = [stream for stream in found if stream.codec_context is not None] or found
    stream = known[0] if first_stream else max(known, key=_score)
    if stream.codec_context is None:
      raise InputError(f"{name} holds video of a codec that FFmpeg does not know: convert it")
    _check_size(stream.codec_context.width, stream.codec_context.height, name)
    return stream
  kinds = sorted({stream.type or "unknown data" for stream in container.streams} - {"video"})
  if not kinds:
    raise InputError(f"{name} is truncated or damaged: it holds no stream")
  raise InputError(f"{name} holds no video, only {' and '.join(kinds)}")


@functools.cache
def formats() -> list[str]:
  """Names of the formats that are read."""
  names = []
  for name in av.formats_available - set(LISTS):
    with contextlib.suppress(ValueError):  # one that is only written
      names += [name] * (not ContainerFormat(name, "r").flags & Flags.no_file.value)  # devices, networks
  return sorted(names)


def _is_text(video: str | os.PathLike | bytes) -> bool:
  """Whether a file begins as text does."""
  if isinstance(video, bytes):
    start = video[:256]
  else:
    with open(video, "rb") as file:
      start = file.read(256)
  return all(byte >= 32 or byte in b"\t\n\r" for byte in start)


def _score(stream: VideoStream) -> int:
  """The ffmpeg command's: the largest frames, and a stream marked as the default before all but far larger ones."""
  pixels = stream.codec_context.width * stream.codec_context.height if stream.codec_context else 0
  return pixels + 5_000_000 * bool(stream.disposition & Disposition.default)


def _pixel_aspect(stream: VideoStream) -> float:
  aspect = float(stream.sample_aspect_ratio or 1)
  return aspect if _ASPECTS[0] <= aspect <= _ASPECTS[1] else 1.0


def _check_size(width: int, height: int, name: str) -> None:
  if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
    raise InputError(
      f"{name} states frames of {width} x {height} pixels: at most {MAX_SIDE} a side and {MAX_PIXELS} in all are read"
    )


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
