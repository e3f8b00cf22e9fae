"""`python -m vidjax.summarize` and its `evaluate`, on a tiny set of VSUMM's layout."""

import csv
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from tests.summarize.films import BLUE, GREEN, RED, scenes, write_film
from tests.test_bad_input import command
from vidjax.errors import InputError
from vidjax.summarize import sets
from vidjax.summarize.sets import find, user_descriptors


@pytest.fixture
def source(tmp_path):
  """v21 and v82, each of three scenes; their first user chose two frames, their second all three and one too many."""
  root = tmp_path / "set"
  (root / "database").mkdir(parents=True)
  frames = scenes(RED, GREEN, BLUE)
  for name in ("v21", "v82"):
    write_film(root / "database" / f"{name}.mp4", frames)
    for user, numbers in (("user1", (5, 45)), ("user2", (5, 8, 25, 105))):
      folder = root / "UserSummary" / name / user
      folder.mkdir(parents=True)
      for number in numbers:
        cv2.imwrite(str(folder / f"Frame{number}.jpeg"), frames[number % 60][..., ::-1])
  return root


def test_the_sets_are_those_of_the_paper():
  assert (len(sets.OVP), len(sets.YOUTUBE), len(sets.SETS["youtube"]), len(sets.CARTOONS)) == (50, 50, 39, 11)
  assert not set(sets.OVP) & set(sets.YOUTUBE)
  assert set(sets.CARTOONS) < set(sets.YOUTUBE)


def test_films_and_users_are_found(source):
  (first, second), wrong = find(source)
  assert not wrong
  assert (first.name, second.name, first.file.name) == ("v21", "v82", "v21.mp4")
  assert [user.name for user in first.users] == ["user1", "user2"]
  assert [video.name for video in find(source, "ovp")[0]] == ["v21"]
  with pytest.raises(InputError, match="no film of the set youtube"):
    find(source, "youtube")
  assert user_descriptors(first.users[1]).shape == (4, 16)
  (source / "v21.avi").touch()
  (source / "user_notes").mkdir()
  (source / "v99" / "user1").mkdir(parents=True)
  (source / "v99" / "user1" / "Frame7.jpeg").touch()
  videos, wrong = find(source)
  assert [video.name for video in videos] == ["v82"]
  assert ["2 films named v21" in wrong[0], "0 films named v99" in wrong[1], len(wrong)] == [True, True, 2]


def test_broken_sets(source, tmp_path):
  with pytest.raises(InputError, match="is no folder"):
    find(tmp_path / "none")
  with pytest.raises(InputError, match="holds no folder"):
    find(source / "database")
  user = source / "UserSummary" / "v21" / "user1"
  (user / "Frame5.jpeg").write_bytes(b"")
  with pytest.raises(InputError, match=r"Frame5\.jpeg is no picture"):
    user_descriptors(user)
  for path in user.iterdir():
    path.unlink()
  with pytest.raises(InputError, match="leave this user out"):
    user_descriptors(user)


def test_evaluate(source, tmp_path, capfd):
  out = tmp_path / "report"
  assert command(f"summarize evaluate --source={source} --method=vsumm1 --out={out}") == 0
  report = json.loads((out / "summaries.json").read_text())
  row = {"video": "v21", "users": 2, "keyframes": 3, "user_keyframes": 3.0}
  precision, recall = (2 / 3 + 1) / 2, (1 + 3 / 4) / 2  # frame 8 of the second user is like frame 5
  row |= {"f": (0.8 + 6 / 7) / 2, "precision": precision, "recall": recall, "cus_a": recall, "cus_e": 0.25}
  assert report["rows"][0] == pytest.approx(row)
  assert report["means"]["f"] == pytest.approx(row["f"])
  with (out / "summaries.csv").open() as file:
    rows = list(csv.DictReader(file))
  assert [one["video"] for one in rows] == ["v21", "v82"]
  assert float(rows[1]["cus_e"]) == 0.25
  assert "mean  F  82.9%  CUS_A 0.875  CUS_E 0.250  2 of 2 films" in capfd.readouterr().out
  assert command(f"summarize evaluate --source={source} --method=vsumm1 --out={out} --f=means") == 0
  f = json.loads((out / "summaries.json").read_text())["means"]["f"]
  assert f == pytest.approx(2 * precision * recall / (precision + recall))


@pytest.mark.parametrize("method", ["uniform", "random", "ranktracing", "vsumm2"])
def test_evaluate_every_method(source, tmp_path, method):
  assert command(f"summarize evaluate --source={source} --set=ovp --method={method} --out={tmp_path}/{method}") == 0
  report = json.loads((tmp_path / method / "summaries.json").read_text())
  assert 0 < report["means"]["f"] <= 1
  assert (report["videos"], report["method"], len(report["absent"])) == (1, method, 49)


def test_a_broken_film_of_a_set_costs_one_line(source, tmp_path, capfd):
  (source / "database" / "v82.mp4").write_bytes(b"nothing")
  assert command(f"summarize evaluate --source={source} --out={tmp_path}/out") == 2
  captured = capfd.readouterr()
  assert captured.err.count("error: ") == 1
  assert "1 of 2 films" in captured.out
  assert json.loads((tmp_path / "out" / "summaries.json").read_text())["failed"] == 1


def test_several_films_one_broken(tmp_path, capfd):
  film = write_film(tmp_path / "a.mp4", scenes(RED, GREEN))
  (tmp_path / "b.mp4").write_bytes(film.read_bytes()[:200])
  out = tmp_path / "out"
  assert command(f"summarize {film} {tmp_path}/b.mp4 --out={out}") == 2
  captured = capfd.readouterr()
  assert captured.err.startswith(f"error: {tmp_path}/b.mp4")
  assert captured.err.count("\n") == 1
  lines = captured.out.splitlines()
  assert lines[0] == f"{film}: 2 keyframes of 40 frames"
  assert lines[-1] == f"wrote {out}/summary-a"
  assert {path.name for path in (out / "summary-a").iterdir()} >= {"sheet.png", "curve.png", "summary.json"}


def test_an_unrotated_picture_and_a_film_of_one_frame(tmp_path, shared_videos):
  film = write_film(tmp_path / "one.mp4", scenes(RED, frames=1))
  assert command(f"summarize {film} {shared_videos}/decord_video_90.mov --out={tmp_path}/out") == 0
  turned = next((tmp_path / "out" / "summary-decord_video_90").glob("Frame*.jpeg"))
  assert cv2.imread(str(turned)).shape == (568, 320, 3)
  assert len(list((tmp_path / "out" / "summary-one").glob("Frame*.jpeg"))) == 1


def test_damage_is_counted_or_refused(tmp_path, shared_videos, capfd):
  film = shared_videos / "decord_corrupted.mp4"
  assert command(f"summarize {film} --out={tmp_path}/out") == 2
  assert "is damaged: 28 frames could be decoded" in capfd.readouterr().err
  assert command(f"summarize {film} --out={tmp_path}/out --max_corrupt=2") == 0
  assert "2 damaged frames or packets: neither such a frame nor one that builds on it" in capfd.readouterr().err
  report = json.loads((tmp_path / "out" / "summary.json").read_text())
  assert (report["damaged"], report["frames"]) == (2, 49)


@pytest.mark.parametrize(
  ("line", "words"),
  [
    ("", "say which films"),
    ("a.mp4", "--out=DIR is missing"),
    ("evaluate --out={tmp}/out", "--source=DIR is missing"),
    ("a.mp4 --out={tmp}/out --method=attention", "--workdir=RUN"),
    ("a.mp4 --out={tmp}/out --workdir={tmp} --method=random", "--workdir=RUN"),
    ("a.mp4 --out={tmp}/file", "is a file: name a folder"),
    ("{tmp}/a.mp4 --out={tmp}/out", "a.mp4 does not exist"),
    ("a.mp4 --out={tmp}/out --method=nothing", "--help"),
    ("a.mp4 --out={tmp}/out --workdir={tmp}", "not a run's folder"),
    ("evaluate --source={tmp} --out={tmp}/out", "holds no folder"),
    ("a.mp4 --out={tmp}/out --span=7", "--span goes with --workdir=RUN"),
    ("a.mp4 --out={tmp}/out --f=means", "--f goes with evaluate"),
  ],
)
def test_mistakes_cost_one_line(line, words, tmp_path, capfd):
  (tmp_path / "file").touch()
  assert command(f"summarize {line.format(tmp=tmp_path)}") == 2
  error = capfd.readouterr().err
  assert error.startswith("error: ")
  assert words in error
  assert error.count("\n") == 1


@pytest.mark.slow
def test_help_as_a_process():
  done = subprocess.run(
    [sys.executable, "-m", "vidjax.summarize", "--help"], capture_output=True, text=True, timeout=60, check=False
  )
  assert (done.returncode, done.stderr) == (0, "")
  assert "--source" in done.stdout
  assert np.max([len(line) for line in done.stdout.splitlines()]) <= 120
