"""Live frames: the newest are kept, dropped ones counted, and every end is clean."""

import os
import signal
import threading
import time

import numpy as np
import pytest

from tests.timeline.films import frames, write_film
from vidjax.data import address
from vidjax.data.augment import TestCrops
from vidjax.data.sampling import UniformSegments
from vidjax.data.video_file import Frame
from vidjax.errors import InputError
from vidjax.timeline.live import Arrived, Reader, stopped_by_signals
from vidjax.timeline.track import Track, follow_live
from vidjax.timeline.windows import Cut

IMAGE = Frame(np.zeros((2, 2, 3), np.uint8), None)


def numbered(count, error=None, wait=0.0):
  def source():
    for number in range(count):
      time.sleep(wait)
      yield IMAGE, number / 10
    if error:
      raise error

  return source


def test_without_dropping_every_frame_comes_in_order():
  reader = Reader(numbered(200))
  reader.start()
  time.sleep(0.05)
  assert [one.time for one in reader] == [number / 10 for number in range(200)]
  assert reader.dropped == 0
  assert reader.close()


def test_the_newest_are_kept_and_the_others_counted():
  reader = Reader(numbered(100), keep=0.5)
  reader.start()
  reader._thread.join(5)
  assert [one.time for one in reader] == pytest.approx([9.4, 9.5, 9.6, 9.7, 9.8, 9.9])
  assert reader.dropped == 94
  reader = Reader(numbered(100), keep=0.5)
  reader.start()
  reader._thread.join(5)
  reader.fresh()  # as after compiling
  assert [one.time for one in reader] == [9.9]
  assert reader.dropped == 0


def test_a_paced_source_takes_its_own_time():
  reader = Reader(numbered(4), keep=1.0, pace=True)
  begin = time.monotonic()
  reader.start()
  arrived = [one.at - begin for one in reader]
  assert all(at >= number / 10 - 0.01 for number, at in enumerate(arrived))
  assert len(arrived) == 4


def test_errors_come_after_the_frames_before_them():
  reader = Reader(numbered(3, InputError("it broke")))
  reader.start()
  seen = []
  with pytest.raises(InputError, match="it broke"):
    seen += [one for one in iter(reader) if seen.append(one) is None]
  assert len(seen) == 3
  with pytest.raises(InputError, match="not there"):
    Reader(numbered(0, InputError("not there"))).start()


def test_a_source_that_falls_silent_is_given_up():
  release = threading.Event()

  def silent():
    yield IMAGE, 0.0
    release.wait(20)

  reader = Reader(silent, timeout=0.2)
  reader.start()
  with pytest.raises(InputError, match=r"no frame came for 0\.2 s"):
    list(reader)
  release.set()
  reader.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_a_second_acts_as_before(number):
  before = signal.getsignal(number)
  reader = Reader(numbered(1000, wait=0.005), keep=1.0)
  with stopped_by_signals(reader.stop):
    reader.start()
    for count, _ in enumerate(reader):
      if count == 3:
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before
  assert reader.stop.is_set()
  assert reader.close()


def test_a_pipe_is_read_as_it_is_written(tmp_path):
  film = write_film(tmp_path / "a.mkv", frames("red", 24)).read_bytes()
  out, into = os.pipe()

  def write():
    with os.fdopen(into, "wb") as pipe:
      pipe.write(film)

  threading.Thread(target=write, daemon=True).start()
  with address.open_source(f"pipe:{out}") as (container, stream):
    assert sum(1 for _ in container.decode(stream)) == 24
  os.close(out)


@pytest.mark.parametrize(
  ("name", "kind", "shown"),
  [
    ("0", "camera", "camera 0"),
    ("/dev/video1", "camera", "camera /dev/video1"),
    ("-", "pipe", "stdin"),
    ("rtsp://me:secret@cam:554/live?token=secret", "address", "rtsp://cam:554/live"),
    ("HTTP://host/a.mp4", "address", "http://host/a.mp4"),
    ("http://[", "address", "http://..."),
    ("films/a.mp4", "file", "films/a.mp4"),
    ("C:\\a.mp4", "file", "C:\\a.mp4"),
    ("a:b.mp4", "file", "a:b.mp4"),
  ],
)
def test_the_form_of_a_name_says_what_it_is(name, kind, shown):
  assert address.kind(name) == kind
  assert address.shown(name) == shown


def test_windows_of_a_live_film():
  """After a gap only the newest window is scored; the last one needs no frame behind it."""
  times = [*np.arange(7) / 10, *(2.6 + np.arange(4) / 10)]
  frame = Frame(np.zeros((4, 4, 3), np.uint8), None)
  track, scored = Track(), []

  def score(clips):
    scored.append(len(clips))
    return np.full((1, 3), len(scored), np.float32)

  cut = Cut(0.5, 0.5, UniformSegments(2), TestCrops(4))
  live = list(follow_live([Arrived(frame, time, 0.0) for time in times], track, cut, score))
  assert track.starts == [0.0, 2.0, 2.5]
  assert track.skipped == 3
  assert [now.fresh for now in live] == [number in (5, 7) for number in range(11)]
  assert [None if now.scores is None else now.scores[0] for now in live] == [None] * 5 + [1] * 2 + [2] * 4
  assert scored == [1, 1, 1]
  assert len(track.latencies) == 3
  assert track.seconds == pytest.approx(3.0)
