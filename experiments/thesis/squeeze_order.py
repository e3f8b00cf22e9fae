"""What temporal squeeze pooling knows of the order of frames (thesis 3.4): an image a clip, or one a segment.

`python -m experiments.thesis.squeeze_order --out=runs/squeeze_order` on `synthetic_actions/order`, where a network that
is blind to order cannot exceed 50%. Inside a segment TSP weighs frames by their mean brightness, which says little of
their order; the images of several segments, with TSM over them, keep it.
"""

from experiments.table import Row, define_flags, run_rows
from vidjax.command import run_main

FRAMES = 24


def row(segments: int) -> Row:
  """TSP over a clip cut into so many segments."""
  length = FRAMES // segments
  sizes = [f"--config.sampler.num_segments={segments}", f"--config.sampler.frames_per_segment={length}"]
  return Row(
    f"{segments}_segments", "configs/inputs.py:tsp", [*sizes, f"--config.model.representation.frames={length}"]
  )


ROWS = [row(segments) for segments in (1, 2, 4, 8)]


def main(argv: list[str]) -> None:
  """The command."""
  run_rows(ROWS)


if __name__ == "__main__":
  define_flags(epochs=4.0)
  run_main(main)
