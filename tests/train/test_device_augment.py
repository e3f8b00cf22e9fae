import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from vidjax.apply.device_augment import ColorJitter, CutMix, Mixup, Normalise, OneOf, RandomErasing
from vidjax.errors import ConfigError

TRANSFORMS = {
  "mixup": Mixup(alpha=1.0),
  "cutmix": CutMix(),
  "one_of": OneOf((Mixup(alpha=1.0), CutMix())),
  "color_jitter": ColorJitter(),
  "random_erasing": RandomErasing(1.0),
}
MIXING = ("mixup", "cutmix", "one_of")


def batch(size=8, dtype=np.uint8):
  rng = np.random.default_rng(0)
  video = np.repeat(rng.integers(0, 256, (size, 1, 12, 10, 3), np.uint8), 3, 1)  # still clips show what frames share
  video = video if dtype == np.uint8 else (video / 255).astype(dtype)
  label = np.arange(size, dtype=np.int32) % 5
  return {"video": video, "label": label, "target": np.eye(5, dtype=np.float32)[label], "mask": np.ones(size, bool)}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_contract(name):
  transform = jax.jit(TRANSFORMS[name])
  given = batch()
  for seed in range(2):
    key = jax.random.key(seed)
    result = transform(given, key)
    video = np.asarray(result["video"])
    assert video.shape == given["video"].shape
    assert video.dtype == np.float32
    assert video.min() >= 0
    assert video.max() <= 1
    np.testing.assert_array_equal(video, np.repeat(video[:, :1], 3, 1))
    np.testing.assert_array_equal(result["label"], given["label"])
    np.testing.assert_allclose(video, TRANSFORMS[name](batch(dtype=np.float32), key)["video"], atol=1e-6)  # jit, dtype
    assert result["target"].shape == (8, 5)
    assert result["target"].dtype == np.float32
    np.testing.assert_allclose(result["target"].sum(-1), 1, atol=1e-6)
    if name not in MIXING:
      np.testing.assert_array_equal(result["target"], given["target"])
  assert (video != np.asarray(transform(given, jax.random.key(99))["video"])).any()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_sharded_batch_gives_the_same(name):
  mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:4])
  sharded = jax.device_put(batch(), NamedSharding(mesh, PartitionSpec("data")))
  transform = jax.jit(TRANSFORMS[name])
  expected, result = transform(batch(), jax.random.key(3)), transform(sharded, jax.random.key(3))
  for entry in expected:
    np.testing.assert_allclose(result[entry], expected[entry], atol=1e-6)


@pytest.mark.parametrize(
  "transform", [Mixup(probability=0), CutMix(probability=0), RandomErasing(0), ColorJitter(0, 0, 0, 0)]
)
def test_probability_zero_is_the_identity(transform):
  given = batch()
  result = transform(given, jax.random.key(0))
  np.testing.assert_allclose(result["video"], given["video"] / 255, atol=3e-6)
  if "target" in result:
    np.testing.assert_array_equal(result["target"], np.eye(5)[given["label"]])


def test_mixup_blends_video_and_target_alike():
  given = batch()
  result = Mixup(alpha=1.0)(given, jax.random.key(1))
  weight = float(result["target"][0, 0])  # clip 0 has label 0, its partner label 2
  assert 0 < weight < 1
  unit = given["video"] / 255
  np.testing.assert_allclose(result["video"], weight * unit + (1 - weight) * unit[::-1], atol=1e-6)
  np.testing.assert_allclose(result["target"][0], [weight, 0, 1 - weight, 0, 0], atol=1e-6)


def test_cutmix_target_is_the_share_of_pixels():
  given = {**batch(), "video": np.repeat(np.arange(8, dtype=np.float32) / 8, 360 * 3).reshape(8, 3, 12, 10, 3)}
  shares = []
  for seed in range(20):
    result = CutMix()(given, jax.random.key(seed))
    own = np.mean(np.asarray(result["video"][0]) == 0)
    np.testing.assert_allclose(result["target"][0, 0], own, atol=1e-6)
    pasted = np.asarray(result["video"][0, 0, :, :, 0]) != 0
    rows, columns = pasted.any(1), pasted.any(0)
    np.testing.assert_array_equal(pasted, rows[:, None] & columns[None])  # a box
    shares.append(own)
  assert max(shares) - min(shares) > 0.5


def test_mixing_twice_keeps_distributions():
  once = Mixup(alpha=1.0)(batch(), jax.random.key(1))
  twice = CutMix()(once, jax.random.key(2))
  np.testing.assert_allclose(twice["target"].sum(-1), 1, atol=1e-6)


def test_one_of_draws_every_transform():
  transform = OneOf((RandomErasing(1.0, color=(0, 0, 0)), RandomErasing(1.0, color=(1, 1, 1))))
  given = {**batch(), "video": np.full((8, 3, 12, 10, 3), 0.5, np.float32)}
  colors = {float(jnp.sign(transform(given, jax.random.key(seed))["video"] - 0.5).sum() > 0) for seed in range(12)}
  assert colors == {0.0, 1.0}


def test_random_erasing_paints_a_box_of_the_right_area():
  given = {**batch(64), "video": np.full((64, 3, 40, 50, 3), 0.9, np.float32)}
  erased = np.asarray(RandomErasing(0.5, area=(0.1, 0.2))(given, jax.random.key(0))["video"]) != np.float32(0.9)
  area = erased[:, 0, :, :, 0].mean((1, 2))
  assert 16 < (area > 0).sum() < 48
  assert area[area > 0].min() > 0.08
  assert area.max() < 0.22
  places = {(int(mask.any(1).argmax()), int(mask.any(0).argmax())) for mask in erased[area > 0][:, 0, :, :, 0]}
  assert len(places) > 10  # every clip its own box


def test_random_erasing_paints_noise_as_timm_does():
  """Normal once it is normalised, and drawn for every value; outside the box all stays."""
  given = {**batch(64), "video": np.full((64, 3, 40, 50, 3), 0.9, np.float32)}
  normalise = Normalise()
  plain, noisy = (
    np.asarray(RandomErasing(1.0, noise=noise)(given, jax.random.key(0))["video"]) for noise in ((0.0,), normalise.std)
  )
  box = plain != np.float32(0.9)
  np.testing.assert_array_equal(noisy[~box], plain[~box])
  values = np.asarray(normalise(noisy))[box]
  assert (values.mean(), values.std()) == pytest.approx((0, 1), abs=0.01)
  assert len(np.unique(values)) > 0.9 * len(values)


def test_color_jitter_against_numpy():
  given = batch(dtype=np.float32)
  video = given["video"] * 0.5 + 0.2
  given["video"] = video
  grey = video @ np.array([0.299, 0.587, 0.114], np.float32)
  key = jax.random.key(0)
  draws = np.asarray(jax.random.uniform(key, (4, 8), minval=-1, maxval=1)).reshape(4, 8, 1, 1, 1, 1)
  result = ColorJitter(0.2, 0, 0, 0)(given, key)["video"]
  np.testing.assert_allclose(result, np.clip(video * (1 + 0.2 * draws[0]), 0, 1), atol=1e-5)
  mean = grey.mean((1, 2, 3)).reshape(8, 1, 1, 1, 1)
  result = ColorJitter(0, 0.2, 0, 0)(given, key)["video"]
  np.testing.assert_allclose(result, np.clip(mean + (video - mean) * (1 + 0.2 * draws[1]), 0, 1), atol=1e-5)
  result = ColorJitter(0, 0, 0.2, 0)(given, key)["video"]
  saturated = np.clip(grey[..., None] + (video - grey[..., None]) * (1 + 0.2 * draws[2]), 0, 1)
  np.testing.assert_allclose(result, saturated, atol=1e-5)


def test_hue_keeps_grey_and_luma():
  given = batch(dtype=np.float32)
  given["video"] = given["video"] * 0.2 + 0.4  # far enough inside [0, 1] that no value is clipped
  luma = np.array([0.299, 0.587, 0.114], np.float32)
  result = ColorJitter(0, 0, 0, 0.5)(given, jax.random.key(0))["video"]
  np.testing.assert_allclose(result @ luma, given["video"] @ luma, atol=1e-3)
  assert np.abs(result - given["video"]).max() > 0.05
  given["video"] = np.full_like(given["video"], 0.3)
  np.testing.assert_allclose(ColorJitter(0, 0, 0, 0.5)(given, jax.random.key(0))["video"], 0.3, atol=1e-3)


def test_normalise():
  video = batch()["video"]
  expected = (video / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
  for given in (video, (video / 255).astype(np.float32)):
    result = jax.jit(Normalise())(given)
    assert result.dtype == jnp.float32
    np.testing.assert_allclose(result, expected, atol=1e-5)
  np.testing.assert_allclose(
    Normalise((0.45,) * 3, (0.225,) * 3)(video[0, 0]), (video[0, 0] / 255 - 0.45) / 0.225, atol=1e-5
  )


@pytest.mark.parametrize("mixing", [Mixup, CutMix])
def test_mixing_weights_that_are_none_are_refused(mixing):
  words = {"alpha": "a finite number above 0", "probability": "a number from 0 to 1"}
  for wrong in ({"alpha": -1.0}, {"alpha": 0.0}, {"probability": 2.0}):
    (name, value), *_ = wrong.items()
    with pytest.raises(ConfigError, match=rf"{mixing.__name__}\({name}={value}\): must be {words[name]}"):
      mixing(**wrong)


def test_a_number_for_each_channel():
  batch = {"video": jnp.ones((2, 1, 4, 4, 5))}
  with pytest.raises(ConfigError, match=r"Normalise\(mean=\(0.485, .*\): clips have 5 channels, give each a"):
    Normalise()(batch["video"])
  with pytest.raises(ConfigError, match=r"RandomErasing\(color=\(0.485, .*\): clips have 5 channels"):
    RandomErasing()(batch, jax.random.key(0))
