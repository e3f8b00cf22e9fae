"""Films of scenes: each of one colour with a texture of its own, which drifts."""

import pathlib
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np

RED, GREEN, BLUE, GREY, BLACK = (220, 40, 30), (40, 200, 60), (40, 60, 220), (128, 128, 128), (0, 0, 0)


def scene(colour: Sequence[int], frames: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
  """uint8 `[frames, H, W, 3]`."""
  rng = np.random.default_rng(sum(colour))
  texture = rng.uniform(0.4, 1, (size[1] // 4, size[0] // 4, 1)).repeat(4, 0).repeat(4, 1)
  image = (texture * np.array(colour)).astype(np.uint8)
  return np.stack([np.roll(image, 2 * i, axis=1) for i in range(frames)])


def write_film(
  path: pathlib.Path, frames: np.ndarray, rate: int = 10, start: float = 0.0, codec: str = "mpeg4"
) -> pathlib.Path:
  """A film of these frames whose first is shown at `start` seconds."""
  with av.open(str(path), "w") as container:
    stream = container.add_stream(codec, rate=rate)
    stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
    stream.bit_rate = 4_000_000
    for i, frame in enumerate(frames):
      picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
      picture.time_base, picture.pts = Fraction(1, rate), i + round(start * rate)
      container.mux(stream.encode(picture))
    container.mux(stream.encode(None))
  return path


def scenes(*colours: Sequence[int], frames: int = 20) -> np.ndarray:
  """Scenes one after the other."""
  return np.concatenate([scene(colour, frames) for colour in colours])
