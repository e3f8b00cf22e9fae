"""The synthetic data set: what its classes promise, and that generating it is safe."""

import dataclasses
import multiprocessing
import pathlib

import cv2
import numpy as np
import pytest

from vidjax.data import synthetic_actions, synthetic_clips
from vidjax.data.dataset import open_dataset
from vidjax.data.schema import Record
from vidjax.errors import InputError

TINY = {"train": 20, "validation": 8}


@pytest.fixture
def tiny(monkeypatch):
  for name, variant in synthetic_actions.VARIANTS.items():
    smaller = dataclasses.replace(variant, clips=TINY)
    monkeypatch.setitem(synthetic_actions.VARIANTS, name, smaller)


def rng(seed: int) -> np.random.Generator:
  return np.random.default_rng(seed)


@pytest.mark.parametrize("action", range(0, 8, 2))
@pytest.mark.parametrize("texture", [0, 5])
def test_an_action_played_backwards_is_its_twin(action, texture):
  forward = synthetic_clips.draw_action(action, rng(3), texture).video
  twin = synthetic_clips.draw_action(action + 1, rng(3), texture).video
  np.testing.assert_array_equal(forward[::-1], twin)
  assert not np.array_equal(forward, twin)


def sprite_mask(frame: np.ndarray) -> np.ndarray:
  """Where the saturated sprite is: backgrounds are nearly grey."""
  spread = frame.max(-1).astype(int) - frame.min(-1)
  return cv2.morphologyEx((spread > 90).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3))) > 0


def measure(frame: np.ndarray) -> np.ndarray:
  """x, y, direction from the centre of one colour to that of the whole, area."""
  mask = sprite_mask(frame)
  rows, columns = np.nonzero(mask)
  pixels = frame[mask].astype(np.float32)
  _, side, _ = cv2.kmeans(pixels, 2, None, (cv2.TERM_CRITERIA_MAX_ITER, 10, 0), 1, cv2.KMEANS_PP_CENTERS)
  one = side[:, 0] == side[:, 0][0]
  return np.array([columns.mean(), rows.mean(), one.mean(), mask.sum()])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
  ("name", "axis", "sign"),
  [
    ("slide_left", 0, -1),
    ("slide_right", 0, 1),
    ("slide_up", 1, -1),
    ("slide_down", 1, 1),
    ("grow", 3, 1),
    ("shrink", 3, -1),
  ],
)
def test_actions_do_what_their_names_say(name, axis, sign, seed):
  video = synthetic_clips.draw_action(synthetic_clips.ACTIONS.index(name), rng(seed)).video
  change = measure(video[-1]) - measure(video[0])
  least = 8 if axis < 2 else 40
  assert sign * change[axis] > least
  if axis < 2:
    assert abs(change[1 - axis]) < 4


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("name", "sign"), [("rotate_clockwise", 1), ("rotate_counterclockwise", -1)])
def test_rotations_turn_the_way_they_say(name, sign, seed):
  """The turn between neighbouring sampled frames is found by trying angles."""
  video = synthetic_clips.draw_action(synthetic_clips.ACTIONS.index(name), rng(seed)).video
  first, later = video[0].astype(np.float32), video[3].astype(np.float32)
  x, y = measure(video[0])[:2]
  errors = {}
  for degrees in range(-40, 41, 4):
    turn = cv2.getRotationMatrix2D((x, y), -degrees, 1.0)  # OpenCV's positive angles turn counter-clockwise
    mask = sprite_mask(video[3])
    errors[degrees] = np.abs(cv2.warpAffine(first, turn, first.shape[:2]) - later)[mask].mean()
  assert sign * min(errors, key=errors.__getitem__) >= 8


def test_sparse_shows_the_action_in_the_key_frames_only():
  clips = [synthetic_clips.draw_sparse(action, rng(5)) for action in range(8)]
  key_frames = clips[0].key_frames
  assert 6 <= len(key_frames) <= 10
  assert key_frames == list(range(key_frames[0], key_frames[-1] + 1))
  rest = np.setdiff1d(np.arange(64), key_frames)
  for other in clips[1:]:
    assert other.key_frames == key_frames
    np.testing.assert_array_equal(clips[0].video[rest], other.video[rest])
    assert not np.array_equal(clips[0].video[key_frames], other.video[key_frames])


def test_repeat_follows_its_routine():
  for routine, (first, second, share) in synthetic_clips.ROUTINES.items():
    clip = synthetic_clips.draw_repeat(routine, rng(7))
    labels = [synthetic_clips.MOTIONS[label] for label in clip.frame_labels]
    assert len(labels) == len(clip.video) == 96
    assert set(labels) == {first, second}
    assert labels == sorted(labels, key=[first, second].index)
    assert abs(labels.count(first) - 96 * share) <= 4


@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
def test_scene_shares_are_exact_in_training_and_chance_in_validation(share):
  variant = synthetic_actions.VARIANTS[f"scene:{share}"]
  agree = {
    split: np.array([synthetic_actions.texture(variant, split, n) == n % 8 for n in range(clips)])
    for split, clips in variant.clips.items()
  }
  np.testing.assert_allclose(agree["train"].reshape(-1, 8).mean(0), share)
  assert abs(agree["validation"].mean() - 1 / 8) < 0.05


def test_textures_differ_in_structure_not_in_mean_or_contrast():
  draws = np.array([[synthetic_clips._texture(t, rng(seed)) for seed in range(40)] for t in range(8)])
  gray = draws.mean(-1)
  np.testing.assert_allclose(gray.mean((1, 2, 3)), gray.mean(), atol=0.1)
  np.testing.assert_allclose(gray.std((2, 3)), synthetic_clips.CONTRAST, rtol=1e-3)
  spectra = np.abs(np.fft.fft2(gray - gray.mean((2, 3), keepdims=True))).mean(1)
  spectra /= np.linalg.norm(spectra, axis=(1, 2), keepdims=True)
  likeness = np.einsum("aij,bij->ab", spectra, spectra) - np.eye(8)
  assert likeness.max() < 0.9


def test_classes_are_balanced(tmp_path, tiny):
  dataset = open_dataset("synthetic_actions/order", str(tmp_path))
  source = dataset.source("validation")
  labels = [Record.parse(source[i]).label for i in range(len(source))]
  np.testing.assert_array_equal(np.bincount(labels, minlength=8), 1)
  assert dataset.class_names == list(synthetic_clips.ACTIONS)


@pytest.mark.parametrize("name", ["order", "order:48", "scene:.9", "sparse", "repeat"])
def test_records_survive_the_jpeg_path_and_are_the_same_every_time(tmp_path, tiny, name):
  sources = [open_dataset(f"synthetic_actions/{name}", str(tmp_path / k)).source("train") for k in "ab"]
  assert [sources[0][i] for i in range(20)] == [sources[1][i] for i in range(20)]
  variant = synthetic_actions.VARIANTS[name.replace(":.", ":0.")]
  for number in (0, 13):
    record = Record.parse(sources[0][number])
    drawn = synthetic_actions.make_example(variant, "train", number)
    assert (record.video_id, record.label) == (drawn["video_id"], drawn["label"])
    assert list(record.frames) == drawn["video"]
    assert record.num_frames == {"order:48": 48, "sparse": 64, "repeat": 96}.get(name, 24)
    assert (record.key_frames is not None) == (name == "sparse")
    assert (record.frame_labels is not None) == (name == "repeat")
    assert record.decode([0, 5]).shape == (2, 48, 48, 3)


def test_sizes_are_those_promised():
  sizes = {name: dict(variant.clips) for name, variant in synthetic_actions.VARIANTS.items()}
  assert sizes["order"] == sizes["order:48"] == sizes["scene:0.9"] == {"train": 2000, "validation": 500}
  assert sizes["sparse"] == sizes["repeat"] == {"train": 800, "validation": 200}


def test_unknown_variants_are_named(tmp_path):
  with pytest.raises(InputError, match=r"no synthetic_actions/scene:\.8; there is order"):
    open_dataset("synthetic_actions/scene:.8", str(tmp_path))
  assert not list(tmp_path.iterdir())


def test_an_interrupted_generation_leaves_no_data_set(tmp_path, tiny, monkeypatch):
  def interrupt(variant, split, number):
    if number == 7:
      raise KeyboardInterrupt
    return original(variant, split, number)

  original = synthetic_actions.make_example
  monkeypatch.setattr(synthetic_actions, "make_example", interrupt)
  with pytest.raises(KeyboardInterrupt):
    open_dataset("synthetic_actions/order", str(tmp_path))
  assert not list(tmp_path.rglob("*.json"))
  monkeypatch.setattr(synthetic_actions, "make_example", original)
  assert open_dataset("synthetic_actions/order", str(tmp_path)).splits == TINY


def _open_tiny(data_dir: str, start, results) -> None:
  variant = dataclasses.replace(synthetic_actions.VARIANTS["order"], clips=TINY)
  synthetic_actions.VARIANTS["order"] = variant
  start.wait()
  dataset = open_dataset("synthetic_actions/order", data_dir)
  results.put([Record.parse(dataset.source("train")[i]).video_id for i in range(20)])


@pytest.mark.slow
def test_two_processes_at_once_share_one_generation(tmp_path: pathlib.Path):
  spawn = multiprocessing.get_context("spawn")
  start, results = spawn.Barrier(2), spawn.Queue()
  processes = [spawn.Process(target=_open_tiny, args=(str(tmp_path), start, results)) for _ in range(2)]
  for process in processes:
    process.start()
  first, second = results.get(timeout=60), results.get(timeout=60)
  for process in processes:
    process.join(10)
    assert process.exitcode == 0
  assert first == second == [f"order-train-{n:05d}" for n in range(20)]
