"""Windows go by the frames' own times, and a clip is the one that evaluation takes of the same frames."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidjax.data.augment import TestCrops
from vidjax.data.sampling import Dense, DenseSegments, UniformSegments
from vidjax.errors import InputError
from vidjax.timeline import windows as module
from vidjax.timeline.windows import Cut, Windows, looped

SAMPLERS = (
  UniformSegments(3),
  UniformSegments(2, 2),
  Dense(3, 2),
  DenseSegments(2, 2, 6),
)


def cut(times, window, every, sampler, end=None):
  """All windows of frames whose grey level is their number, as (start, end, numbers, frames)."""
  windows = Windows(Cut(window, every, sampler, TestCrops(4)))
  found = []
  for number, time in enumerate(times):
    found += windows.push(time, np.full((4, 4, 3), number, np.uint8))
  found += windows.ended(times[-1] if end is None else end)
  return [(round(x.start, 6), round(x.end, 6), x.clip[:, 0, 0, 0].tolist(), x.frames) for x in found]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_a_window_is_sampled_as_a_film_of_its_frames(sampler):
  times = np.arange(24) / 8
  found = cut(times, 1.0, 0.5, sampler, end=3.0)
  assert [x[:2] for x in found] == [(k / 2, k / 2 + 1) for k in range(5)]
  for k, (*_, numbers, count) in enumerate(found):
    assert count == 8
    np.testing.assert_array_equal(numbers, 4 * k + sampler.test(8, 1, np.arange(8) / 8)[0])


def test_times_decide_not_numbers():
  """Ten frames in the first second and one a second then: each moment shows what the film shows."""
  times = [*np.arange(10) / 10, 1.0, 2.0, 3.0, 4.0]
  found = cut(times, 2.0, 1.0, UniformSegments(2), end=5.0)
  assert [x[:2] for x in found] == [(0, 2), (1, 3), (2, 4), (3, 5)]
  assert [x[2] for x in found] == [[4, 10], [10, 11], [11, 12], [12, 13]]


def test_what_is_on_the_screen_belongs_to_a_window():
  found = cut([0.0, 0.3, 5.0, 5.2], 1.0, 1.0, UniformSegments(1), end=6.0)
  assert [x[2] for x in found] == [[1], [1], [1], [1], [1], [3]]
  assert [x[3] for x in found] == [2, 1, 1, 1, 1, 2]
  assert cut([0.0, 0.5], 1.0, 1.0, UniformSegments(1), end=0.9) == []


@settings(max_examples=60, deadline=None)
@given(
  st.lists(st.sampled_from([0.04, 0.1, 0.5, 3.0]), min_size=1, max_size=30),
  st.sampled_from([0.5, 1.0, 2.5]),
  st.sampled_from([0.3, 0.5, 1.0, 4.0]),
)
def test_no_window_is_left_out_and_no_frame_is_foreign(steps, window, every):
  times = np.concatenate([[0.0], np.cumsum(steps)])
  found = cut(times, window, every, UniformSegments(4))
  assert len(found) == max(0, int((times[-1] + 1e-3 - window) // every) + 1)
  for k, (start, end, numbers, count) in enumerate(found):
    assert start == pytest.approx(k * every)
    assert end == pytest.approx(start + window)
    shown = np.append(times[1:], np.inf)
    for number in numbers:
      assert times[number] < end
      assert shown[number] > start
    assert count >= 1


def test_memory_is_that_of_a_window(monkeypatch):
  windows = Windows(Cut(1.0, 0.5, UniformSegments(2), TestCrops(4)))
  held = []
  for number in range(100):
    list(windows.push(number / 10, np.zeros((4, 4, 3), np.uint8)))
    held.append(len(windows._held))
  assert max(held) <= 17
  monkeypatch.setattr(module, "MOST_BYTES", 300)
  windows = Windows(Cut(100.0, 0.5, UniformSegments(2), TestCrops(4)))
  list(windows.push(0.0, np.zeros((10, 10, 3), np.uint8)))
  assert [len(list(windows.push(k / 10, np.zeros((4, 4, 3), np.uint8)))) for k in range(1, 6)] == [0] * 5
  with pytest.raises(InputError, match="--window=100: its frames take more than"):
    list(windows.push(0.6, np.zeros((4, 4, 3), np.uint8)))


def test_short_windows_are_told():
  def make(sampler):
    return Cut(1.0, 1.0, sampler, TestCrops(4))

  assert looped(make(Dense(8, 8)), 20) == 64
  assert looped(make(Dense(8, 2)), 20) == 0
  assert looped(make(DenseSegments(8, 2, 32)), 20) == 32
  assert looped(make(UniformSegments(8)), 7) == 8
  assert looped(make(UniformSegments(8)), 8) == 0
