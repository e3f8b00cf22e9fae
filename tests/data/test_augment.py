import json

import cv2
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


def resized(video, short_side):
  """torchvision's Resize: the short side exact, the longer one truncated; no frame of these shrinks by half."""
  height, width = video.shape[1:3]
  short, long = sorted((height, width))
  new = int(short_side * long / short)
  size = (new, short_side) if width >= height else (short_side, new)
  return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR) for frame in video])


FRAMES = [(32, height, width, 28) for height, width in ((32, 57), (32, 59), (57, 32), (32, 58))]  # odd and even spares
FRAMES += [(32, 18, 29, 28), (32, 29, 18, 32), (32, 40, 61, 28)]  # enlarged, enlarged and upright, shrunk


@pytest.mark.parametrize(("short_side", "height", "width", "size"), FRAMES)
def test_the_centre_is_torchvisions(short_side, height, width, size):
  """CenterCrop of torchvision on the resized frame: `int(round((side - size) / 2.0))` from the top and the left."""
  video = noise(2, height, width)
  whole = resized(video, short_side)
  top, left = (round((side - size) / 2) for side in whole.shape[1:3])
  expected = whole[:, top : top + size, left : left + size]
  np.testing.assert_array_equal(TestCrops(size, short_side)(video), [expected])
  crop = CenterCrop(size, short_side)({"video": video, "label": 0}, np.random.default_rng(0))["video"]
  np.testing.assert_array_equal(crop, expected)


def test_the_centre_of_455_pixels_begins_at_116():
  video = noise(1, 256, 455)
  np.testing.assert_array_equal(TestCrops(224, 256)(video)[0], video[:, 16:240, 116:340])


@pytest.mark.parametrize(("short_side", "height", "width", "size"), FRAMES)
def test_several_crops_stand_at_tsms_quarter_steps(short_side, height, width, size):
  """GroupFullResSample (along the longer side) and GroupOverSample of TSM's code."""
  video = noise(2, height, width)
  whole = resized(video, short_side)
  h_step, w_step = ((side - size) // 4 for side in whole.shape[1:3])

  def cut(places):
    return [whole[:, y : y + size, x : x + size] for x, y in places]

  three = [(0, 2 * h_step), (2 * w_step, 2 * h_step), (4 * w_step, 2 * h_step)]
  if height > width:
    three = [(2 * w_step, 0), (2 * w_step, 2 * h_step), (2 * w_step, 4 * h_step)]
  np.testing.assert_array_equal(TestCrops(size, short_side, crops=3)(video), cut(three))
  five = [(0, 0), (4 * w_step, 0), (0, 4 * h_step), (4 * w_step, 4 * h_step), (2 * w_step, 2 * h_step)]
  np.testing.assert_array_equal(TestCrops(size, short_side, crops=5)(video), cut(five))
  ten = TestCrops(size, short_side, crops=10)(video)
  np.testing.assert_array_equal(ten, [*cut(five), *(view[:, :, ::-1] for view in cut(five))])


def test_scale_jitter_cuts_out_of_the_enlarged_frame():
  """A small film has as many crops as a large one, each an exact cut."""
  video, transform = noise(1, 9, 14), ScaleJitterCrop(16, (20, 20))
  whole = resized(video, 20)
  cuts = {whole[:, y : y + 16, x : x + 16].tobytes(): (y, x) for y in range(5) for x in range(16)}
  seen = {
    cuts[transform({"video": video, "label": 0}, np.random.default_rng(seed))["video"].tobytes()] for seed in range(400)
  }
  assert len(seen) > 70


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


@pytest.mark.parametrize("channels", [1, 5, 8])
@pytest.mark.parametrize("size", [16, 40, 60])  # averaged over areas, interpolated, enlarged
def test_any_number_of_channels_is_resized_as_each_by_itself(channels, size):
  video = np.random.default_rng(0).integers(256, size=(2, 50, 70, channels), dtype=np.uint8)
  views = TestCrops(size, crops=10, signed=(channels - 1,))(video)
  alone = [TestCrops(size, crops=10)(np.repeat(video[..., [c]], 3, axis=-1))[..., :1] for c in range(channels)]
  alone[-1][5:] = 255 - alone[-1][5:]
  np.testing.assert_array_equal(views, np.concatenate(alone, axis=-1))
