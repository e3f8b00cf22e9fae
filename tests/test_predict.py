"""Prediction: the scores of evaluation for the same file, and broken files that spoil nothing."""

import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from tests.tiny_run import CLASSES, VIDEOS, make_run, write_data, write_video
from vidjax.data import video_file
from vidjax.errors import InputError
from vidjax.evaluate.__main__ import Options, evaluate
from vidjax.predict import best, explain, make_predictor, sample_file
from vidjax.train.sharding import make_mesh


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
  predict = make_predictor(run, *views, short_side=24)
  for i in (0, 4, VIDEOS - 1):
    prediction = predict(str(data / "films" / f"{i}.mp4"))
    np.testing.assert_allclose(prediction.scores, expected[i], atol=2e-6)
    assert prediction.clip.shape == (4, 16, 16, 3)
    assert prediction.features.shape == (8,)
    assert [row["class"] for row in best(prediction, CLASSES)] == [CLASSES[k] for k in np.argsort(-expected[i])[:5]]


def test_frames_are_those_of_sequential_decoding(tmp_path):
  path = write_video(tmp_path / "a.mp4", 3, frames=12)
  frames = list(video_file.decode(path))
  asked = []

  def choose(num_frames):
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
  explain(run, prediction, tmp_path / "odd.png")
  assert cv2.imread(str(tmp_path / "odd.png")) is not None


def test_real_files(run, shared_videos):
  predict = make_predictor(run, 1, 1, 256)
  for name in ("torchcodec_h265_video.mp4", "decord_video_90.mov"):
    assert predict(str(shared_videos / name)).scores.sum() == pytest.approx(1, abs=1e-5)
  with pytest.raises(InputError, match=r"decord_corrupted\.mp4"):
    predict(str(shared_videos / "decord_corrupted.mp4"))


@pytest.mark.slow
def test_the_command(run, data, tmp_path):
  def command(*arguments):
    line = [sys.executable, "-m", "vidjax.predict", *map(str, arguments)]
    env = {**os.environ, "XLA_FLAGS": ""}
    return subprocess.run(line, env=env, capture_output=True, text=True, timeout=200, check=False)

  broken = tmp_path / "broken.mp4"
  broken.write_bytes((data / "films" / "3.mp4").read_bytes()[:300])
  good = [data / "films" / "0.mp4", data / "films" / "7.mp4"]
  done = command(
    f"--workdir={run.workdir}", good[0], broken, tmp_path / "none.mp4", good[1], "--json",
    f"--explain={tmp_path}/out/why.png", f"--features={tmp_path}/features.npz", "--views=2x3",
  )  # fmt: skip
  assert done.returncode == 2
  lines = done.stderr.splitlines()
  assert next(line for line in lines if "broken.mp4" in line).startswith("error: ")
  assert any("none.mp4 does not exist" in line for line in lines)
  assert lines[-1] == "2 of 4 files could be read"
  assert len(lines) == 3
  answer = json.loads(done.stdout)
  assert [row["file"] for row in answer] == [str(path) for path in good]
  with np.load(tmp_path / "features.npz") as saved:
    assert saved["features"].shape == (2, 8)
    assert list(saved["files"]) == [str(path) for path in good]
    for row, scores in zip(answer, saved["scores"], strict=True):
      assert row["top5"][0]["class"] == CLASSES[scores.argmax()]
      assert row["top5"][0]["score"] == pytest.approx(scores.max())
      assert len(row["top5"]) == 5
  for stem in ("0", "7"):
    assert min(cv2.imread(str(tmp_path / "out" / f"why-{stem}.png")).shape[:2]) > 200

  done = command(f"--workdir={run.workdir}", good[0])
  assert done.returncode == 0, done.stderr
  assert done.stdout.splitlines()[0] == str(good[0])
  assert len(done.stdout.splitlines()) == 6
  assert command(f"--workdir={run.workdir}").returncode == 2
