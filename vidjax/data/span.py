"""The part of a film that a list names: from a start to an end, in seconds or in frames."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from vidjax.errors import InputError

PAIRS = (
  ("start", "end"),
  ("start_time", "end_time"),
  ("time_start", "time_end"),
  ("start_frame", "end_frame"),
)
"""Columns of a list that name a part; those of the last pair count frames, the others seconds."""
COLUMNS = (*(name for pair in PAIRS for name in pair), "segment")


class Span(NamedTuple):
  """A part of a film.

  Attributes:
    start: its first second from the film's first frame, or the number of its first frame, from 0 on.
    end: the second, or number of the frame, that comes after its last frame.
    in_frames: whether frames are counted.
  """

  start: float
  end: float
  in_frames: bool = False

  def __str__(self) -> str:
    """As it stands in the id of a video, "1.5-4s" or "10-40f"."""
    return f"{self.start:.12g}-{self.end:.12g}{'f' if self.in_frames else 's'}"

  def begun(self, number: int, time: float) -> bool:
    """Whether a frame is not before it.

    Args:
      number: of the frame.
      time: its seconds from the first frame; containers round to milliseconds.
    """
    return number >= self.start if self.in_frames else time + 1e-3 >= self.start

  def over(self, number: int, time: float) -> bool:
    """Whether a frame is after it.

    Args:
      number: as in `begun`.
      time: as in `begun`.
    """
    return number >= self.end if self.in_frames else time + 1e-3 >= self.end


def of_row(line: str, values: Mapping[str, Any]) -> Span | None:
  """The span that a row of a list names, None for a whole film.

  Args:
    line: the place of the row.
    values: column -> value.

  Raises:
    InputError: one end alone, something that is no number, a start before 0, or an end before the start.
  """
  there = [name for name in COLUMNS if values.get(name) not in (None, "")]
  if not there:
    return None
  if there == ["segment"]:
    given = values["segment"]
    cells = list(given) if isinstance(given, (list, tuple)) else str(given).strip("[]() ").split(",")
  else:
    pair = next((pair for pair in PAIRS if [*pair] == there), None)
    half = next((pair for pair in PAIRS if len(there) == 1 and there[0] in pair), None)
    if half:
      lacking = half[1 - half.index(there[0])]
      begin = ", 0 for the beginning of the film" * (there[0] == half[1])
      raise InputError(
        f"{line}: {there[0]} is given without {lacking}: give both{begin}, or neither for all of the film"
      )
    if pair is None:
      raise InputError(
        f"{line}: {' and '.join(there)} name a part of a film: give one pair of {', '.join(map('/'.join, PAIRS))}"
      )
    cells = [values[name] for name in pair]
  try:
    start, end = (float(cell) for cell in cells)
  except (TypeError, ValueError):
    start, end = 0.0, float("nan")
  in_frames = there[0] == "start_frame"
  whole = not in_frames or (start.is_integer() and end.is_integer())
  if not (0 <= start < end < float("inf") and whole):
    unit = "whole numbers of frames" if in_frames else "seconds"
    raise InputError(f"{line}: {' and '.join(there)} must be {unit}, the end after the start, not {cells}")
  return Span(start, end, in_frames)
