"""VSUMM's protocol: the official numbers, the equations, and what holds for any two summaries."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidjax.errors import InputError
from vidjax.summarize.matching import Comparison, compare, f_score, match, over_users


def test_golden_pairs_of_the_protocol(shared_golden):
  golden = np.load(shared_golden / "vsumm_cus.npz")
  rows = [dict(zip(golden["rows_columns"].tolist(), row, strict=True)) for row in golden["rows"].tolist()]
  assert len(rows) == 20
  for row in rows:
    user = golden[f"video{row['video']:.0f}_user{row['user']:.0f}_hist"]
    summary = golden[f"video{row['video']:.0f}_VSUMM{row['approach']:.0f}_hist"]
    found = compare(user, summary)
    assert found == (row["n_user"], row["n_auto"], row["n_match"])
    assert round(found.cus_a, 2) == row["CUSa_official"]
    assert round(found.cus_e, 2) == row["CUSe_official"]
    np.testing.assert_allclose((found.precision, found.recall, found.f), [row[x] for x in ("precision", "recall", "F")])


@pytest.mark.parametrize("approach", ["VSUMM1", "VSUMM2"])
@pytest.mark.parametrize("video", ["video1", "video2"])
def test_golden_means_over_users(video, approach, shared_golden):
  golden = np.load(shared_golden / "vsumm_cus.npz")
  found = [compare(golden[f"{video}_user{k}_hist"], golden[f"{video}_{approach}_hist"]) for k in range(1, 6)]
  assert over_users(found).f == pytest.approx(golden[f"{video}_{approach}_F_usermean"])
  assert over_users(found, "means").f == pytest.approx(golden[f"{video}_{approach}_F_of_meanPR"])


def histograms(most: int = 6):
  """`[N, 3]`, each of which sums to 1; some are alike."""
  corners = np.array([[1, 0, 0], [0, 1, 0], [0.8, 0.2, 0], [0.6, 0.4, 0], [0, 0, 1]])
  return st.lists(st.sampled_from(range(5)), min_size=1, max_size=most).map(lambda places: corners[places])


@given(histograms(), histograms())
@settings(deadline=None)
def test_matching_is_one_to_one_and_scores_are_shares(user, summary):
  pairs = match(user, summary)
  users, frames = zip(*pairs, strict=True) if pairs else ((), ())
  assert len(set(users)) == len(users)
  assert len(set(frames)) == len(frames)
  assert all(np.abs(user[a] - summary[b]).sum() < 0.5 for a, b in pairs)
  left = set(range(len(summary))) - set(frames)
  lonely = set(range(len(user))) - set(users)
  assert all(np.abs(user[a] - summary[b]).sum() >= 0.5 for a in lonely for b in left)
  found = compare(user, summary)
  assert 0 <= found.f <= 1
  assert found.cus_a + found.cus_e == pytest.approx(len(summary) / len(user))
  assert compare(user, user).f == 1


def test_empty_summaries():
  nothing = np.zeros((0, 16))
  assert compare(np.ones((2, 16)) / 16, nothing) == Comparison(2, 0, 0)
  assert Comparison(2, 0, 0).f == Comparison(2, 0, 0).precision == 0
  with pytest.raises(InputError, match="no frame"):
    compare(nothing, nothing)


@given(st.floats(0, 1), st.floats(0, 1))
def test_f_lies_between(precision, recall):
  assert min(precision, recall) - 1e-9 <= f_score(precision, recall) <= max(precision, recall) + 1e-9
