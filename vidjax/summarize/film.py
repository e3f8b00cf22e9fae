"""A film read once, frame by frame: what is kept of it are numbers, times and descriptors of some frames, no frames.

`fetch` reads it a second time for the frames that were chosen, so that the memory does not grow with the length.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from vidjax.console import counted
from vidjax.data import read_film, video_file
from vidjax.errors import InputError
from vidjax.summarize.descriptors import changes, colour_histogram, shows_nothing

Describe = Callable[[np.ndarray], np.ndarray]
"""uint8 RGB `[H, W, 3]` -> descriptor `[D]`."""


@dataclasses.dataclass(frozen=True, eq=False)
class Candidates:
  """The frames of a film that were looked at, N of them.

  Attributes:
    file: path of the film.
    numbers: int `[N]`, 0-based and ascending.
    times: float `[N]`, seconds at which they are shown.
    descriptors: float32 `[N, D]`.
    blank: bool `[N]`: frames that show nothing.
    curve: float `[N]`: the distance to the frame before; of a run, the attention score (rtsae Eq. 21).
    attention: float `[N]`, 0 to 1, of a run; else None.
    frames: of the whole film.
    seconds: from its first frame to its last.
    damaged: frames in which FFmpeg concealed damage, and packets that it could not decode. Neither these frames nor
      those up to the next one that is coded by itself are candidates.
    notes: sentences on what is odd in the film.
  """

  file: str
  numbers: np.ndarray
  times: np.ndarray
  descriptors: np.ndarray
  blank: np.ndarray
  curve: np.ndarray
  attention: np.ndarray | None
  frames: int
  seconds: float
  damaged: int
  notes: tuple[str, ...] = ()

  @property
  def shown(self) -> np.ndarray:
    """Places of the frames that show something, int `[M]`; all, where none does."""
    return np.flatnonzero(~self.blank) if not self.blank.all() else np.arange(len(self.blank))


class Watched:
  """Counts the frames of a film that pass by, and their damage.

  Frames whose picture may carry on damage before them count as corrupt.
  """

  def __init__(self, file: str, short_side: int | None, max_corrupt: int):
    """Opens nothing yet.

    Args:
      file: path of the film.
      short_side: larger frames are shrunk to it.
      max_corrupt: damaged frames and packets that are let through.
    """
    self.file = file
    self._film = read_film.timed(file, short_side, max_corrupt, on_damage=self._count_damage)
    self._first = self._last = 0.0
    self._suspect = False
    self.frames = self.damaged = self._reshaped = 0

  def __iter__(self) -> Iterator[tuple[video_file.Frame, float]]:
    """Frames and their seconds."""
    for frame, time in self._film:
      self._first, self._last = (self._first if self.frames else time), time
      self.frames += 1
      self._reshaped += frame.reshaped
      self._suspect = (self._suspect and not frame.key) or frame.corrupt
      yield frame._replace(corrupt=self._suspect), time

  def _count_damage(self) -> None:
    self.damaged += 1
    self._suspect = True

  @property
  def notes(self) -> tuple[str, ...]:
    """What is odd in the film."""
    have = counted(self._reshaped, "frame has", "frames have")
    told = f"{have} another size than the first: all are shown in its size"
    return (told,) if self._reshaped else ()

  def candidates(
    self,
    numbers: Sequence[int],
    times: Sequence[float],
    descriptors: Sequence[np.ndarray],
    blank: Sequence[bool],
    curve: np.ndarray | None = None,
    attention: np.ndarray | None = None,
  ) -> Candidates:
    """What was kept of the film.

    Args:
      numbers: of its frames.
      times: of those.
      descriptors: of those.
      blank: whether they show nothing.
      curve: of those (default: the distance to the one before).
      attention: of those.

    Raises:
      InputError: nothing was kept, since every frame is damaged.
    """
    if not numbers:
      raise InputError(
        f"{self.file} has {self.frames} frames, all of them damaged or after damage: there is none to show"
      )
    described = np.stack(descriptors)
    return Candidates(
      self.file,
      np.array(numbers),
      np.array(times),
      described,
      np.array(blank),
      changes(described) if curve is None else curve,
      attention,
      self.frames,
      self._last - self._first,
      self.damaged,
      self.notes,
    )


def scan(
  file: str,
  describe: Describe = colour_histogram,
  rate: float = 1.0,
  short_side: int | None = None,
  max_corrupt: int = 0,
) -> Candidates:
  """Describes `rate` frames a second of a film, the first frame among them.

  Args:
    file: path of the film.
    describe: makes the descriptor of a frame.
    rate: frames a second.
    short_side: larger frames are shrunk to it before.
    max_corrupt: damaged frames and packets that are let through.

  Raises:
    InputError: the file is broken, or every frame is damaged.
  """
  film = Watched(file, short_side, max_corrupt)
  numbers: list[int] = []
  times: list[float] = []
  descriptors: list[np.ndarray] = []
  blank: list[bool] = []
  first, last = None, -1
  for frame, time in film:
    first = time if first is None else first
    place = math.floor((time - first) * rate + 1e-3)  # containers round times to milliseconds
    if place > last and not frame.corrupt:
      last = place
      numbers.append(film.frames - 1)
      times.append(time)
      descriptors.append(describe(frame.image))
      blank.append(shows_nothing(frame.image))
  return film.candidates(numbers, times, descriptors, blank)


def fetch(file: str, numbers: np.ndarray, max_corrupt: int = 0) -> Iterator[np.ndarray]:
  """The frames of these numbers, uint8 RGB `[H, W, 3]`, the right way up and in full size.

  Args:
    file: path of the film.
    numbers: int `[K]`, 0-based and ascending.
    max_corrupt: damaged frames and packets that are let through.

  Raises:
    InputError: the file is broken, or has fewer frames than before.
  """
  wanted = numbers.tolist()
  for number, frame in enumerate(video_file.read(file, max_corrupt=max_corrupt)):
    if wanted[:1] == [number]:
      wanted.pop(0)
      yield frame.image
    if not wanted:
      return
  raise InputError(f"{file} has no frame {wanted[0]} when it is read again: it was changed meanwhile, try again")
