"""Pictures: the pixels that are drawn, and that files come out for odd shapes."""

import cv2
import numpy as np
import pytest

from vidjax.analyse.confusion import save_confusion, shorten
from vidjax.analyse.pictures import resize_evidence, save_batch, save_explanation, spread, to_uint8


def test_normalised_clips_become_what_they_were():
  clips = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 5, 3), dtype=np.uint8)
  mean, std = (0.5, 0.45, 0.4), (0.25, 0.22, 0.2)
  normalised = (clips / 255 - np.array(mean)) / np.array(std)
  np.testing.assert_array_equal(to_uint8(normalised, mean, std), clips)
  np.testing.assert_array_equal(to_uint8(clips), clips)
  stretched = to_uint8(normalised)
  assert (stretched.min(), stretched.max()) == (0, 255)


def test_other_numbers_of_channels_are_grey():
  clip = np.stack([np.full((1, 2, 2), 10), np.full((1, 2, 2), 30)], axis=-1).astype(np.uint8)
  np.testing.assert_array_equal(to_uint8(clip), np.full((1, 2, 2, 3), 20))


def test_frames_are_spread_over_the_clip():
  np.testing.assert_array_equal(spread(8, 8), np.arange(8))
  np.testing.assert_array_equal(spread(64, 4), [0, 21, 42, 63])
  np.testing.assert_array_equal(spread(1, 8), [0])


def test_evidence_keeps_its_place_in_space_and_time():
  evidence = np.zeros((2, 2, 2))
  evidence[1, 0, 1] = 1
  resized = resize_evidence(evidence, (8, 16, 16))
  assert resized.shape == (8, 16, 16)
  assert np.unravel_index(resized.argmax(), resized.shape)[0] >= 6
  assert resized[7, 0, 15] == pytest.approx(1)
  assert resized[0].max() == 0


@pytest.mark.parametrize("shape", [(3, 8, 48, 48, 3), (1, 1, 17, 33, 3), (12, 20, 16, 16, 1)])
def test_a_batch_is_drawn(tmp_path, shape):
  clips = np.random.default_rng(0).normal(size=shape).astype(np.float32)
  save_batch(tmp_path / "batch.png", clips, [f"class $_{i}" for i in range(len(clips))])
  assert min(cv2.imread(str(tmp_path / "batch.png")).shape[:2]) > 100


@pytest.mark.parametrize("maps", [1, 2])
def test_an_explanation_is_drawn(tmp_path, maps):
  clip = np.random.default_rng(0).integers(0, 256, (8, 48, 64, 3), dtype=np.uint8)
  evidence = [np.zeros((8, 3, 4)), np.random.default_rng(1).random((4, 6, 8))][:maps]
  save_explanation(tmp_path / "why.png", clip, evidence, np.arange(0, 80, 10), "a_b$c.mp4: slide left, 97.1%")
  assert min(cv2.imread(str(tmp_path / "why.png")).shape[:2]) > 300


@pytest.mark.parametrize("classes", [1, 8, 400])
def test_a_confusion_matrix_is_drawn(tmp_path, classes):
  matrix = np.random.default_rng(0).integers(0, 20, (classes, classes))
  matrix[0] = 0  # a class without videos
  save_confusion(tmp_path / "confusion.png", matrix, [f"class_{k}" for k in range(classes)], "validation")
  assert cv2.imread(str(tmp_path / "confusion.png")).shape[0] < 3000


def test_long_names_are_shortened():
  assert shorten("short") == "short"
  assert len(shorten("x" * 100)) == 32
