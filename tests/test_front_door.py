"""`import vidjax` alone: a run opened, a network loaded, and nothing imported before it is used."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

import vidjax
from tests.tiny_run import CLASSES, make_run, write_data
from vidjax.data import video_file
from vidjax.errors import ConfigError, InputError


@pytest.fixture(scope="module")
def world(tmp_path_factory):
  root = tmp_path_factory.mktemp("front")
  write_data(root / "data")
  make_run(root / "run", root / "data")
  return root


def test_a_run_predicts_a_film_and_its_frames_alike(world):
  model = vidjax.open_run(world / "run")
  film = world / "data" / "films" / "3.mp4"
  of_file = model.predict(film)
  frames = np.stack(list(video_file.decode(film, 24)))
  of_frames = model.predict(frames)
  np.testing.assert_allclose(of_frames.scores, of_file.scores, atol=1e-6)
  assert of_file.best(2) == sorted(zip(CLASSES, map(float, of_file.scores), strict=True), key=lambda x: -x[1])[:2]
  assert model.predict(str(film), "2x3").scores.shape == (len(CLASSES),)
  output = model(of_file.clip[None])
  np.testing.assert_allclose(np.exp(output.logits) / np.exp(output.logits).sum(), of_file.scores[None], atol=1e-5)
  model.explain(of_frames, world / "why.png")
  assert cv2.imread(str(world / "why.png")).std() > 10
  for wrong in (frames[0], frames.astype(float), frames[:0]):
    with pytest.raises(InputError, match=r"give uint8 RGB frames \[N, H, W, 3\]"):
      model.predict(wrong)


def test_a_network_is_loaded_by_its_config():
  model = vidjax.load_model("configs/quickstart.py:tsn", class_names=["run", "walk"])
  frames = np.random.default_rng(0).integers(0, 255, (9, 50, 60, 3), dtype=np.uint8)
  scores = dict(model.predict(frames).best())
  assert set(scores) == {"run", "walk"}
  assert sum(scores.values()) == pytest.approx(1, abs=1e-5)
  with pytest.raises(ConfigError, match=r"there is no config configs/none\.py"):
    vidjax.load_model("configs/none.py")


def test_nothing_is_imported_before_it_is_used():
  code = (
    "import sys, vidjax; print(sorted({'jax', 'numpy', 'av', 'grain'} & set(sys.modules)), dir(vidjax)); vidjax.train"
  )
  done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
  assert done.returncode == 0, done.stderr
  assert done.stdout.startswith("[] ")
  assert all(name in done.stdout for name in ("open_run", "load_model", "networks", "plugins"))
  with pytest.raises(AttributeError, match="no attribute 'open_runs'; it has open_run, load_model"):
    _ = vidjax.open_runs
