"""docs/tasks: every page runs as it is written, on a tiny run and small films."""

import importlib.util
import json
import os
import pathlib
import re
import shutil

import av
import numpy as np
import pytest

from tests.test_bad_input import command
from tests.timeline.films import frames, write_film
from tests.tiny_run import CLASSES, make_run, write_data, write_video
from vidjax.data import read_film
from vidjax.predict.predictor import make_predictor
from vidjax.run.opened import open_run

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
      extra += " --size=16 --short_side=20" if "vidjax.export" in line else ""
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
  """Of a film that begins at 100 s and is shown turned; its frame 20 stays for 2 s."""
  times = 100 + np.arange(40) / 8 + 2 * (np.arange(40) > 20)
  write_film(place / "film.mp4", frames("red", 40), times.tolist(), turn=90, form="matroska")
  run_page("cut")
  clips = [list(read_film.timed(str(path))) for path in sorted((place / "clips").rglob("*.mp4"))]
  assert sum(map(len, clips)) == 40, "every frame in one clip"
  assert {frame.image.shape for clip in clips for frame, _ in clip} == {(40, 32, 3)}, "as it is shown"
  assert all(clip[0][1] == 0 for clip in clips)
  starts = sorted(span["start"] for span in json.loads((place / "spans" / "timeline.json").read_text())["spans"])
  own = sorted(tuple(round(time, 3) for _, time in clip) for clip in clips)
  groups = np.split(times, np.searchsorted(times - 100, starts[1:]))
  assert own == sorted(tuple(np.round(group - group[0], 3).tolist()) for group in groups)
  for path in (place / "clips").rglob("*.mp4"):
    with av.open(str(path)) as container:
      length = container.duration / 1e6
      last = list(container.decode(video=0))[-1].time
    assert 0.1 < length - last < 0.2, "its last frame is shown as long as a frame of the film on average"
  assert os.path.isdir("data/folder/cut")


@pytest.mark.skipif(
  not all(map(importlib.util.find_spec, ("jax2onnx", "onnxruntime"))), reason="jax2onnx and onnxruntime are missing"
)
def test_pi(place, capsys, monkeypatch):
  """Of a film that is shown turned, and a crop that leaves an edge out."""
  write_film(place / "film.mp4", frames("red", 40), turn=90)
  found = run_page("pi")
  assert found["scores"].sum() == pytest.approx(1, abs=1e-4)
  run = open_run("runs/quickstart", size=16, short_side=20)
  prediction = make_predictor(run)("film.mp4")
  np.testing.assert_array_equal(found["numbers"], prediction.frames)
  assert np.abs(found["clip"][0].astype(float) - prediction.clip).mean() < 4
  np.testing.assert_allclose(found["scores"], prediction.scores, atol=0.05)

  monkeypatch.setattr(found["onnxruntime"], "InferenceSession", lambda path: found["session"])
  path = place / "pi" / "network.onnx.json"
  about = json.loads(path.read_text())
  (code,) = (block for language, block in BLOCK.findall(PAGES[-1].read_text()) if language == "python")
  best = int(found["scores"].argmax())
  path.write_text(json.dumps(about | {"output": {"scores": "sigmoid"}, "threshold": float(found["scores"][best])}))
  capsys.readouterr()
  exec(code, {})
  assert capsys.readouterr().out.split("%  ")[1:] == [CLASSES[best] + "\n"]
  path.write_text(json.dumps(about | {"sampling": about["sampling"] | {"rate": "even in time"}}))
  with pytest.raises(SystemExit, match="clips of another kind"):
    exec(code, {})
