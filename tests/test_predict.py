"""Prediction: the scores of evaluation for the same file, and broken files that spoil nothing."""

import json
import os
import pathlib
import subprocess
import sys
import types
from typing import Any

import cv2
import numpy as np
import pytest

from tests.tiny_run import CLASSES, VIDEOS, make_run, write_data, write_video
from tests.xla import xla_flags
from vidjax.analyse.gradcam import cell_centres, grad_cam, to_pixels
from vidjax.analyse.pictures import explain_paths
from vidjax.apply.sharding import make_mesh
from vidjax.data import schema, video_file, write
from vidjax.data.sample_film import sample_file
from vidjax.data.streams import FramesAndFlow
from vidjax.errors import InputError
from vidjax.evaluate.evaluation import Options, evaluate
from vidjax.predict.explain import check_explains, explain
from vidjax.predict.predictor import make_predictor
from vidjax.run.films import in_colour, stored_short_side


@pytest.fixture(scope="module")
def data(tmp_path_factory):
  return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(tmp_path_factory, data):
  return make_run(tmp_path_factory.mktemp("runs") / "run", data)


@pytest.mark.parametrize("views", [(1, 1), (3, 3), (2, 10)])
def test_a_file_of_the_split_gets_the_score_of_evaluation(run, data, views):
  evaluate([run], Options(None, *views), make_mesh(1), "command", progress=False)
  with np.load(run.workdir / "evaluation" / "validation_scores.npz") as saved:
    expected = saved["scores"]
  predict = make_predictor(run, *views)  # its data set stores frames of 24 pixels
  for i in (0, 4, VIDEOS - 1):
    prediction = predict(str(data / "films" / f"{i}.mp4"))
    np.testing.assert_allclose(prediction.scores, expected[i], atol=2e-6)
    assert prediction.clip.shape == (4, 16, 16, 3)
    assert prediction.features.shape == (8,)
    assert [name for name, _ in prediction.best()] == [CLASSES[k] for k in np.argsort(-expected[i])[:5]]


def test_frames_are_those_of_sequential_decoding(tmp_path):
  path = write_video(tmp_path / "a.mp4", 3, frames=12)
  frames = list(video_file.decode(path))
  asked = []

  def choose(num_frames, times):
    np.testing.assert_allclose(times, np.arange(12) / 8)
    asked.append(num_frames)
    return np.array([[0, 5, 5], [11, 2, 1]])

  numbers, video = sample_file(str(path), choose, 256)
  assert asked == [12]
  assert video.shape == (2, 3, 32, 40, 3)
  for number, image in zip(numbers.flat, video.reshape(-1, 32, 40, 3), strict=True):
    np.testing.assert_array_equal(image, frames[number])


@pytest.mark.parametrize(("frames", "size"), [(1, (40, 32)), (3, (34, 18)), (9, (18, 66))])
def test_short_and_odd_videos(run, tmp_path, frames, size):
  path = write_video(tmp_path / "odd.mp4", 1, frames=frames, size=size)
  prediction = make_predictor(run, 2, 3, 256)(str(path))
  assert prediction.scores.sum() == pytest.approx(1, abs=1e-5)
  explain(tmp_path / "odd.png", [run], [prediction])
  assert cv2.imread(str(tmp_path / "odd.png")) is not None


def test_a_clip_of_frames_and_flow_is_shown_by_its_frames():
  clip = np.random.default_rng(0).integers(256, size=(3, 8, 8, 5), dtype=np.uint8)
  run: Any = types.SimpleNamespace(recipe=types.SimpleNamespace(stream=FramesAndFlow()))
  np.testing.assert_array_equal(in_colour(run, "film.mp4", np.arange(3), clip, 8), clip[..., :3])


def test_two_runs_explain_one_class_each_with_its_score(run, data, tmp_path, monkeypatch):
  """Twice the same clip, so that its plain frames are drawn once."""
  other = make_run(tmp_path / "other", data, seed=3)
  predictions = [make_predictor(one)(str(data / "films" / "7.mp4")) for one in (run, other)]
  drawn = []
  monkeypatch.setattr("vidjax.predict.explain.save_strips", lambda *arguments: drawn.append(arguments))
  explain("it.png", [run, other], predictions, "class 2")
  explain("it.png", [run], predictions[:1])
  (_, strips, title), (_, (alone,), alone_title) = drawn
  assert title == "7.mp4"
  assert [x.name for x in strips] == [
    f"{name}\nclass 2 ({p.scores[2]:.1%})" for name, p in zip(("run", "other"), predictions, strict=True)
  ]
  for strip, one, prediction in zip(strips, (run, other), predictions, strict=True):
    (cells,) = grad_cam(one.network, one.variables, one.normalise(prediction.clip[None]), np.array([2]))
    (centre,) = cell_centres(one.network, (1, *one.clip_shape))
    np.testing.assert_allclose(strip.maps, to_pixels(np.asarray(cells[0]), (4, 16, 16), *centre), atol=1e-6)
  ((best, score),) = predictions[0].best(1)
  assert (alone.name, alone_title) == ("", f"{best}, {score:.1%}: 7.mp4")
  with pytest.raises(InputError, match=r"--class=klass 2: .*the nearest of its 6 is class 2"):
    check_explains(run, "klass 2")


def test_paths_of_explanations_are_distinct_and_predictable():
  out = pathlib.Path("a/why.pdf")

  def names(*files):
    paths = explain_paths(out, files)
    assert all(path.parent == out.parent for path in paths)
    return [path.name for path in paths]

  assert names("x.mp4") == ["why.pdf"]
  assert names("x.mp4", "b/y.mp4") == ["why-x.pdf", "why-y.pdf"]
  assert names("a/x.mp4", "b/x.mp4", "X.avi", "x.mp4") == ["why-x.pdf", "why-x-2.pdf", "why-X-3.pdf", "why-x-4.pdf"]
  assert names("x.mp4", "x-2.mp4", "x.avi") == ["why-x.pdf", "why-x-2.pdf", "why-x-3.pdf"]
  assert names("x.mp4", "x.avi", "x-2.mp4") == ["why-x.pdf", "why-x-2.pdf", "why-x-2-2.pdf"]


def test_frames_are_shrunk_as_the_data_set_stores_them(run, tmp_path):
  assert stored_short_side(run) == 24  # original files, read at 24 pixels

  def fill(folder):
    sizes = [(20, 30), (40, 22), (18, 18)]  # the second was shrunk to 22, the others are smaller
    frames = [[np.zeros((*size, 3), np.uint8)] * 3 for size in sizes]
    examples = [schema.example(0, f"{i}", 8.0, 3, video=schema.encode_frames(film)) for i, film in enumerate(frames)]
    pairs = (("validation", example) for example in examples)
    write.write_records(folder, "folder/tiny", ("validation",), pairs, CLASSES)

  write.fill_folder(tmp_path / "folder" / "tiny" / write.VERSION, fill)
  assert stored_short_side(make_run(tmp_path / "run", tmp_path)) == 22
  moved = make_run(tmp_path / "moved", tmp_path / "nowhere")
  assert stored_short_side(moved) is None
  assert not (tmp_path / "nowhere").exists()


def test_real_files(run, shared_videos):
  predict = make_predictor(run, 1, 1, 256)
  for name in ("torchcodec_h265_video.mp4", "decord_video_90.mov"):
    assert predict(str(shared_videos / name)).scores.sum() == pytest.approx(1, abs=1e-5)
  with pytest.raises(InputError, match=r"decord_corrupted\.mp4"):
    predict(str(shared_videos / "decord_corrupted.mp4"))


def command(*arguments, **kwargs):
  line = [sys.executable, "-m", "vidjax.predict", *map(str, arguments)]
  env = {**os.environ, "XLA_FLAGS": xla_flags(), "PYTHONIOENCODING": "utf-8"}
  return subprocess.run(line, env=env, capture_output=True, text=True, timeout=200, check=False, **kwargs)


@pytest.mark.slow
def test_the_command(run, data, tmp_path):
  broken = tmp_path / "broken.mp4"
  broken.write_bytes((data / "films" / "3.mp4").read_bytes()[:300])
  good = [data / "films" / "0.mp4", data / "films" / "7.mp4"]
  done = command(
    f"--workdir={run.workdir}", good[0], broken, tmp_path / "none.mp4", good[1], "--json",
    f"--explain={tmp_path}/out/why.png", f"--features={tmp_path}/new/features.npz", "--views=2x3",
  )  # fmt: skip
  assert done.returncode == 2
  lines = done.stderr.splitlines()
  assert next(line for line in lines if "broken.mp4" in line).startswith("error: ")
  assert any("none.mp4 does not exist" in line for line in lines)
  assert lines[-1] == "2 of 4 files could be read"
  written = [tmp_path / "out" / "why-0.png", tmp_path / "out" / "why-7.png", tmp_path / "new" / "features.npz"]
  assert [line for line in lines if line.startswith("wrote ")] == [f"wrote {path}" for path in written]
  assert len(lines) == 6
  answer = json.loads(done.stdout)
  assert [row["file"] for row in answer] == [str(path) for path in good]
  with np.load(written[2]) as saved:
    assert saved["features"].shape == (2, 8)
    assert list(saved["files"]) == [str(path) for path in good]
    for row, scores in zip(answer, saved["scores"], strict=True):
      assert row["top5"][0]["class"] == CLASSES[scores.argmax()]
      assert row["top5"][0]["score"] == pytest.approx(scores.max())
      assert len(row["top5"]) == 5
  for path in written[:2]:
    assert min(cv2.imread(str(path)).shape[:2]) > 200

  twice = [f"--workdir={run.workdir}"] * 2
  done = command(*twice, good[0], f"--explain={tmp_path}/both.png", "--class=class 1")
  assert (done.returncode, done.stderr) == (0, "")
  lines = done.stdout.splitlines()
  assert lines[1] == lines[7] == f" {run.workdir}"
  assert len(lines) == 14

  done = command(f"--workdir={run.workdir}", good[0])
  assert (done.returncode, done.stderr) == (0, "")
  assert done.stdout.splitlines()[0] == str(good[0])
  assert len(done.stdout.splitlines()) == 6
  assert command(f"--workdir={run.workdir}").returncode == 2


@pytest.mark.slow
def test_names_no_font_and_no_terminal_knows(run, data, tmp_path):
  """Nothing on stderr, warnings least of all; the JSON gives the name back."""
  film = os.fsencode(tmp_path) + b"/caf\xe9 " + "漢字$_$🎬.mp4".encode()
  pathlib.Path(os.fsdecode(film)).write_bytes((data / "films" / "0.mp4").read_bytes())
  done = command(f"--workdir={run.workdir}", os.fsdecode(film), f"--explain={tmp_path}/why.png")
  assert (done.returncode, done.stderr) == (0, "")
  assert "caf\\udce9 漢字$_$🎬.mp4" in done.stdout.splitlines()[0]
  assert done.stdout.splitlines()[-1] == f"wrote {tmp_path}/why.png"
  done = command(f"--workdir={run.workdir}", os.fsdecode(film), "--json")
  assert os.fsencode(json.loads(done.stdout)[0]["file"]) == film


@pytest.mark.slow
@pytest.mark.parametrize(
  ("flag", "words"),
  [
    ("--explain={tmp}/why", "must end in .png"),
    ("--explain={tmp}/why.gif", "must end in .png"),
    ("--features={tmp}/f.csv", "must end in .npz"),
    ("--explain={tmp}/folder.png", "is a folder"),
    ("--explain={tmp}/file/why.png", "its folder cannot be made"),
  ],
)
def test_outputs_that_cannot_be_written_show_before_the_work(run, tmp_path, flag, words):
  (tmp_path / "folder.png").mkdir()
  (tmp_path / "file").touch()
  done = command(f"--workdir={run.workdir}", tmp_path / "unread.mp4", flag.format(tmp=tmp_path))
  assert done.returncode == 2
  assert done.stderr.startswith(f"error: {flag.format(tmp=tmp_path)}")
  assert words in done.stderr
  assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_data_set_that_is_gone_is_said(run, data, tmp_path):
  moved = make_run(tmp_path / "moved", tmp_path / "nowhere")
  done = command(f"--workdir={moved.workdir}", data / "films" / "0.mp4")
  assert done.returncode == 0
  assert (
    done.stderr
    == f"note: folder/tiny is not in {tmp_path}/nowhere: frames are shrunk to 256, unless --stored_short_side says so\n"
  )
  done = command(f"--workdir={moved.workdir}", data / "films" / "0.mp4", "--stored_short_side=24")
  assert (done.returncode, done.stderr) == (0, "")
