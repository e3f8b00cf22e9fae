"""Corner crops are cuts at the five places, each as often."""

from collections import Counter

import numpy as np
import pytest

from vidjax.data.corner_crop import CornerCrop
from vidjax.errors import ConfigError


def test_each_place_is_cut_as_often():
  frame = np.arange(8 * 12, dtype=np.uint8).reshape(1, 8, 12, 1).repeat(2, 0)
  crop = CornerCrop(4, 8)
  corners = {(2, 4), (0, 0), (0, 8), (4, 0), (4, 8)}
  assert set(crop.places(8, 12)) == corners
  rng = np.random.default_rng(0)
  found: Counter[int] = Counter()
  for _ in range(500):
    video = crop({"video": frame, "label": 1}, rng)["video"]
    top, left = divmod(int(video[0, 0, 0, 0]), 12)
    np.testing.assert_array_equal(video, frame[:, top : top + 4, left : left + 4])
    found[top, left] += 1
  assert set(found) == corners
  assert min(found.values()) > 60


def test_one_region_is_the_centre_and_the_short_side_comes_first():
  assert CornerCrop(4, 8, 1).places(8, 12) == [(2, 4)]
  video = CornerCrop(4, 6)({"video": np.zeros((3, 12, 20, 3), np.uint8)}, np.random.default_rng(0))["video"]
  assert video.shape == (3, 4, 4, 3)
  with pytest.raises(ConfigError, match="short_side=3 is smaller than size=4"):
    CornerCrop(4, 3)
