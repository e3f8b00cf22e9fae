"""What training tells: `metrics.jsonl`, TensorBoard, and a progress bar with the share of time data was waited for."""

import datetime
import json
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from vidjax import console
from vidjax.files import write_text
from vidjax.run.metrics import is_validation, kept_line


class MetricsLog:
  """Writes named numbers of a run to `metrics.jsonl` and TensorBoard; a context manager.

  Args:
    workdir: the run's folder.
    step: where training resumes; lines of later steps, which will come again, are dropped.
    active: False in all processes but the one that writes.
    validated: False where the validation after that step comes again, too.
  """

  def __init__(self, workdir: str | pathlib.Path, step: int = 0, active: bool = True, validated: bool = True):
    self._file = self._board = None
    if not active:
      return
    from tensorboardX import SummaryWriter

    path = pathlib.Path(workdir) / "metrics.jsonl"
    if path.exists():
      text = path.read_text(encoding="utf-8", errors="replace")  # a damaged line is none of JSON, and goes
      kept = [line for line in text.splitlines(keepends=True) if kept_line(line, step)]
      kept = [line for line in kept if validated or not is_validation(line, step)]
      write_text(path, "".join(kept))
    self._file = path.open("a", buffering=1)
    self._board = SummaryWriter(str(workdir), purge_step=step + 1 if step else None)

  def write(self, step: int, numbers: Mapping[str, float]) -> None:
    """Adds one line; TensorBoard gets every number under its name.

    Args:
      step: optimizer updates done.
      numbers: floats by name, such as "loss/cross_entropy".
    """
    if self._file is None or self._board is None:
      return
    self._file.write(json.dumps({"step": step, **numbers}) + "\n")
    for name, value in numbers.items():
      self._board.add_scalar(name, value, step)
    self._board.flush()

  def picture(self, step: int, name: str, picture: np.ndarray) -> None:
    """Shows a picture in TensorBoard.

    Args:
      step: optimizer updates done.
      name: of the picture.
      picture: uint8 `[H, W, 3]`.
    """
    if self._board is not None:
      self._board.add_image(name, picture, step, dataformats="HWC")
      self._board.flush()

  def __enter__(self) -> "MetricsLog":
    return self

  def __exit__(self, *_: Any) -> None:
    if self._file is not None and self._board is not None:
      self._file.close()
      self._board.close()


class Progress:
  """A bar with the time left on a terminal, a line now and then elsewhere; a context manager.

  The first step, which compiles, tells nothing of the time left: that is reckoned from its end on.

  Args:
    total: steps in all.
    done: steps done before.
    active: False prints nothing.
  """

  def __init__(self, total: int, done: int = 0, active: bool = True):
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    self._total, self._active = total, active
    self._console = console.screen()
    self._live = active and self._console.is_terminal
    self._done = done
    self._first: tuple[int, float] | None = None
    columns = (TextColumn("step"), MofNCompleteColumn(), BarColumn(None), TimeElapsedColumn(), TextColumn("left"))
    columns += (TextColumn("{task.fields[left]}"), TextColumn("{task.fields[note]}"))
    self._bar = Bar(*columns, console=self._console, disable=not self._live)
    self._task = self._bar.add_task("train", total=total, completed=done, left="?", note="compiling the first step")

  def step(self, step: int) -> None:
    """Moves the bar."""
    left = self._left(step)
    self._bar.update(self._task, completed=step, left="?" if left is None else datetime.timedelta(seconds=round(left)))

  def note(self, step: int, text: str) -> None:
    """Shows the newest numbers beside the bar, or as a line with the time left where there is no terminal.

    Args:
      step: steps done.
      text: the numbers, in one line.
    """
    self.step(step)
    self._bar.update(self._task, note=text)
    left = self._left(step)
    line = f"step {step}/{self._total}  {text}" + ("" if left is None else f"  left {left:.0f} s")
    if self._active and not self._live:
      console.say(line)
    elif self._active:
      console.note(line)

  def _left(self, step: int) -> float | None:
    """Seconds left by the mean time of the steps after the first one; None before there are any."""
    now = time.monotonic()
    if self._first is None:
      self._first = step, now
    first, since = self._first
    return (now - since) / (step - first) * (self._total - step) if step > first else None

  def say(self, text: str) -> None:
    """Prints a line above the bar."""
    if self._active:
      self._bar.console.print(console.legible(text), markup=False, highlight=False, soft_wrap=True)
      console.note(text)

  def __enter__(self) -> "Progress":
    self._bar.start()
    if self._active and not self._live and self._done < self._total:
      console.say(f"step {self._done}/{self._total}  compiling the first step")
    return self

  def __exit__(self, *_: Any) -> None:
    self._bar.stop()
