"""A preparation that survives: what is killed resumes, tasks share one set, and no byte tells how it came about."""

import json
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

from vidjax.data import write
from vidjax.data.dataset import open_dataset
from vidjax.data.films import Film
from vidjax.data.read_film import Storage
from vidjax.data.schema import Record
from vidjax.data.workers import NoSpace, Workers
from vidjax.errors import InputError
from vidjax.prepare import shards
from vidjax.prepare.folder import prepare_folder
from vidjax.prepare.store import Part

SMALL = Storage(short_side=16)


@pytest.fixture
def few(monkeypatch):
  """Shards of three films."""
  monkeypatch.setattr(shards, "FEWEST_FILMS", 3)


@pytest.fixture
def videos(tmp_path, make_video) -> pathlib.Path:
  for label, width in (("walk", 48), ("run", 64)):
    for number in range(7):
      make_video(tmp_path / "videos" / label / f"{number}.mp4", count=8 + number, width=width)
  (tmp_path / "videos" / "run" / "4.mp4").write_bytes(b"")
  return tmp_path / "videos"


def content(folder: pathlib.Path) -> dict[str, bytes]:
  files = [path for path in folder.rglob("*") if path.is_file()]
  return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def started(data: pathlib.Path) -> list[str]:
  """The shards that are there."""
  return sorted(path.parent.name for path in (data / "folder").glob(".mine.shards/0*/shard.json"))


@pytest.mark.slow
def test_a_killed_preparation_ends_as_an_undisturbed_one(tmp_path, make_video):
  for number in range(40):
    make_video(tmp_path / "videos" / ("walk", "run")[number % 2] / f"{number}.mp4", count=8 + number, width=96)
  (tmp_path / "videos" / "run" / "1.mp4").write_bytes(b"")
  prepare_folder(tmp_path / "videos", "mine", tmp_path / "whole", storage=Storage(short_side=64), workers=1)
  killed = tmp_path / "killed"
  home = killed / "folder"
  command = [sys.executable, "-m", "vidjax.prepare", "folder", f"--videos={tmp_path}/videos", "--name=mine"]
  command += [f"--data_dir={killed}", "--short_side=64", "--workers=2"]

  def stop_when(*signs: str) -> str:
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    while process.poll() is None and not all(any(home.glob(sign)) for sign in signs):
      time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    return process.communicate()[1]

  stop_when(".mine.shards/.films.*/*")  # films are read
  assert not (home / "mine").exists()
  stop_when(".mine.shards/00000", ".mine.shards/.00001.*/*/*")  # the second shard is written
  assert started(killed) == ["00000"]
  with pytest.raises(InputError, match=r"a preparation of 'folder/mine' was begun .*: repeat its command"):
    open_dataset("folder/mine", str(killed))
  assert "resumed: 16 of 40 files were read before" in stop_when(".mine.partial/*/*-00001")  # it is closed
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
  assert "40 of 40 files were read before" in done.stderr
  assert "39 files kept, 1 refused" in done.stdout
  assert [path.name for path in home.iterdir()] == ["mine"]
  assert content(home / "mine") == content(tmp_path / "whole" / "folder" / "mine")


@pytest.mark.slow
def test_two_tasks_one_of_them_killed_end_as_an_undisturbed_command(tmp_path, make_video):
  for number in range(36):
    make_video(tmp_path / "videos" / ("walk", "run")[number % 2] / f"{number}.mp4", count=8 + number, width=96)
  prepare_folder(tmp_path / "videos", "mine", tmp_path / "whole", storage=SMALL, workers=1)
  home = tmp_path / "data" / "folder"
  command = [sys.executable, "-m", "vidjax.prepare", "folder", f"--videos={tmp_path}/videos", "--name=mine"]
  command += [f"--data_dir={tmp_path}/data", "--short_side=16", "--workers=1"]

  process = subprocess.Popen([*command, "--shard=0/2"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
  while process.poll() is None and not (any(home.glob(".mine.shards/.films.*/*")) and started(tmp_path / "data")):
    time.sleep(0.001)
  process.kill()
  process.wait()
  assert started(tmp_path / "data") == ["00000"]  # of its two, 0 and 2
  done = [subprocess.run([*command, f"--shard={i}/2"], capture_output=True, text=True, check=False) for i in (1, 0)]
  assert [one.returncode for one in done] == [0, 0], done
  assert "folder/mine: 2 of 3 shards are there; the task that makes the last one closes it" in done[0].stdout
  assert "36 files kept, 0 refused" in done[1].stdout
  assert content(home / "mine") == content(tmp_path / "whole" / "folder" / "mine")


def test_tasks_share_one_set(few, videos, tmp_path, capsys):
  whole = prepare_folder(videos, "mine", tmp_path / "one", storage=SMALL)
  data = tmp_path / "two"

  def task(number: int):
    return prepare_folder(videos, "mine", data, storage=SMALL, part=Part(number, 3), workers=1)

  assert task(2) is None
  assert started(data) == ["00002"]
  assert "folder/mine: 1 of 5 shards are there" in capsys.readouterr().out
  with pytest.raises(InputError, match=r"other settings \(--short_side: 16 there, 8 here\): repeat its command"):
    prepare_folder(videos, "mine", data, storage=Storage(short_side=8), part=Part(0, 3))
  assert task(0) is None
  assert started(data) == ["00000", "00002", "00003"]
  assert not (data / "folder" / "mine").exists()
  report = task(1)
  assert report == whole
  assert [path.name for path in (data / "folder").iterdir()] == ["mine"]
  assert content(data / "folder" / "mine") == content(tmp_path / "one" / "folder" / "mine")
  late = task(0)  # one that was put into the queue again
  assert [len(late.kept), late.refused] == [13, whole.refused]
  with pytest.raises(InputError, match="exists"):
    prepare_folder(videos, "mine", data, storage=SMALL)


def test_what_a_dead_task_leaves_is_made_by_any_other(few, videos, tmp_path):
  prepare_folder(videos, "mine", tmp_path / "one", storage=SMALL)
  data = tmp_path / "two"
  assert prepare_folder(videos, "mine", data, storage=SMALL, part=Part(0, 2)) is None
  folder = data / "folder" / ".mine.shards"
  (folder / ".00001.x").mkdir()  # half made
  late = json.loads((folder / "00002" / "shard.json").read_text())
  (folder / "00002" / "shard.json").write_text(json.dumps({**late, "settings": "of a process of other settings"}))
  prepare_folder(videos, "mine", data, storage=SMALL)
  assert content(data / "folder" / "mine") == content(tmp_path / "one" / "folder" / "mine")


def test_other_settings_are_told_and_dropped_by_overwrite(few, videos, tmp_path, monkeypatch):
  make, calls = shards._name, []

  def stop(work, number, folder):
    calls.append(number)
    if len(calls) == 3:
      raise KeyboardInterrupt
    make(work, number, folder)

  monkeypatch.setattr(shards, "_name", stop)
  with pytest.raises(KeyboardInterrupt):
    prepare_folder(videos, "mine", tmp_path, storage=SMALL)
  assert started(tmp_path) == ["00000", "00001"]
  other = Storage(short_side=8, max_corrupt=1)
  message = (
    r"begun with other settings \(--short_side: 16 there, 8 here; --max_corrupt: 0 there, 1 here\): .*--overwrite"
  )
  with pytest.raises(InputError, match=message):
    prepare_folder(videos, "mine", tmp_path, storage=other)
  (videos / "run" / "4.mp4").unlink()
  with pytest.raises(InputError, match=r"the list of videos: 14 with the digest \w+ there, 13 with the digest"):
    prepare_folder(videos, "mine", tmp_path, storage=SMALL)
  assert started(tmp_path) == ["00000", "00001"]
  prepare_folder(videos, "mine", tmp_path, storage=other, overwrite=True)
  assert calls == [0, 1, 2, *range(5)]
  source = open_dataset("folder/mine", str(tmp_path)).source("train")
  assert Record.parse(source[0]).decode([0]).shape == (1, 8, 16, 3)


def test_refused_films_move_others_of_their_class_alone(few, videos, tmp_path, make_video, monkeypatch):
  """Of two films of a class the one that can be read goes to train; its shard is made again where it was not there."""
  shutil.rmtree(videos / "run")
  made, make = [], shards._name
  monkeypatch.setattr(shards, "_name", lambda work, number, folder: (made.append(number), make(work, number, folder)))
  counts = []
  for name in "ab":
    for other in "ab":
      make_video(videos / "run" / f"{other}.mp4", count=4, width=64 if other == "a" else 80)
    (videos / "run" / f"{name}.mp4").write_bytes(b"")
    made.clear()
    report = prepare_folder(videos, name, tmp_path, storage=SMALL)
    assert [entry["split"] for entry in report.kept if entry["labels"] == ["run"]] == ["train"]
    assert set(made) == {0, 1, 2}
    counts.append(len(made))
    held = open_dataset(f"folder/{name}", str(tmp_path)).source("train")
    assert Record.parse(held[0]).video_id == f"run/{'ba'['ab'.index(name)]}.mp4"
  assert sorted(counts) == [3, 4]


def test_a_full_disk_refuses_no_film(few, videos, tmp_path, monkeypatch):
  read = Workers.read

  def full(self, film: Film, storage, spool):
    if film.name == "walk/0.mp4":
      raise NoSpace("cannot write to there: free some space")
    return read(self, film, storage, spool)

  monkeypatch.setattr(Workers, "read", full)
  with pytest.raises(InputError, match=r"^cannot write to there"):
    prepare_folder(videos, "mine", tmp_path, storage=SMALL)
  monkeypatch.undo()
  monkeypatch.setattr(shards, "FEWEST_FILMS", 3)
  report = prepare_folder(videos, "mine", tmp_path, storage=SMALL)
  assert report.refused == ["run/4.mp4 is empty (0 bytes)"]


def test_a_data_set_has_at_most_so_many_shards():
  films = [Film(pathlib.Path(str(number)), str(number), "") for number in range(20000)]
  for count, expected in ((1, (1, 1)), (16, (1, 16)), (17, (2, 16)), (8192, (512, 16)), (20000, (500, 40))):
    found = shards.plan(films[:count])
    assert (len(found), len(found[0][1])) == expected
    assert [film for _, own in found for film in own] == films[:count]


@pytest.mark.parametrize("text", ["", "1", "4/4", "5/4", "1/0", "1/-2", "a/b", "1/4/2"])
def test_parts_that_there_are_not(text):
  with pytest.raises(InputError, match=rf"--shard={text}: give the task's number"):
    Part.parse(text)


def test_a_lock_is_shared_by_those_who_ask_for_it(tmp_path):
  with write.lock(tmp_path / "set", shared=True), write.lock(tmp_path / "set", shared=True):
    assert (tmp_path / ".set.lock").exists()
  with write.lock(tmp_path / "set"):
    pass
  assert not list(tmp_path.iterdir())
