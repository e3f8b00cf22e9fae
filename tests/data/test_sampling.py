import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidjax.data.sampling import Dense, DenseSegments, UniformSegments
from vidjax.errors import ConfigError, InputError


@pytest.fixture
def cases(shared_golden):
  return json.loads((shared_golden / "schedule_sampling_aug.json").read_text())["sampling"]


def first_of_runs(clips: np.ndarray, run: int) -> list[int]:
  return (clips[..., ::run] + 1).reshape(-1).tolist()  # the golden numbers are 1-based starts


def test_golden_test_clips(cases):
  assert len(cases) == 56
  for case in cases:
    segments, run, n = case["num_segments"], case["data_length"], case["num_frames"]
    uniform = UniformSegments(segments, run)
    assert first_of_runs(uniform.test(n), run) == case["test_uniform"]
    assert first_of_runs(uniform.test(n, clips=2), run) == case["test_uniform_twice"]
    if n > segments + run - 1:  # the released validation rule repeats frame 1 in videos shorter than that
      assert first_of_runs(uniform.test(n), run) == case["val_uniform"]
    dense = Dense(segments, 64 // segments) if run == 1 else Dense(segments * run, 1)
    assert first_of_runs(dense.test(n, clips=10), run) == case["test_dense_10clips"]
    runs = DenseSegments(segments, run, window=64 if run == 1 else segments * run)
    assert first_of_runs(runs.test(n, clips=10), run) == case["test_dense_10clips"]


def test_golden_training_draws(cases):
  rng = np.random.default_rng(0)
  for case in cases:
    segments, run, n = case["num_segments"], case["data_length"], case["num_frames"]
    sampler = UniformSegments(segments, run, rule="released")
    starts = np.stack([sampler.train(n, rng)[::run] for _ in range(400)]) + 1
    low, high = np.array(case["train_uniform_min"]), np.array(case["train_uniform_max"])
    assert (starts >= low).all()
    assert (starts <= high).all()
    if n <= 100:  # few enough positions for 400 draws to meet both ends
      np.testing.assert_array_equal(starts.min(0), low)
      np.testing.assert_array_equal(starts.max(0), high)


def test_runs_are_consecutive_and_hold_the_last_frame():
  np.testing.assert_array_equal(UniformSegments(2, 3).test(8)[0], [1, 2, 3, 4, 5, 6])
  np.testing.assert_array_equal(UniformSegments(2, 3).test(2)[0], [0, 1, 1, 0, 1, 1])
  np.testing.assert_array_equal(UniformSegments(4, 1).test(2)[0], [0, 0, 1, 1])


def test_even_segments_reach_every_frame_and_released_ones_do_not():
  rng = np.random.default_rng(0)
  drawn = {
    rule: np.stack([UniformSegments(8, 1, rule).train(20, rng) for _ in range(500)]) for rule in ("even", "released")
  }
  assert set(drawn["even"].ravel()) == set(range(20))
  assert set(drawn["released"].ravel()) == set(range(16))
  counts = np.bincount(drawn["even"].ravel(), minlength=20) / 500
  np.testing.assert_allclose(counts, 8 / 20, atol=0.1)  # every frame equally often


def test_released_rule_sorts_where_segments_are_shorter_than_a_frame():
  rng = np.random.default_rng(0)
  starts = np.stack([UniformSegments(8, 3, "released").train(9, rng)[::3] for _ in range(200)])
  assert (np.diff(starts) >= 0).all()
  assert starts.min() == 0
  assert starts.max() == 6
  assert not UniformSegments(8, 1, "released").train(7, rng).any()


def test_dense_reads_the_window_and_loops_short_videos():
  np.testing.assert_array_equal(Dense(4, 2).test(20)[0], [6, 8, 10, 12])
  np.testing.assert_array_equal(Dense(4, 2).test(3)[0], [0, 2, 1, 0])
  rng = np.random.default_rng(0)
  spread = Dense(4, 2, rule="spread")
  np.testing.assert_array_equal(spread.test(20, 2), [[0, 2, 4, 7], [12, 14, 16, 19]])
  np.testing.assert_array_equal(spread.test(3)[0], [0, 2, 2, 2])
  starts = [Dense(4, 2).train(20, rng)[0] for _ in range(300)]
  assert (min(starts), max(starts)) == (0, 12)


@pytest.mark.parametrize(("segments", "stride"), [(16, 4), (24, 2)])
def test_dense_segments_start_evenly_in_a_window_of_64(segments, stride):
  sampler = DenseSegments(segments)
  rng = np.random.default_rng(0)
  runs = sampler.train(300, rng).reshape(segments, 3)
  assert (np.diff(runs, axis=1) == 1).all()
  assert (np.diff(runs[:, 0]) == stride).all()
  firsts = [sampler.train(70, rng)[0] for _ in range(200)]
  assert (min(firsts), max(firsts)) == (0, 6)
  short = sampler.test(5)[0].reshape(segments, 3)
  np.testing.assert_array_equal(short[1], [stride % 5, min(stride % 5 + 1, 4), min(stride % 5 + 2, 4)])


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 400), st.integers(1, 20), st.integers(1, 6), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_any_video_gives_full_clips_in_range(num_frames, a, b, clips, seed):
  for sampler in (UniformSegments(a, b), UniformSegments(a, b, "released"), Dense(a, b), DenseSegments(a, b)):
    drawn = sampler.train(num_frames, np.random.default_rng(seed))
    fixed = sampler.test(num_frames, clips)
    assert drawn.shape == (sampler.clip_length,)
    assert fixed.shape == (clips, sampler.clip_length)
    assert drawn.dtype == fixed.dtype == np.int64
    for frames in (drawn, fixed):
      assert frames.min() >= 0
      assert frames.max() < num_frames
    np.testing.assert_array_equal(drawn, sampler.train(num_frames, np.random.default_rng(seed)))
    if isinstance(sampler, UniformSegments):
      starts = np.concatenate([drawn[None], fixed])[:, ::b]
      assert (np.diff(starts) >= 0).all()
      middle = sampler.test(num_frames)[0]
      assert (fixed == middle).all(1).any()  # the middle clip is among them


def test_refuses_what_cannot_be_sampled():
  for sampler in (UniformSegments(), Dense()):
    with pytest.raises(InputError, match="0 frames"):
      sampler.test(0)
    with pytest.raises(InputError, match="-1 frames"):
      sampler.train(-1, np.random.default_rng(0))
  with pytest.raises(ConfigError, match="num_segments=0"):
    UniformSegments(0)
  with pytest.raises(ConfigError, match="rule='thirds'"):
    UniformSegments(rule="thirds")
  with pytest.raises(ConfigError, match="window=8"):
    DenseSegments(16, 3, 8)
