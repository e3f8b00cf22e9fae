"""Processes that read films: crashes, hangs and floods of memory cost one film, and none outlives its parent."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from vidjax.data import workers
from vidjax.data.folder import Film
from vidjax.data.read_film import Storage
from vidjax.data.workers import Workers, spooled
from vidjax.errors import InputError
from vidjax.prepare.folder import prepare_folder

BAD_DECODER = """
import sys; sys.path[:] = sys.argv[3:]
import os, time
from vidjax.data import workers
import numpy as np
good = workers.read
def read(film, *rest):
  what = film.path.stem
  if what == "crash":
    os.kill(os.getpid(), 11)
  if what == "hang":
    time.sleep(1000)
  if what == "flood":
    np.ones(10 * 2**30, np.uint8)
  if what == "bug":
    raise KeyError("no such thing")
  return good(film, *rest)
workers.read = read
workers.serve(*map(int, sys.argv[1:3]))
"""


def test_a_bad_file_is_its_own_refusal(tmp_path, make_video, monkeypatch):
  monkeypatch.setattr(workers, "_START", BAD_DECODER)
  for name in ("crash", "hang", "flood", "bug", "good", "fine"):
    make_video(tmp_path / "videos" / "walk" / f"{name}.mp4", count=8 + len(name))
  report = prepare_folder(tmp_path / "videos", "mine", tmp_path, fractions={"train": 1.0}, timeout=1.5)
  assert sorted(report.refused) == [
    "walk/bug.mp4 cannot be read (KeyError: 'no such thing')",
    "walk/crash.mp4 is damaged: the decoder crashed (SIGSEGV)",
    "walk/flood.mp4 needs more than 4 GiB of memory",
    "walk/hang.mp4 is damaged: the decoder gave no frame for 1.5 s (see --timeout)",
  ]
  assert sorted(entry["file"] for entry in report.kept) == ["walk/fine.mp4", "walk/good.mp4"]


def test_films_are_spooled_clip_by_clip(tmp_path, make_video):
  path, spool = make_video(tmp_path / "a.mp4", count=20), tmp_path / "spool"
  with Workers() as processes:
    kept = processes.read(Film(path, "a.mp4", "walk"), Storage(clip_seconds=1), spool)
  assert (kept.clips, kept.frames) == (3, 20)
  clips = list(spooled(spool))
  assert [(clip["video_id"], clip["num_frames"]) for clip in clips] == [
    ("a.mp4#0000", 8),
    ("a.mp4#0001", 8),
    ("a.mp4#0002", 4),
  ]
  np.testing.assert_allclose(clips[2]["times"], [0, 0.125, 0.25, 0.375])
  assert not spool.exists()


def test_a_spool_that_cannot_be_written_stops_all(tmp_path, make_video):
  film = Film(make_video(tmp_path / "a.mp4"), "a.mp4", "walk")
  with Workers() as processes, pytest.raises(InputError, match=r"cannot write to .*No such file"):
    processes.read(film, Storage(), tmp_path / "data" / "gone" / "spool")


def test_what_keeps_processes_from_starting_is_told(tmp_path, make_video, monkeypatch):
  monkeypatch.setattr(workers, "_START", "raise ImportError('no codec at all')")
  with Workers() as processes, pytest.raises(RuntimeError, match="no codec at all"):
    processes.read(Film(make_video(tmp_path / "a.mp4"), "a.mp4", "walk"), Storage(), tmp_path / "spool")


def children(pid: int) -> set[int]:
  found = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
  return set(map(int, found))


@pytest.mark.slow
def test_no_process_outlives_its_parent(tmp_path):
  """The script has no guard of `__main__`, and its decoder hangs."""
  script = textwrap.dedent(f"""
    import pathlib
    from vidjax.data import workers
    from vidjax.data.folder import Film
    from vidjax.data.read_film import Storage
    workers._START = {BAD_DECODER!r}
    with workers.Workers() as processes:
      path = pathlib.Path("hang.mp4")
      processes.read(Film(path, "hang.mp4", "walk"), Storage(), pathlib.Path("spool"))
  """)
  (tmp_path / "script.py").write_text(script)
  env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
  parent = subprocess.Popen([sys.executable, "script.py"], cwd=tmp_path, env=env)
  deadline = time.monotonic() + 60
  while not (found := children(parent.pid)) and time.monotonic() < deadline:
    time.sleep(0.1)
  time.sleep(1)
  parent.send_signal(signal.SIGKILL)
  parent.wait()
  assert found
  while any(map(os.path.exists, (f"/proc/{pid}/stat" for pid in found))) and time.monotonic() < deadline:
    time.sleep(0.1)
  assert not any(os.path.exists(f"/proc/{pid}/stat") for pid in found)
