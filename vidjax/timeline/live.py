"""Frames of a camera or a stream, read in a thread: the newest are kept, the others counted."""

import collections
import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any, NamedTuple

from vidjax.data.video_file import Frame
from vidjax.errors import InputError

WAITING = 64
"""Frames that wait where none may be dropped: the source is then read no faster than they are used."""


class Arrived(NamedTuple):
  """A frame that was read.

  Attributes:
    frame: the frame.
    time: its own, seconds.
    at: when it was there, by `time.monotonic`.
  """

  frame: Frame
  time: float
  at: float


class Reader:
  """Reads a source in a thread, from `start` on."""

  def __init__(
    self,
    source: Callable[[], Iterable[tuple[Frame, float]]],
    keep: float | None = None,
    pace: bool = False,
    timeout: float = 10.0,
  ):
    """Reads nothing yet.

    Args:
      source: opens it, in the thread; frames and their seconds.
      keep: seconds of frames that may wait; older ones are dropped. None: the source waits, and nothing is dropped.
      pace: a frame comes no earlier after the first than its time says, as before a camera.
      timeout: seconds without a frame after which the source counts as broken off.
    """
    self.dropped = self.missed = 0
    self.stop = threading.Event()
    self._source, self._keep, self._pace, self._timeout = source, keep, pace, timeout
    self._waiting: collections.deque[Arrived] = collections.deque()
    self._changed = threading.Condition()
    self._done = False
    self._error: BaseException | None = None
    self._thread = threading.Thread(target=self._read, name="vidjax-live", daemon=True)

  def start(self) -> None:
    """Begins to read, and waits for the first frame; errors of the source are raised here."""
    self._thread.start()
    self._wait()
    if self._error is not None and not self._waiting:
      raise self._error

  def fresh(self) -> None:
    """Leaves out what waits but the newest frame, and counts dropped ones from here on; those before are `missed`."""
    if self._keep is None:
      return
    with self._changed:
      self.missed = self.dropped + max(len(self._waiting) - 1, 0)
      while len(self._waiting) > 1:
        self._waiting.popleft()
      self.dropped = 0

  def __iter__(self) -> Iterator[Arrived]:
    """Frames until the source ends or `stop` is set; then the error that ended it, if one did."""
    while True:
      self._wait()
      with self._changed:
        if self.stop.is_set() or not self._waiting:
          break
        one = self._waiting.popleft()
        self._changed.notify_all()
      yield one
    if self._error is not None and not self.stop.is_set():
      raise self._error

  def close(self) -> bool:
    """Ends the thread; False where it still waits for a source that says nothing, and ends with the process."""
    self.stop.set()
    with self._changed:
      self._changed.notify_all()
    if self._thread.is_alive():
      self._thread.join(1.0)
    return not self._thread.is_alive()

  def _wait(self) -> None:
    """Until there is a frame, or no more will come."""
    end = time.monotonic() + self._timeout
    with self._changed:
      while not (self._waiting or self._done or self.stop.is_set()):
        if time.monotonic() > end:
          self._error = InputError(f"no frame came for {self._timeout:g} s")
          self._done = True
          return
        self._changed.wait(0.1)  # short, so that signals are seen

  def _read(self) -> None:
    begin = first = 0.0
    try:
      source: Any = iter(self._source())
      with contextlib.closing(source) as frames:
        for number, (frame, own) in enumerate(frames):
          if not number:
            begin, first = time.monotonic(), own
          if self._pace and self.stop.wait(max(begin + own - first - time.monotonic(), 0)):
            return
          if not self._put(Arrived(frame, own, time.monotonic())):
            return
    except BaseException as error:  # raised where the frames are used
      self._error = error
    finally:
      with self._changed:
        self._done = True
        self._changed.notify_all()

  def _put(self, one: Arrived) -> bool:
    """Adds a frame; False where nobody reads any more."""
    with self._changed:
      if self._keep is None:
        while len(self._waiting) >= WAITING and not self.stop.is_set():
          self._changed.wait(0.1)
      self._waiting.append(one)
      while self._keep is not None and len(self._waiting) > 1 and one.time - self._waiting[0].time > self._keep:
        self._waiting.popleft()
        self.dropped += 1
      self._changed.notify_all()
      return not self.stop.is_set()


@contextlib.contextmanager
def stopped_by_signals(stop: threading.Event) -> Iterator[None]:
  """A block in which Ctrl-C and SIGTERM set `stop`; a second one acts as it did before."""
  before: dict[int, Any] = {}

  def restore() -> None:
    for number, handler in before.items():
      signal.signal(number, handler)

  def handle(number: int, frame: FrameType | None) -> None:
    stop.set()
    restore()

  if threading.current_thread() is threading.main_thread():
    before |= {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
      signal.signal(number, handle)
  try:
    yield
  finally:
    restore()
