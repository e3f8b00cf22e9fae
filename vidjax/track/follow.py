"""`python -m vidjax.track.follow NAME WORKDIR`: the process beside a training. `vidjax.track.beside` starts it.

The first line on stdin says what the run is, the last one how it ended. What goes wrong is a line on stdout. It imports
neither JAX nor the data stack.
"""

import importlib
import itertools
import json
import math
import os
import pathlib
import sys
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

from vidjax.errors import EXIT_BAD_INPUT
from vidjax.run.metrics import kept_line
from vidjax.track.writer import About, Writer

POLL = 1.0
"""Seconds between two looks at metrics.jsonl."""
AT_ONCE = 50
"""Lines that are sent together."""
LONGEST_PAUSE = 60.0
"""Seconds between two attempts, at most."""
EXIT_UNSENT = 1
"""Exit code of a follower that was not rid of everything, and has said so."""
FOLDER = "track"
"""In a run's folder: the place and the files of its trackers."""


def load(name: str) -> Writer:
  """The writer of a tracker: of `to_NAME.py` here, or of a module of one's own by its dotted path."""
  return importlib.import_module(name if "." in name else f"vidjax.track.to_{name}").Writer()


class Place(NamedTuple):
  """How far a run was sent.

  Attributes:
    run: the tracker's id of it, "" before it has one.
    step: of the last line sent; -1 before the first.
    lines: of that step that were sent.
    pictures: those that were sent.
  """

  run: str = ""
  step: int = -1
  lines: int = 0
  pictures: tuple[str, ...] = ()


class _Line(NamedTuple):
  """A line of metrics.jsonl: its step, its number among the lines of that step, and where it ends in the file."""

  step: int
  count: int
  end: int
  numbers: dict[str, float]


class Follower:
  """Sends the lines of a run that were not sent, as often as it is told to.

  Args:
    name: of the tracker.
    writer: its writer.
    about: what the run is.
  """

  def __init__(self, name: str, writer: Writer, about: About):
    self._path = about.folder / f"{name}.json"
    self._workdir = pathlib.Path(about.workdir)
    self._writer, self._about, self._begun = writer, about, False
    self._read, self._last = 0, (-1, 0)  # bytes of metrics.jsonl, and the step and the count of the last line there
    try:
      self.place = Place(**json.loads(self._path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # none, or half of one
      self.place = Place()

  def send(self) -> None:
    """Sends what is new; raises whatever the writer raises."""
    if not self._begun:
      self.place = self.place._replace(run=self._writer.begin(self._about, self.place.run))
      self._begun = True
      self._keep(self.place)
    before = self.place
    while lines := list(itertools.islice(self._new(), AT_ONCE)):
      self._writer.numbers([(line.step, line.numbers) for line in lines])
      step, count, self._read, _ = lines[-1]
      self._last = (step, count)
      self.place = self.place._replace(step=step, lines=count)
    picture = self._workdir / "batch.png"
    if picture.exists() and picture.name not in self.place.pictures:
      self._writer.picture(max(self.place.step, 0), picture.stem, picture)
      self.place = self.place._replace(pictures=(*self.place.pictures, picture.name))
    if self.place != before and not self._writer.late:
      self._keep(self.place)

  def finish(self, end: str) -> None:
    """Sends the rest and ends the run.

    Args:
      end: "finished", "stopped" or "failed".
    """
    self.send()
    self._writer.finish(end, final_numbers(self._workdir))
    self._keep(self.place)

  def unsent(self) -> int:
    """Lines that were not sent."""
    return sum(1 for _ in self._new())

  def _new(self) -> Iterator["_Line"]:
    """The lines after the place."""
    read, (last, count) = self._read, self._last
    path = self._workdir / "metrics.jsonl"
    if not path.exists():
      return
    with path.open("rb") as file:
      file.seek(read)
      for raw in file:
        if not raw.endswith(b"\n"):  # it is being written
          return
        text = raw.decode(errors="replace")
        read += len(raw)
        if kept_line(text, math.inf):
          numbers = json.loads(text)
          step = int(numbers.pop("step"))
          last, count = step, count + 1 if step == last else 1
          if (step, count) > (self.place.step, self.place.lines):
            yield _Line(step, count, read, numbers)

  def _keep(self, place: Place) -> None:
    partial = self._path.with_suffix(".partial")
    partial.write_text(json.dumps(place._asdict()) + "\n", encoding="utf-8")
    partial.replace(self._path)


def final_numbers(workdir: pathlib.Path) -> dict[str, float]:
  """The numbers of all evaluations in a run's folder, as "final/SPLIT/NAME"."""
  found: dict[str, float] = {}
  for path in sorted((workdir / "evaluation").glob("*.json")):
    try:
      document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # half of one
      continue
    numbers = document.items() if isinstance(document, dict) else ()
    found |= {f"final/{path.stem}/{key}": float(x) for key, x in numbers if type(x) in (int, float)}
  return found


def follow(follower: Follower, ended: threading.Event, how: list[str], tell: Any) -> bool:
  """Sends a run until it ends, and then once more; returns whether all was sent. A failure is told once.

  Args:
    follower: of the run.
    ended: set when the training is over.
    how: holds the word for it then.
    tell: called with each line for the reader.
  """
  failures = 0
  while True:
    over = ended.is_set()
    try:
      follower.finish(how[-1]) if over else follower.send()
      if failures:
        tell("answers again; what it missed is sent")
      if over:
        return True
      failures = 0
    except Exception as error:  # of any kind: it is another's code and another's server
      failures += 1
      if failures == 1:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        tell(f"failed ({reason}); metrics.jsonl has all numbers" + ", and sending is tried again" * (not over))
      if over:
        return False
    ended.wait(min(POLL * 2**failures, LONGEST_PAUSE) if failures else POLL)


def main(argv: list[str]) -> int:
  """The process: its exit code is 2 where `check` fails, 1 where not all was sent, and else 0."""
  name, workdir, wait = argv[1], pathlib.Path(argv[2]), float(argv[3])
  if not wait:  # the check at launch
    try:
      load(name).check()
    except Exception as error:  # of any kind: the remedy is its own
      sys.stdout.write(f"{' '.join(str(error).split()) or type(error).__name__}\n")
      return EXIT_BAD_INPUT
    return 0
  os.nice(10)  # the training comes first
  about = json.loads(sys.stdin.readline())
  said = os.fdopen(os.dup(1), "w", encoding="utf-8")
  os.dup2(2, 1)  # what libraries print goes to the log
  ended, how = threading.Event(), ["failed"]  # of a training that is killed

  def listen() -> None:
    how.extend(filter(None, map(str.strip, sys.stdin)))
    deadline = threading.Timer(wait, give_up)
    deadline.daemon = True
    deadline.start()
    ended.set()

  def give_up() -> None:
    tell(f"did not take everything within {wait:g} s after the run's end{_later(workdir, name)}")
    os._exit(EXIT_UNSENT)

  def tell(text: str) -> None:
    try:
      said.write(f"{name} {text}\n")
      said.flush()
    except BrokenPipeError:  # nobody is left who reads it
      os.dup2(os.open(os.devnull, os.O_WRONLY), said.fileno())

  threading.Thread(target=listen, daemon=True).start()
  follower = Follower(name, load(name), About(**about, folder=workdir / FOLDER))
  sent = follow(follower, ended, how, tell)
  if not sent:
    tell(f"did not get {follower.unsent()} lines and the end of the run{_later(workdir, name)}")
  os._exit(0 if sent else EXIT_UNSENT)  # what others registered for the end of Python may wait for a server


def _later(workdir: pathlib.Path, name: str) -> str:
  return f": python -m vidjax.track --workdir={workdir} --track={name} sends the rest"


if __name__ == "__main__":
  sys.exit(main(sys.argv))
