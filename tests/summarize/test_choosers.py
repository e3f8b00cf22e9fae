"""Keyframe choosers on descriptors whose scenes are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidjax.summarize import choosers
from vidjax.summarize.choosers import METHODS, apart, attended, clusters, ranks
from vidjax.summarize.descriptors import distances


def film(*lengths: int, noise: float = 0.01) -> np.ndarray:
  """`[N, 16]`: scenes of these lengths, each in a bin of its own."""
  rng = np.random.default_rng(0)
  frames = np.concatenate([np.eye(16)[[k]].repeat(length, 0) for k, length in enumerate(lengths)])
  frames = frames + rng.uniform(0, noise, frames.shape)
  return (frames / frames.sum(-1, keepdims=True)).astype(np.float32)


def scenes_of(places: np.ndarray, *lengths: int) -> list[int]:
  return np.searchsorted(np.cumsum(lengths), places, side="right").tolist()


@pytest.mark.parametrize("method", ["vsumm1", "ranktracing"])
def test_a_keyframe_for_each_scene(method):
  assert scenes_of(METHODS[method](film(9, 3, 12, 7)), 9, 3, 12, 7) == [0, 1, 2, 3]


def test_clusters_are_counted_by_jumps():
  assert clusters(film(9, 3, 12, 7)) == 4
  assert clusters(film(5)) == clusters(film(1)) == 1


def test_vsumm2_leaves_small_clusters_out():
  assert scenes_of(choosers.vsumm2(film(9, 3, 12, 7)), 9, 3, 12, 7) == [0, 2, 3]  # half of the mean is 3.9


def test_the_keyframe_is_the_nearest_to_its_centre():
  x = np.array([[1, 0], [0.9, 0.1], [0.8, 0.2], [0, 1], [0.1, 0.9]], np.float32)
  assert choosers.vsumm1(x, 2).tolist() == [1, 3]


def test_a_scene_that_comes_again_is_kept_once():
  x = film(4, 4)
  again = np.concatenate([x, x])
  assert scenes_of(choosers.vsumm1(again), 4, 4) == [0, 1]


def test_uniform_and_random():
  x = film(10)
  assert choosers.uniform(x, 2).tolist() == [2, 7]
  assert choosers.uniform(x, 99).tolist() == list(range(10))
  drawn = choosers.random(x, 4, seed=1)
  assert drawn.tolist() == choosers.random(x, 4, seed=1).tolist() != choosers.random(x, 4, seed=2).tolist()
  assert len(choosers.uniform(film(5, 5))) == len(choosers.random(film(5, 5))) == 2


def test_ranks_are_those_of_the_window():
  x = film(6, 6)
  traced = ranks(x, window=4)
  for place in range(len(x)):
    window = x[max(place - 3, 0) : place + 1]
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(window.astype(np.float64) @ window.T), 0))
    assert traced[place] == (values > 0.1 * values.max()).sum()
  assert traced.tolist() == [1] * 6 + [2] * 3 + [1] * 3


def test_attention_above_half_in_its_order():
  x, times = film(3, 3, 3), np.arange(9) / 4
  attention = np.array([0.6, 0.7, 0.2, 0.9, 0.95, 0.3, 0.4, 0.5, 0.1])
  assert attended(x, times, attention).tolist() == [1, 4]
  assert attended(x, times, attention, count=1).tolist() == [4]
  assert attended(x, times, attention / 2).tolist() == [4]
  assert attended(x, times, attention, 0.0).tolist() == [0, 1, 3, 4]
  assert attended(x, times, attention, 0.0, 0.75).tolist() == [1, 4]
  assert attended(x, times, attention, 0.0, 1.0).tolist() == [0, 4]


@pytest.mark.parametrize("method", METHODS)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.one_of(st.none(), st.integers(1, 6)))
@settings(max_examples=20, deadline=None)
def test_places_ascend_and_keep_to_the_count(method, lengths, count):
  x = film(*lengths)
  places = METHODS[method](x, count)
  assert places.dtype.kind == "i"
  assert 1 <= len(places) <= (count or len(x))
  assert (np.diff(places) > 0).all()
  assert 0 <= places[0] <= places[-1] < len(x)
  kept = apart(x, places)
  between = distances(x[kept], x[kept])[~np.eye(len(kept), dtype=bool)]
  assert (between >= 0.5).all()
  assert distances(x[places], x[kept]).min(1).max() < 0.5


@pytest.mark.parametrize("method", METHODS)
def test_frames_that_are_all_the_same(method):
  assert METHODS[method](np.full((7, 16), 1 / 16, np.float32), 3).min() >= 0
