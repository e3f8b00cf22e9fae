"""The input representations of a film as one picture, a column for each of its segments."""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax

from vidjax.analyse.representations import FRAMES, Trained, length, represent, save_representations
from vidjax.data.sample_film import sample_file
from vidjax.data.sampling import UniformSegments

SHORT_SIDE = 160
"""To which the frames are shrunk where no run says it."""


def drawer(
  normalise: Callable[[Any], jax.Array],
  trained: Mapping[str, Trained],
  short_side: int = SHORT_SIDE,
  segments: int = 4,
  frames: int = FRAMES,
  steps: int = 100,
) -> Callable[[str, pathlib.Path], None]:
  """The function that draws a film.

  Args:
    normalise: as the network's.
    trained: from `representations.trained_inputs`.
    short_side: larger frames are shrunk to it.
    segments: columns, spread over the film.
    frames: of a segment, for modules that no run has trained.
    steps: that fit modules which no run has trained.

  Returns:
    (film, path of the picture) draws it; it raises InputError where the film is broken or its frames are too small.
  """
  sampler = UniformSegments(segments, length(trained, frames))

  def draw(file: str, path: pathlib.Path) -> None:
    numbers, video = sample_file(file, lambda count, times: sampler.test(count, 1, times)[0], short_side)
    video = video.reshape(segments, -1, *video.shape[1:])
    rows = represent(video, normalise, trained, steps, frames)
    save_representations(path, rows, numbers[:: sampler.frames_per_segment], pathlib.Path(file).name)

  return draw
