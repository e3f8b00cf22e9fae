"""What a tracker is to `follow`: the one contract of the files `to_NAME.py`."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol


class About(NamedTuple):
  """What a run is.

  Attributes:
    workdir: its folder.
    name: of the run.
    group: of the runs that belong together, such as the phases of a training or the trials of a sweep.
    config: dotted key -> value.
    commit: of the code, "" where that is not known.
    folder: where the tracker may keep files of its own.
  """

  workdir: str
  name: str
  group: str
  config: Mapping[str, Any]
  commit: str
  folder: pathlib.Path


class Writer(Protocol):
  """Sends a run to a tracker. Every method may raise whatever it likes: `follow` tries again.

  Attributes:
    late: what `numbers` was given is safe once `finish` has returned, and not before.
  """

  late: bool

  def check(self) -> None:
    """Raises an error with a remedy where nobody is logged in or the address is none; asks no server."""
    ...

  def begin(self, about: About, run: str) -> str:
    """Begins a run, or resumes it; returns the tracker's own id of it.

    Args:
      about: what it is.
      run: the id, "" of a run that is new.
    """
    ...

  def numbers(self, lines: Sequence[tuple[int, Mapping[str, float]]]) -> None:
    """Adds lines of `metrics.jsonl`: of each the step, and numbers by their names."""
    ...

  def picture(self, step: int, name: str, path: pathlib.Path) -> None:
    """Adds a picture.

    Args:
      step: optimizer updates done.
      name: of the picture.
      path: of the PNG.
    """
    ...

  def finish(self, end: str, final: Mapping[str, float]) -> None:
    """Ends the run and waits until all is sent.

    Args:
      end: "finished", "stopped" (it can be resumed) or "failed".
      final: numbers of its evaluations, by name.
    """
    ...
