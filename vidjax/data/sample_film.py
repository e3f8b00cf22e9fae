"""The frames of a film that a sampler names, decoded twice: once to count, once to keep."""

from collections.abc import Callable

import numpy as np

from vidjax.data import read_film, video_file
from vidjax.data.flow import encode_flow, grey_levels
from vidjax.data.schema import Record
from vidjax.errors import InputError


def sample_file(
  file: str, choose: Callable[[int, np.ndarray], np.ndarray], short_side: int | None
) -> tuple[np.ndarray, np.ndarray]:
  """Reads the frames of a video file that `choose` names.

  Args:
    file: path of the video.
    choose: (number of frames, their seconds from the first, `[N]`) -> 0-based numbers `[..., T]`.
    short_side: pixels to which larger frames are shrunk, aspect kept; None leaves them as they are.

  Returns:
    Their 0-based numbers `[..., T]` and the frames, uint8 `[..., T, H, W, 3]`.

  Raises:
    InputError: broken file, named in the message.
  """
  times = read_film.frame_times(file)
  numbers = choose(len(times), times)
  wanted, where = np.unique(numbers, return_inverse=True)
  images: list[np.ndarray] = []
  for number, image in enumerate(video_file.decode(file, short_side)):
    if number == wanted[len(images)]:
      images.append(image)
    if len(images) == len(wanted):
      break
  return numbers, np.stack(images)[where.reshape(numbers.shape)]


def sample_flow(
  file: str, choose: Callable[[int, np.ndarray], np.ndarray], short_side: int | None
) -> tuple[np.ndarray, np.ndarray]:
  """`sample_file` for flow images, one fewer than frames: the flow is computed and encoded as in preparation.

  Args:
    file: path of the video.
    choose: (number of flow images, seconds of the first frame of each, `[N - 1]`) -> 0-based numbers `[..., T]`.
    short_side: pixels to which larger frames are shrunk before flow is computed; None leaves them as they are.
  """
  chosen: list[np.ndarray] = []

  def ends(num_frames: int, times: np.ndarray) -> np.ndarray:
    if num_frames < 2:
      raise InputError(f"{file} has {num_frames} frame, and flow takes two")
    chosen.append(choose(num_frames - 1, times[:-1]))
    first = np.unique(chosen[0])
    return np.stack([first, first + 1])

  (first, _), frames = sample_file(file, ends, short_side)
  jpegs = encode_flow(*[[grey_levels(frame) for frame in end] for end in frames])
  numbers = chosen[0]
  video = Record(0, file, len(jpegs), 0.0, jpegs).decode(np.searchsorted(first, numbers.reshape(-1)))
  return numbers, video.reshape(*numbers.shape, *video.shape[1:])
