"""A film with labels drawn into its frames, H.264 in MP4; each frame keeps its own time."""

import fractions
import functools
import pathlib
from collections.abc import Sequence
from typing import Any

import av
import cv2
import numpy as np

from vidjax.analyse.pictures import shorten
from vidjax.data.h264 import even

SMALL, LARGE = 240, 480
"""Pixels of the short side of the frames: smaller ones are enlarged, larger ones shrunk."""
_BASE = 90_000
"""Ticks of a second."""
_LETTERS = 48
"""Of a line at most, fewer where the frame is narrow."""


class LabelledFilm:
  """Writes frames one by one; used in a `with`."""

  def __init__(self, path: pathlib.Path, rate: float = 0.0, fit: bool = True):
    """Makes the file; its size is that of the first frame.

    Args:
      path: of the file.
      rate: frames a second, for how long the last frame is shown; 0 for 25.
      fit: bring the short side between SMALL and LARGE.
    """
    self._rate, self._resize = fractions.Fraction(rate or 25).limit_denominator(1001), fit
    self._container: Any = av.open(str(path), "w", format="mp4", options={"movflags": "faststart"})
    self._stream: Any = None
    self._last = -1

  def __enter__(self) -> "LabelledFilm":
    return self

  def __exit__(self, *error: object) -> None:
    if self._stream is not None and error[0] is None:
      self._container.mux(self._stream.encode(None))
    self._container.close()

  def add(self, image: np.ndarray, time: float, lines: Sequence[str] = ()) -> None:
    """Draws the lines into the lower left corner and encodes the frame.

    Args:
      image: uint8 RGB `[H, W, 3]`.
      time: seconds from the first frame.
      lines: of text.
    """
    if self._stream is None:
      image = even(_fit(image) if self._resize else image)
      options = {"crf": "23", "preset": "veryfast", "bf": "0"}  # with B-frames, times that vary give a wrong length
      self._stream = self._container.add_stream("libx264", rate=self._rate, options=options)
      self._stream.height, self._stream.width, self._stream.pix_fmt = *image.shape[:2], "yuv420p"
      self._stream.codec_context.time_base = fractions.Fraction(1, _BASE)
    size = self._stream.width, self._stream.height
    if image.shape[1::-1] != size:
      image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if image.shape[1] > size[0] else cv2.INTER_CUBIC)
    frame = av.VideoFrame.from_ndarray(draw(image, tuple(lines)), format="rgb24")
    self._last = max(self._last + 1, round(time * _BASE))
    frame.pts, frame.time_base = self._last, fractions.Fraction(1, _BASE)
    self._container.mux(self._stream.encode(frame))


def draw(image: np.ndarray, lines: tuple[str, ...]) -> np.ndarray:
  """The frame with lines of text in its lower left corner, white on a darkened box.

  Args:
    image: uint8 RGB `[H, W, 3]`; it is not changed.
    lines: of text; a long one ends in an ellipsis.
  """
  if not lines:
    return np.ascontiguousarray(image)
  height, width = image.shape[:2]
  box = _text(lines, max(height // 18, 11), width)[:height, :width]
  drawn = image.copy()
  under = drawn[height - box.shape[0] :, : box.shape[1]]
  under[:] = np.maximum(under // 3, box[..., None])
  return drawn


@functools.lru_cache(maxsize=64)
def _text(lines: tuple[str, ...], size: int, most: int) -> np.ndarray:
  """White text, uint8 `[h, w]`, in a font that comes with matplotlib; w is `most` at most, where a letter fits."""
  from matplotlib import get_data_path
  from PIL import Image, ImageDraw, ImageFont

  font = ImageFont.truetype(str(pathlib.Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)

  def fitting(line: str) -> str:
    tried = (shorten(line, letters) for letters in range(_LETTERS, 0, -1))
    return next((one for one in tried if font.getlength(one) + size <= most), "…")

  shown = [fitting(line) for line in lines]
  width = round(max(font.getlength(line) for line in shown)) + size
  row = round(1.35 * size)
  picture = Image.new("L", (width, row * len(shown) + size // 2))
  for number, line in enumerate(shown):
    ImageDraw.Draw(picture).text((size // 2, size // 4 + number * row), line, 255, font)
  return np.asarray(picture)


def _fit(image: np.ndarray) -> np.ndarray:
  height, width = image.shape[:2]
  scale = np.clip(min(height, width), SMALL, LARGE) / min(height, width)
  if max(height, width) * scale > 4096:  # of very long frames
    scale = 4096 / max(height, width)
  size = max(2, round(width * scale)), max(2, round(height * scale))
  return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
