"""Descriptors: histograms that sum to 1, and what counts as alike."""

import colorsys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.summarize.films import BLACK, BLUE, GREY, RED, scene
from vidjax.summarize.descriptors import (
  SIMILAR_COLOURS,
  changes,
  colour_histogram,
  distances,
  hue_histogram,
  shows_nothing,
)


def test_the_hue_of_each_pixel():
  image = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
  hues = np.array([180 * colorsys.rgb_to_hsv(*pixel)[0] for pixel in image.reshape(-1, 3) / 255])
  expected = np.bincount((np.rint(hues).astype(int) % 180) * 16 // 180, minlength=16) / 63
  assert np.abs(hue_histogram(image) - expected).sum() <= 4 / 63  # OpenCV rounds a hue on the border either way


@pytest.mark.parametrize("describe", [hue_histogram, colour_histogram])
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_histograms_sum_to_one(describe, seed, height, width):
  image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
  histogram = describe(image)
  assert histogram.dtype == np.float32
  assert histogram.min() >= 0
  assert histogram.sum() == pytest.approx(1, abs=1e-5)


def test_colours_tell_grey_frames_apart_and_hues_do_not():
  dark, light = (np.full((48, 64, 3), level, np.uint8) for level in (40, 220))
  assert np.array_equal(hue_histogram(dark), hue_histogram(light))
  assert np.abs(colour_histogram(dark) - colour_histogram(light)).sum() == pytest.approx(2)


def test_colours_change_little_with_brightness_and_size():
  image = scene(GREY, 1)[0]
  brighter = np.clip(image.astype(int) + 3, 0, 255).astype(np.uint8)
  larger = cv2.resize(image, None, fx=6, fy=6, interpolation=cv2.INTER_NEAREST)
  for other in (brighter, larger):
    assert np.abs(colour_histogram(image) - colour_histogram(other)).sum() < SIMILAR_COLOURS
  assert np.abs(colour_histogram(scene(RED, 1)[0]) - colour_histogram(scene(BLUE, 1)[0])).sum() > 1


def test_frames_of_one_colour_show_nothing():
  assert shows_nothing(scene(BLACK, 1)[0])
  assert shows_nothing(np.full((8, 8, 3), (200, 20, 20), np.uint8))
  assert not shows_nothing(scene(RED, 1)[0])


def test_distances_and_changes():
  x = np.array([[1, 0], [0, 1], [0.5, 0.5]])
  np.testing.assert_allclose(distances(x, x[:2]), [[0, 2], [2, 0], [1, 1]])
  np.testing.assert_allclose(changes(x), [0, 2, 1])
  np.testing.assert_allclose(changes(x[:1]), [0])
