import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidjax.data import rand_augment
from vidjax.data.rand_augment import OPERATIONS, TIMM, RandAugment
from vidjax.errors import ConfigError


def noise(length=3, height=17, width=33, seed=0):
  return np.random.default_rng(seed).integers(0, 256, (length, height, width, 3), np.uint8)


EVER = ("equalize", "autocontrast", "invert", "posterize_more")
"""Operations that change a clip at any strength."""
ALL = {operation.__name__: operation for operation in (*OPERATIONS.values(), *TIMM.values())}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", [(1, 1), (17, 33), (24, 24)])
def test_operations_keep_shape_and_share_parameters(name, size):
  video = np.repeat(noise(1, *size), 3, 0)
  before = video.copy()
  for strength in (-1.0, -0.3, 0.0, 0.3, 1.0):
    result = ALL[name](video, strength)
    assert result.shape == video.shape
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, np.repeat(result[:1], 3, 0))
    if strength == 0 and name not in EVER:
      np.testing.assert_array_equal(result, video)
  np.testing.assert_array_equal(video, before)


@pytest.mark.parametrize("name", ALL)
def test_operations_change_a_clip(name):
  video = noise() // 2 + 40
  assert (ALL[name](video, 0.7) != video).any()


def test_photometric_operations_against_numpy():
  video = noise()
  values = video.astype(float)

  def clipped(x):
    return np.clip(np.rint(x), 0, 255)

  np.testing.assert_array_equal(rand_augment.posterize(video, 1.0), video & 0xF0)
  np.testing.assert_array_equal(rand_augment.solarize(video, 0.5), np.where(video >= 128, 255 - video, video))
  np.testing.assert_array_equal(rand_augment.invert(video, 0.5), 255 - video)
  np.testing.assert_array_equal(rand_augment.posterize_more(video, 0.7), video & 0xC0)  # timm: int(4 - 2.8) = 2 bits
  np.testing.assert_array_equal(rand_augment.posterize_more(video, 1.0), 0)
  np.testing.assert_array_equal(rand_augment.solarize_add(video, 0.7), np.where(video < 128, video + 77, video))
  np.testing.assert_array_equal(rand_augment.brightness(video, -0.5), clipped(values * 0.55))
  grey = values @ [0.299, 0.587, 0.114]
  expected = clipped((values - grey.mean()) * 1.45 + grey.mean())
  np.testing.assert_allclose(rand_augment.contrast(video, 0.5), expected, atol=1)
  np.testing.assert_allclose(rand_augment.color(video, -0.5), clipped(values * 0.55 + grey[..., None] * 0.45), atol=1)


def test_histogram_operations_fill_the_range():
  video = noise() // 4 + 30
  for operation in (rand_augment.equalize, rand_augment.autocontrast):
    result = operation(video, 0.0)
    assert (result.min((0, 1, 2)) == 0).all()
    assert (result.max((0, 1, 2)) == 255).all()
  flat = np.full((2, 5, 5, 3), 77, np.uint8)
  np.testing.assert_array_equal(rand_augment.equalize(flat, 0.0), flat)


def test_geometric_operations_move_pixels():
  video = np.zeros((2, 21, 21, 3), np.uint8)
  video[:, 10, 10] = 255  # the centre stays where it is under rotation and shear
  for operation in (rand_augment.rotate, rand_augment.shear_x, rand_augment.shear_y):
    assert (operation(video, 0.5)[:, 10, 10] == 255).all()
  moved = rand_augment.translate_x(video, 10 / (0.45 * 21) * 0.9)
  assert (moved[:, 10, 19] == 255).all()
  assert (moved[:, :, 0] == 128).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 4), st.floats(0, 30), st.integers(0, 2**32 - 1))
def test_is_drawn_from_the_generator_alone(num_ops, magnitude, seed):
  transform = RandAugment(num_ops, magnitude)
  clips = [transform({"video": noise(), "label": 5}, np.random.default_rng(seed)) for _ in range(2)]
  assert clips[0]["label"] == 5
  assert clips[0]["video"].shape == noise().shape
  np.testing.assert_array_equal(clips[0]["video"], clips[1]["video"])
  if not num_ops:
    np.testing.assert_array_equal(clips[0]["video"], noise())


def test_timms_settings_draw_the_strength_and_whether_to_apply(monkeypatch):
  """rand-m7-n4-mstd0.5-inc1: 4 of 15 operations, each applied half of the time, at 7 +- .5 of 10."""
  drawn = []
  assert len(TIMM) == 15
  for name in TIMM:
    monkeypatch.setitem(TIMM, name, lambda video, strength: drawn.append(strength) or video)
  rng = np.random.default_rng(0)
  for _ in range(500):
    RandAugment(4, 21, 1.5, 0.5, "timm")({"video": noise(1, 1, 1)}, rng)
  strengths = np.array(drawn)
  assert len(strengths) == pytest.approx(1000, abs=100)
  assert np.abs(strengths).mean() == pytest.approx(0.7, abs=0.01)
  assert np.abs(strengths).std() == pytest.approx(0.05, abs=0.01)
  assert (strengths > 0).mean() == pytest.approx(0.5, abs=0.05)


def test_refuses_a_magnitude_out_of_range():
  with pytest.raises(ConfigError, match="magnitude=31"):
    RandAugment(2, 31)
