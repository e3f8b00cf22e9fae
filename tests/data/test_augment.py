import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidjax.data.augment import (
  CenterCrop,
  Flip,
  MultiScaleCrop,
  RandomResizedCrop,
  Resize,
  ScaleJitterCrop,
  TestCrops,
  crop_and_resize,
)
from vidjax.errors import ConfigError

SPATIAL = (
  MultiScaleCrop(12),
  MultiScaleCrop(12, fixed_offsets=False),
  RandomResizedCrop(12),
  ScaleJitterCrop(12, (14, 18)),
  CenterCrop(12),
  CenterCrop(12, short_side=16),
  Resize(12),
)


def noise(length=3, height=17, width=33, seed=0):
  return np.random.default_rng(seed).integers(0, 256, (length, height, width, 3), np.uint8)


def ramp(height, width):
  """Two frames that say where a pixel is: channel 0 the row, channel 1 the column."""
  rows, columns = np.mgrid[:height, :width]
  return np.stack([np.stack([rows, columns, 0 * rows], -1).astype(np.uint8)] * 2)


def test_golden_multi_scale_crops(shared_golden):
  cases = json.loads((shared_golden / "schedule_sampling_aug.json").read_text())["multiscale_crop"]
  assert len(cases) == 5
  for case in cases:
    height, width = case["image_h"], case["image_w"]
    crop = MultiScaleCrop(case["input_size"])
    sizes = crop.crop_sizes(height, width)
    assert sorted([w, h] for h, w in sizes) == sorted(case["crop_wh_pairs"])
    for h, w in sizes:
      places = crop.offsets(height - h, width - w)
      assert sorted([x, y] for y, x in places) == sorted(case["offsets_by_pair"][f"{w}x{h}"])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_any_image_gives_square_frames(height, width, seed):
  video = noise(2, height, width)
  for transform in SPATIAL:
    clip = transform({"video": video, "label": 3}, np.random.default_rng(seed))
    assert (clip["video"].shape, clip["video"].dtype) == ((2, 12, 12, 3), np.uint8)
    assert clip["label"] == 3
    again = transform({"video": video.copy(), "label": 3}, np.random.default_rng(seed))
    np.testing.assert_array_equal(clip["video"], again["video"])
  for crops in (1, 3, 5, 10):
    assert TestCrops(12, 14, crops)(video).shape == (crops, 2, 12, 12, 3)


@pytest.mark.parametrize("transform", [*SPATIAL, Flip(1.0)], ids=lambda t: type(t).__name__)
def test_frames_share_the_parameters_and_the_input_stays(transform):
  frame = noise(1)
  video = np.repeat(frame, 4, 0)
  clip = {"video": video, "label": 0}
  for seed in range(5):
    result = transform(clip, np.random.default_rng(seed))["video"]
    np.testing.assert_array_equal(result, [result[0]] * 4)
  np.testing.assert_array_equal(clip["video"], np.repeat(frame, 4, 0))


def test_a_crop_of_the_right_size_is_an_exact_cut():
  video = noise()
  np.testing.assert_array_equal(crop_and_resize(video, (2, 5, 12, 12), 12), video[:, 2:14, 5:17])


def test_resizing_averages_areas_and_interpolates():
  video = np.zeros((1, 4, 4, 3), np.uint8)
  video[0, :2, :2] = 200
  np.testing.assert_array_equal(crop_and_resize(video, (0, 0, 4, 4), 2)[0][..., 0], [[200, 0], [0, 0]])
  np.testing.assert_array_equal(crop_and_resize(video, (0, 0, 4, 4), 1)[0][..., 0], [[50]])
  row = crop_and_resize(video, (0, 0, 4, 4), 8)[0][0, :, 0]
  assert (np.diff(row.astype(int)) <= 0).all()
  assert (row[0], row[-1]) == (200, 0)


def test_flip_mirrors_and_swaps_labels():
  video = noise()
  flip = Flip(1.0, swap=((1, 2), (5, 6)))
  for label, mirrored in ((0, 0), (1, 2), (2, 1), (5, 6), (6, 5)):
    clip = flip({"video": video, "label": label}, np.random.default_rng(0))
    assert clip["label"] == mirrored
    np.testing.assert_array_equal(clip["video"], video[:, :, ::-1])
  assert Flip(0.0)({"video": video, "label": 1}, np.random.default_rng(0))["video"] is video
  labels = [Flip(0.5, ((1, 2),))({"video": video, "label": 1}, np.random.default_rng(s))["label"] for s in range(400)]
  assert 150 < labels.count(2) < 250


def test_random_crops_reach_the_whole_image():
  video = ramp(20, 30)
  for transform in (RandomResizedCrop(10), ScaleJitterCrop(10, (10, 20)), MultiScaleCrop(10, fixed_offsets=False)):
    seen = [transform({"video": video, "label": 0}, np.random.default_rng(s))["video"][0] for s in range(300)]
    lowest, highest = np.min(seen, (0, 1, 2)), np.max(seen, (0, 1, 2))
    assert (lowest[:2] <= 1).all()
    assert highest[0] >= 18
    assert highest[1] >= 28


def test_random_resized_crop_keeps_to_its_ranges(monkeypatch):
  boxes = []
  monkeypatch.setattr("vidjax.data.augment.crop_and_resize", lambda video, box, size: boxes.append(box) or video)
  crop = RandomResizedCrop(10, area=(0.25, 0.5), aspect=(0.5, 2.0))
  for seed in range(300):
    crop({"video": np.zeros((1, 200, 300, 3), np.uint8), "label": 0}, np.random.default_rng(seed))
  area = np.array([h * w / 60000 for _, _, h, w in boxes])
  aspect = np.array([w / h for _, _, h, w in boxes])
  assert 0.24 < area.min() < 0.28
  assert 0.47 < area.max() < 0.51
  assert 0.49 < aspect.min() < 0.6
  assert 1.7 < aspect.max() < 2.02


def test_test_crops_lie_where_they_should():
  views = TestCrops(10, crops=3)(ramp(10, 30))
  assert views[:, 0, 0, 0, 1].tolist() == [0, 10, 20]
  views = TestCrops(10, crops=3)(ramp(30, 10))
  assert views[:, 0, 0, 0, 0].tolist() == [0, 10, 20]
  views = TestCrops(10, short_side=20, crops=5)(ramp(20, 30))
  assert [tuple(view[0, 0, 0, :2]) for view in views] == [(0, 0), (0, 20), (10, 0), (10, 20), (5, 10)]
  views = TestCrops(10, short_side=20, crops=10)(ramp(20, 30))
  np.testing.assert_array_equal(views[5:], views[:5, :, :, ::-1])
  centre = TestCrops(10, short_side=20)(ramp(20, 30))
  np.testing.assert_array_equal(centre[0], ramp(20, 30)[:, 5:15, 10:20])


def test_test_crops_go_clip_by_clip():
  clips = np.stack([noise(2, 10, 14, seed) for seed in range(3)])
  views = TestCrops(8, crops=3)(clips)
  np.testing.assert_array_equal(views, np.concatenate([TestCrops(8, crops=3)(clip) for clip in clips]))


def test_refuses_what_cannot_be_cut():
  with pytest.raises(ConfigError, match="crops=4"):
    TestCrops(10, crops=4)
  with pytest.raises(ConfigError, match="short_side=9"):
    TestCrops(10, short_side=9)
  with pytest.raises(ConfigError, match="short_sides"):
    ScaleJitterCrop(300)


@pytest.mark.parametrize(
  ("make", "values"),
  [
    (CenterCrop, {"short_side": 20}),
    (ScaleJitterCrop, {"short_sides": (60,)}),
    (MultiScaleCrop, {"scales": ()}),
    (MultiScaleCrop, {"scales": (2.0,)}),
    (MultiScaleCrop, {"max_distort": -1}),
    (RandomResizedCrop, {"area": (-1.0, 0.5)}),
    (RandomResizedCrop, {"area": (1.0, 0.1)}),
    (RandomResizedCrop, {"area": (0.5, 3.0)}),
    (RandomResizedCrop, {"aspect": (0.0, 1.0)}),
  ],
)
def test_values_no_crop_can_have_are_named(make, values):
  with pytest.raises(ConfigError, match=f"{make.__name__}.*{next(iter(values))}"):
    make(48, **values)
