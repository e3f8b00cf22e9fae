"""Metrics against counting by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidjax.errors import InputError
from vidjax.tasks.metrics import confusion, summarize, worst_pairs
from vidjax.types import Scores


def make(label, scores):
  return Scores(np.arange(len(label)), np.asarray(label), np.asarray(scores, np.float32))


@settings(deadline=None, max_examples=40)
@given(videos=st.integers(1, 30), classes=st.integers(2, 12), seed=st.integers(0, 10**6))
def test_metrics_are_what_counting_gives(videos, classes, seed):
  rng = np.random.default_rng(seed)
  label, raw = rng.integers(classes, size=videos), rng.permuted(np.tile(np.arange(classes), (videos, 1)), axis=1)
  summary = summarize(make(label, raw), [str(k) for k in range(classes)])
  ranks = [int((row > row[k]).sum()) for row, k in zip(raw, label, strict=True)]
  per_class = [[rank == 0 for rank, k in zip(ranks, label, strict=True) if k == c] for c in range(classes)]
  assert summary["top1"] == pytest.approx(np.mean([rank < 1 for rank in ranks]))
  assert summary["top5"] == pytest.approx(np.mean([rank < 5 for rank in ranks]))
  assert summary["mean_class"] == pytest.approx(np.mean([np.mean(hits) for hits in per_class if hits]))
  assert summary["per_class"] == [pytest.approx(np.mean(hits)) if hits else None for hits in per_class]
  assert (summary["videos"], summary["classes"]) == (videos, classes)


def test_confusion_and_worst_pairs():
  scores = make([0, 0, 0, 1, 1, 2], np.eye(3)[[0, 1, 1, 0, 0, 2]])
  matrix = confusion(scores)
  np.testing.assert_array_equal(matrix, [[1, 2, 0], [2, 0, 0], [0, 0, 1]])
  assert worst_pairs(matrix, ["a", "b", "c"]) == [
    {"true": "b", "predicted": "a", "videos": 2, "share": 1.0},
    {"true": "a", "predicted": "b", "videos": 2, "share": pytest.approx(2 / 3)},
  ]
  assert worst_pairs(matrix, ["a", "b", "c"], limit=1)[0]["true"] == "b"
  assert worst_pairs(np.eye(3, dtype=int), ["a", "b", "c"]) == []


def test_class_names_that_do_not_fit():
  with pytest.raises(InputError, match="scores 3 classes, but there are 2 class names"):
    summarize(make([0], [[1, 0, 0]]), ["a", "b"])
  with pytest.raises(InputError, match="labels run from 0 to 5"):
    summarize(make([0, 5], np.eye(3)[:2]), ["a", "b", "c"])


def test_one_class_is_enough():
  scores = make([0, 0, 0], np.ones((3, 1)))
  assert summarize(scores, ["only"])["mean_class"] == 1
  np.testing.assert_array_equal(confusion(scores), [[3]])
