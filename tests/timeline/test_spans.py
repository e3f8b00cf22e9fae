"""Spans from scores: a case by hand, and what holds for any scores (hypothesis)."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidjax.errors import InputError
from vidjax.timeline.accuracy import average_precision, mean_average_precision, overlap
from vidjax.timeline.spans import Rule, Span, find_spans, smoothed

LEVELS = st.integers(0, 20).map(lambda x: x / 20)


@st.composite
def scored(draw):
  """Times, scores, a rule and a gap."""
  classes, count = draw(st.integers(1, 3)), draw(st.integers(1, 14))
  steps = draw(st.lists(st.sampled_from([0.5, 0.5, 1.0, 4.0]), min_size=count, max_size=count))
  scores = np.array(draw(st.lists(st.tuples(*[LEVELS] * classes), min_size=count, max_size=count)))
  off = draw(st.sampled_from([0.1, 0.3, 0.5]))
  rule = Rule(
    draw(st.sampled_from([0.5, 0.8])),
    off,
    draw(st.sampled_from([0.0, 1.0, 3.0])),
    draw(st.sampled_from([0.0, 0.7, 2.0])),
    draw(st.booleans()),
  )
  times = np.cumsum(steps)
  return times, scores, rule, times[0] - 0.5, times[-1] + 0.75, draw(st.sampled_from([2.0, np.inf]))


def test_a_case_by_hand():
  scores = np.array([[0.1, 0.4], [0.45, 0.4], [0.8, 0.2], [0.35, 0.3], [0.2, 0.7], [0.2, 0.9], [0.1, 0.1]])
  rule = Rule(0.6, 0.3, 0.0, 0.0)
  times = np.arange(1, 8.0)
  one, two = find_spans(times, scores, rule, 0, 8)
  assert one == (1.5, 4.5, 0, pytest.approx((0.45 + 0.8 + 0.35) / 3))
  assert two == (4.5, 6.5, 1, pytest.approx(0.8))
  several = find_spans(times, scores, dataclasses.replace(rule, one=False), 0, 8)
  assert [x[:3] for x in several] == [(1.5, 4.5, 0), (3.5, 6.5, 1)]
  assert [x.label for x in find_spans(times, scores, dataclasses.replace(rule, idle=(0,)), 0, 8)] == [1]
  assert [x.label for x in find_spans(times, scores, dataclasses.replace(rule, at_least=2.5), 0, 8)] == [0]
  assert find_spans(times, scores, dataclasses.replace(rule, on=0.95), 0, 8) == []
  assert find_spans(times[:0], scores[:0], rule, 0, 8) == []


def test_smoothing_is_a_mean_over_time():
  times, scores = np.array([0.0, 0.5, 1.0, 5.0]), np.array([[0.0], [0.3], [0.9], [0.5]])
  np.testing.assert_allclose(smoothed(times, scores, 1.0)[:, 0], [0.15, 0.4, 0.6, 0.5])
  np.testing.assert_allclose(smoothed(times, scores, 0.0), scores)


@settings(max_examples=200, deadline=None)
@given(scored())
def test_spans_hold_what_they_promise(case):
  times, scores, rule, start, end, gap = case
  level, found = smoothed(times, scores, rule.smooth), find_spans(*case)
  assert found == sorted(found)
  for span in found:
    inside = (times > span.start) & (times < span.end)
    own = level[inside, span.label]
    assert start <= span.start < span.end <= end
    assert span.end - span.start >= rule.at_least - 1e-5
    assert own.min() >= rule.off
    assert own.max() >= rule.on
    assert span.score == pytest.approx(own.mean())
    assert not rule.one or (level[inside].argmax(axis=1) == span.label).all()
    assert (np.diff(times[inside]) <= gap + 1e-6).all()
  for label in range(scores.shape[1]):
    ends = [x for one in found if rule.one or one.label == label for x in one[:2]]
    assert ends == sorted(ends)  # they do not overlap


@settings(max_examples=100, deadline=None)
@given(scored())
def test_time_reversed_gives_the_reverse(case):
  """Where two classes tie, the first wins in both."""
  times, scores, rule, start, end, gap = case
  back = find_spans(-times[::-1], scores[::-1], rule, -end, -start, gap)
  found = np.array([x[:3] for x in find_spans(*case)]).reshape(-1, 3)
  np.testing.assert_allclose(np.array(sorted((-x.end, -x.start, x.label) for x in back)).reshape(-1, 3), found)


@settings(max_examples=100, deadline=None)
@given(scored())
def test_thresholds_and_idle_classes_only_take_away(case):
  times, scores, rule, *rest = case
  found = set(find_spans(*case))
  higher = dataclasses.replace(rule, on=0.9)
  assert set(find_spans(times, scores, higher, *rest)) <= found
  longer = dataclasses.replace(rule, at_least=3.0)
  assert set(find_spans(times, scores, longer, *rest)) == {x for x in found if x.end - x.start >= 3.0 - 1e-6}
  idle = dataclasses.replace(rule, idle=(0,))
  assert set(find_spans(times, scores, idle, *rest)) == {x for x in found if x.label}


@pytest.mark.parametrize("rule", [{"on": 0.2}, {"on": 1.5}, {"off": 0.0}, {"smooth": -1.0}, {"at_least": float("nan")}])
def test_rules_that_cannot_be(rule):
  with pytest.raises(InputError, match="required"):
    Rule(**rule)


def test_average_precision_by_hand():
  """Ranked: right, wrong (too little overlap), right in the other film, wrong (the span is taken)."""
  truth = {"a": [Span(0, 4, 0, 1), Span(10, 14, 0, 1)], "b": [Span(0, 2, 0, 1), Span(5, 6, 1, 1)]}
  found = {
    "a": [Span(0, 3, 0, 0.9), Span(11, 17, 0, 0.8), Span(0, 4, 0, 0.2)],
    "b": [Span(0, 2, 0, 0.6), Span(5, 6, 0, 0.1)],
  }
  assert overlap(found["a"][1], truth["a"][1]) == pytest.approx(3 / 7)
  assert overlap(Span(0, 1, 0, 1), Span(2, 3, 0, 1)) == 0
  precisions = average_precision(found, truth)
  assert precisions == {0: pytest.approx((1 + 2 / 3) / 3), 1: 0.0}
  assert mean_average_precision(found, truth) == pytest.approx((5 / 9 + 0) / 2)
  assert average_precision(found, truth, 0.4)[0] == pytest.approx(1.0)


def test_precision_is_the_best_at_that_recall_or_beyond():
  truth = {"a": [Span(0, 1, 0, 1), Span(2, 3, 0, 1)]}
  found = {"a": [Span(5, 6, 0, 0.9), Span(0, 1, 0, 0.8), Span(2, 3, 0, 0.7)]}
  assert average_precision(found, truth)[0] == pytest.approx(2 / 3)
