"""Frames as H.264 with a short distance from one key frame to the next, cut into one packet a frame.

libx264 in YUV 4:2:0, without B-frames, so that packet k is frame k. Every `gop`-th packet is a key frame that needs no
other. Frame k is thus decoded from packet `k - k % gop` on, without a container, an index or a search.
"""

import collections
import fractions
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from vidjax.errors import InputError

GOP = 8
CRF = 18
PIX_FMT = "yuv420p"
_RATE = 25
"""Frames a second that x264 is told: for one shown shorter it spends fewer bits."""
_SCALER = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def even(image: np.ndarray) -> np.ndarray:
  """The image without a last odd row or column, since 4:2:0 has a colour for every two."""
  height, width = (side - side % 2 for side in image.shape[:2])
  return image[:height, :width]


def encode(images: Iterable[np.ndarray], gop: int = GOP, crf: float = CRF) -> Iterator[bytes]:
  """The packet of each image, in their order; a few images behind.

  Args:
    images: uint8 RGB `[H, W, 3]`, all of one size, with even sides.
    gop: frames from one key frame to the next.
    crf: x264's constant rate factor, 0 to 51: lower is better and larger.

  Raises:
    InputError: an image of one pixel's height or width.
  """
  encoder: Any = None
  scaler = VideoReformatter()
  for number, image in enumerate(images):
    if encoder is None:
      encoder = _encoder(image.shape[0], image.shape[1], gop, crf)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    frame = scaler.reformat(frame, format=PIX_FMT, dst_colorspace=Colorspace.ITU601, interpolation=_SCALER, threads=1)
    frame.pts = number
    yield from map(bytes, encoder.encode(frame))
  if encoder is not None:
    yield from map(bytes, encoder.encode(None))


def _encoder(height: int, width: int, gop: int, crf: float) -> VideoCodecContext:
  if not height or not width:
    raise InputError("it has frames of one pixel's height or width, which H.264 cannot hold: take --encoding=jpeg")
  encoder = av.CodecContext.create("libx264", "w")
  assert isinstance(encoder, VideoCodecContext)
  encoder.width, encoder.height, encoder.pix_fmt = width, height, PIX_FMT
  encoder.framerate, encoder.time_base = fractions.Fraction(_RATE), fractions.Fraction(1, _RATE)
  encoder.thread_count = 1  # with several, the bytes depend on their number
  # What x264 chooses of AVX-512 gave other bytes for 31 of 693 films beside busy threads, this for none, as fast.
  keys = f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0:repeat-headers=1:cpu-independent=1"
  encoder.options = {"preset": "medium", "crf": f"{crf:g}", "x264-params": keys}
  return encoder


def decode(packets: Sequence[bytes], wanted: Sequence[int], gop: int) -> list[np.ndarray]:
  """The frames of these numbers, uint8 RGB `[H, W, 3]`.

  Args:
    packets: of all frames.
    wanted: numbers of frames in ascending order, each once.
    gop: frames from one key frame to the next.

  Raises:
    InputError: packets are damaged.
  """
  decoder = av.CodecContext.create("h264", "r")
  assert isinstance(decoder, VideoCodecContext)
  decoder.thread_count = 1
  decoder.options = {"err_detect": "crccheck+explode"}
  runs: dict[int, list[int]] = collections.defaultdict(list)
  for number in wanted:
    runs[number - number % gop].append(number)
  scaler = VideoReformatter()
  images = []
  for first, numbers in runs.items():
    for number, frame in enumerate(_decode(decoder, packets[first : numbers[-1] + 1], first), first):
      if number in numbers:
        rgb = scaler.reformat(frame, format="rgb24", src_colorspace=Colorspace.ITU601, interpolation=_SCALER, threads=1)
        images.append(rgb.to_ndarray())
  return images


def _decode(decoder: VideoCodecContext, packets: Sequence[bytes], first: int) -> list[av.VideoFrame]:
  """The frame of each packet, the first of which is a key frame."""
  frames: list[av.VideoFrame] = []
  try:
    for packet in packets:
      frames += decoder.decode(av.Packet(packet))
    frames += decoder.decode(None)
    decoder.flush_buffers()
  except (FFmpegError, ValueError) as error:
    raise InputError(f"frame {first + len(frames)} cannot be decoded ({error})") from error
  corrupt = [number for number, frame in enumerate(frames, first) if frame.is_corrupt]
  if corrupt or len(frames) != len(packets) or not frames[0].key_frame:
    raise InputError(f"frame {corrupt[0] if corrupt else first + len(frames)} cannot be decoded")
  return frames
