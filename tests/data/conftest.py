"""Videos made on the spot."""

import pathlib
from collections.abc import Callable

import av
import numpy as np
import pytest


def frames_of(count: int, height: int, width: int) -> np.ndarray:
  """Frame k is grey of level 8 k + 20 with a white left upper corner: uint8 `[count, height, width, 3]`."""
  video = np.zeros((count, height, width, 3), np.uint8)
  video += (8 * np.arange(count, dtype=np.uint8) + 20)[:, None, None, None]
  video[:, : height // 4, : width // 4] = 255
  return video


@pytest.fixture
def make_video() -> Callable[..., pathlib.Path]:
  """`make_video(path, count=8, height=32, width=48, codec="libx264", rate=8)` writes a video of `frames_of`."""

  def make(path, count=8, height=32, width=48, codec="libx264", rate=8, pix_fmt="yuv420p") -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
      stream = container.add_stream(codec, rate=rate)
      stream.height, stream.width, stream.pix_fmt = height, width, pix_fmt
      for image in frames_of(count, height, width):
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
      container.mux(stream.encode(None))
    return path

  return make
