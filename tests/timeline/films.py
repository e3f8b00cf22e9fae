"""Films whose colour tells the class that the tiny run finds, with any times."""

import json
import pathlib
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np

FILES = {".lock", "labelled.mp4", "scores.csv", "spans.csv", "spans.srt", "timeline.json", "timeline.png"}
"""What a timeline's folder holds."""
COLOURS = {"red": (220, 30, 20), "green": (20, 200, 40), "blue": (20, 40, 220)}


def frames(colour: str, count: int, size: tuple[int, int] = (40, 32)) -> list[np.ndarray]:
  """Drifting noise of one colour, uint8 `[H, W, 3]` each."""
  rng = np.random.default_rng(len(colour))
  noise = rng.uniform(0.3, 1, (size[1] // 4, size[0] // 4, 1)).repeat(4, 0).repeat(4, 1)
  image = (noise * np.array(COLOURS[colour])).astype(np.uint8)
  return [np.roll(image, 2 * i, axis=1) for i in range(count)]


def write_film(
  path: pathlib.Path,
  images: Sequence[np.ndarray],
  times: Sequence[float] | None = None,
  rate: int = 8,
  turn: int = 0,
  form: str | None = None,
  **options: str,
) -> pathlib.Path:
  """A film of these frames at these seconds (default: at the rate), shown turned, with a key frame every 8."""
  with av.open(str(path), "w", form, options=options) as container:
    stream = container.add_stream("libx264", rate=rate, options={"g": "8", "bf": "0"})
    stream.width, stream.height, stream.pix_fmt = images[0].shape[1], images[0].shape[0], "yuv420p"
    stream.codec_context.time_base = Fraction(1, 1000)
    if turn:
      stream.set_display_rotation(turn)
    for i, image in enumerate(images):
      frame = av.VideoFrame.from_ndarray(image, format="rgb24")
      frame.pts, frame.time_base = round(1000 * (times[i] if times is not None else i / rate)), Fraction(1, 1000)
      container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
  return path


def report(out: pathlib.Path) -> dict[str, Any]:
  """The JSON of a timeline's folder."""
  return json.loads((out / "timeline.json").read_text())
