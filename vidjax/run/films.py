"""Films as a run reads them: shrunk as its data set stores them, sampled and cut as in evaluation."""

import contextlib
import pathlib
from typing import Any, NamedTuple

import numpy as np

from vidjax.data.sample_film import sample_file
from vidjax.data.schema import DamagedRecord, Record
from vidjax.errors import InputError
from vidjax.run.opened import Run

SHORT_SIDE = 256
"""To which frames are shrunk where the run's data set is not there to ask: the default of `vidjax.prepare`."""


class Clip(NamedTuple):
  """A clip of a film.

  Attributes:
    clip: uint8 `[T, H, W, C]`, what the run's stream reads, as cut for the network.
    frames: uint8 `[T, H, W, 3]`, the same in colour; the first frame of each pair where the stream reads flow.
    numbers: int `[T]`, 0-based numbers of the frames in the film.
  """

  clip: np.ndarray
  frames: np.ndarray
  numbers: np.ndarray


def read_clip(run: Run, file: str, short_side: int | None = None) -> Clip:
  """The clip of a film that evaluation with one view takes.

  Args:
    run: that reads films, see `check_reads_films`.
    file: path of the film.
    short_side: to which larger frames are shrunk before they are cropped (default: `default_short_side`).

  Raises:
    InputError: broken file, named in the message.
  """
  short_side = short_side or default_short_side(run)
  stream: Any = run.recipe.stream
  numbers, video = stream.read_file(file, lambda count, times: run.recipe.sampler.test(count, 1, times)[0], short_side)
  clip = run.crops(1)(video[None])[0]
  return Clip(clip, in_colour(run, file, numbers, clip, short_side), numbers)


def in_colour(
  run: Run, file: str, numbers: np.ndarray, clip: np.ndarray, short_side: int, crops: int = 1, crop: int = 0
) -> np.ndarray:
  """The frames of a clip, uint8 `[T, H, W, 3]`: read from the film again where the clip is of flow.

  Args:
    run: that cut the clip.
    file: path of the film.
    numbers: int `[T]`, of the frames.
    clip: uint8 `[T, H, W, C]`, as cut for the network.
    short_side: to which larger frames were shrunk.
    crops: of the clip that were cut.
    crop: the number of this one.
  """
  if "colour" in run.recipe.stream.gives or clip.shape[-1] > 3:  # red, green, blue come first
    return clip[..., :3]
  _, frames = sample_file(file, lambda *_: numbers, short_side)
  return run.crops(crops)(frames[None])[crop]


def check_reads_films(run: Run) -> None:
  """Raises an InputError where a run reads what no film holds."""
  if "pixels" not in run.recipe.stream.gives:
    stream = type(run.recipe.stream).__name__
    raise InputError(f"this network reads {stream}, not films: python -m vidjax.predict takes .npy files of them")


def default_short_side(run: Run) -> int:
  """To which larger frames of films are shrunk: as the run's data set stores them, else `SHORT_SIDE`.

  It is never less than what the test crops are cut from, where the data set is not there.
  """
  return stored_short_side(run) or max(SHORT_SIDE, run.crop_sizes.get("short_side", 0))


def stored_short_side(run: Run) -> int | None:
  """The short side of the frames a run was trained on, as its data set stores them; None where that is not there.

  Films smaller than the data set was prepared for are stored as they are: the largest of a few records tells.
  """
  if "pixels" not in run.recipe.stream.gives:
    return None
  return max((record.short_side or min(record.decode([0]).shape[1:3]) for record in _records(run)), default=None)


def stored_length(run: Run) -> int | None:
  """The median number of frames of the videos a run was trained on; None where its data set is not there."""
  lengths = [record.num_frames for record in _records(run)]
  return int(np.median(lengths)) if lengths else None


def _records(run: Run) -> list[Record]:
  """A few sound records of a run's validation split, if its data set is there."""
  if not any(pathlib.Path(run.data.dir).glob(f"{run.data.name.partition('/')[0]}/*")):
    return []  # opening a synthetic data set would generate it
  records: list[Record] = []
  with contextlib.suppress(InputError):
    source = run.dataset.source(run.data.validation_split)
    for index in np.unique(np.linspace(0, len(source) - 1, 16).astype(int)):
      with contextlib.suppress(DamagedRecord):
        record = Record.parse(source[int(index)])
        if "pixels" in run.recipe.stream.gives:
          record.decode([0])
        records.append(record)
  return records
