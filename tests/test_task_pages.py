"""docs/tasks: every page runs as it is written, on a tiny run and small films."""

import importlib.util
import os
import pathlib
import re
import shutil

import numpy as np
import pytest

from tests.test_bad_input import command
from tests.tiny_run import CLASSES, make_run, write_data, write_video

PAGES = sorted((pathlib.Path(__file__).parents[1] / "docs" / "tasks").glob("*.md"))
BLOCK = re.compile(r"```(bash|python)\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  root = tmp_path_factory.mktemp("tasks")
  return make_run(root / "quickstart", write_data(root / "data")).workdir


@pytest.fixture
def place(run, tmp_path, monkeypatch):
  """A folder with the files that the pages name."""
  shutil.copytree(run, tmp_path / "runs" / "quickstart")
  for number, name in enumerate(("film", "other", "third", "example")):
    write_video(tmp_path / f"{name}.mp4", number % 3, frames=40)
  monkeypatch.chdir(tmp_path)
  return tmp_path


def run_page(name):
  """Runs its blocks in their order; returns what Python defined."""
  found: dict = {}
  text = next(page for page in PAGES if page.stem == name).read_text()
  for language, block in BLOCK.findall(text):
    if language == "python":
      exec(compile(block, f"docs/tasks/{name}.md", "exec"), found)
      continue
    for line in block.splitlines():
      extra = " --on=.01 --off=.005 --at_least=0" if "vidjax.timeline" in line else ""  # the run is not trained,
      extra += " --split=train:1" if "vidjax.prepare" in line else ""  # and finds one span
      assert command(line.removeprefix("python -m vidjax.") + extra) == 0, line
  return found


def test_no_page_is_left_out():
  assert [page.stem for page in PAGES] == ["count", "cut", "find", "pi"]


def test_count(place, capsys):
  found = run_page("count")
  assert found["times"].total() == len(found["report"]["spans"]) > 0
  assert sum(found["seconds"].values()) == pytest.approx(5, abs=0.1), "40 frames at 8 a second, one class at a time"
  assert all(name in capsys.readouterr().out for name in CLASSES[:1])


def test_find(place):
  found = run_page("find")
  assert found["alike"].argmax() == 0, "example.mp4 is film.mp4 once more"
  assert found["alike"].max() == pytest.approx(1, abs=1e-5)


def test_cut(place):
  run_page("cut")
  clips = list((place / "clips").rglob("*.mp4"))
  assert clips
  from vidjax.data import video_file

  assert sum(len(list(video_file.decode(clip, 24))) for clip in clips) == 40, "every frame in one clip"
  assert os.path.isdir("data/folder/cut")


@pytest.mark.skipif(
  not all(map(importlib.util.find_spec, ("jax2onnx", "onnxruntime"))), reason="jax2onnx and onnxruntime are missing"
)
def test_pi(place):
  found = run_page("pi")
  assert found["scores"].sum() == pytest.approx(1, abs=1e-4)
  example = found["about"]["sampling"]["example"]
  count = found["count"]
  own = ((np.arange(count) + 0.5) * example["frames_of_video"] / count).astype(int)
  np.testing.assert_array_equal(own, example["numbers"])
