"""Reading one film: how it is cut into clips."""

import itertools

import pytest

from vidjax.data.read_film import cut


@pytest.mark.parametrize(
  ("frames", "length", "expected"),
  [(1, 8, [1]), (8, 8, [8]), (11, 8, [11]), (12, 8, [8, 4]), (20, 8, [8, 8, 4]), (19, 8, [8, 11]), (5, 1, [1] * 5)],
)
def test_films_are_cut_without_losing_a_frame(frames, length, expected):
  clips = cut(frames, length)
  assert [stop - start for start, stop in clips] == expected
  assert (clips[0][0], clips[-1][1]) == (0, frames)
  assert all(a[1] == b[0] for a, b in itertools.pairwise(clips))
