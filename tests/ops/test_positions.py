"""Positions of tokens: PyTorch's interpolations, sines and cosines, rotations."""

import numpy as np
import pytest

from vidjax.ops.positions import resample, rotate, rotations, sinusoids

TABLE = np.sin(np.arange(20.0)).reshape(5, 4, 1).astype("float32")
# torch 2.14: interpolate(TABLE, size=(7, 3), mode=...), corners not aligned
CUBIC = [
  [0.19179, 1.16422, 0.23036],
  [-0.59315, -0.05836, 0.57198],
  [-0.38561, -0.78589, 0.10065],
  [0.92311, -0.07732, -0.95115],
  [0.01531, 0.81691, 0.28090],
  [-0.54020, 0.15329, 0.59579],
  [-0.38657, -1.14790, -0.02967],
]
NEAREST = TABLE[[0, 0, 1, 2, 2, 3, 4]][:, [0, 1, 2], 0]
LINEAR = [0.0, -0.33110, -0.64767, 0.44368, 0.51250, -0.44120, -0.39670, -0.28790]  # the first column, to 8


@pytest.mark.parametrize(("how", "expected"), [("cubic", CUBIC), ("nearest", NEAREST)])
def test_a_table_is_resampled_as_pytorch_does(how, expected):
  np.testing.assert_allclose(resample(TABLE, (7, 3), how)[..., 0], expected, atol=1e-5)


def test_linear_and_a_grid_of_the_same_size():
  np.testing.assert_allclose(resample(TABLE[:, :1], (8, 1), "linear")[:, 0, 0], LINEAR, atol=1e-5)
  np.testing.assert_array_equal(resample(TABLE, (5, 4)), TABLE)


def test_sines_and_cosines_alternate():
  table = sinusoids(6, 4)
  steps = np.arange(6)
  columns = [np.sin(steps), np.cos(steps), np.sin(steps / 100), np.cos(steps / 100)]
  np.testing.assert_allclose(table, np.stack(columns, 1), atol=1e-6)


def test_products_of_turned_vectors_depend_on_distances_alone():
  """Of channels whose pair has one frequency; the last two of 14 are not turned at all."""
  grid = (3, 2, 4)
  cosines, sines = rotations(grid, grid, 14, False)
  assert cosines.shape == (24, 14)
  np.testing.assert_array_equal(cosines[:, 12:], 1)
  np.testing.assert_array_equal(sines[0], 0)
  np.testing.assert_allclose(sines.reshape(*grid, 14)[2, 0, 0, :4], np.sin(2 * np.tile([1, 0.01], 2)), rtol=1e-6)
  query = np.random.default_rng(0).normal(size=(1, 24, 1, 14)).astype("float32")
  turned = rotate(query, cosines, sines)
  np.testing.assert_array_equal(turned[0, 0], query[0, 0])
  pairs = np.asarray(turned).reshape(24, 7, 2)[:, :2]  # of time: channels 0 to 3, frequencies 1, .01, 1, .01
  first, second = cosines.reshape(24, 7, 2)[5, 0], sines.reshape(24, 7, 2)[5, 0]
  a, b = query[0, 5, 0, :2]
  np.testing.assert_allclose(pairs[5, 0], [a * first[0] - b * second[0], b * first[1] + a * second[1]], rtol=1e-5)


def test_other_grids_span_the_same_frame_and_time_unless_they_extend():
  large, _ = rotations((4, 4, 4), (2, 2, 2), 6, False)
  small, _ = rotations((2, 2, 2), (2, 2, 2), 6, False)
  longer, _ = rotations((4, 2, 2), (2, 2, 2), 6, True)
  np.testing.assert_allclose(large.reshape(4, 4, 4, 6)[::2, ::2, ::2], small.reshape(2, 2, 2, 6), rtol=1e-6)
  np.testing.assert_allclose(longer.reshape(4, 2, 2, 6)[:2], small.reshape(2, 2, 2, 6), rtol=1e-6)
  np.testing.assert_allclose(longer.reshape(4, 2, 2, 6)[3, 0, 0, 0], np.cos(3), rtol=1e-6)
