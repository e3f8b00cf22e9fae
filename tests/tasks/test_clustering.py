"""What the clustering task measures, against counts by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.tasks.clustering import Clustering, agreement, window_labels
from vidjax.types import Output, Scores

PLACES = np.array([[0, 1, 2], [2, 3, 4]])


def scores(assigned, **extras):
  assigned = np.asarray(assigned)
  q = np.eye(4)[assigned]
  videos, windows = assigned.shape
  extras |= {"assignment": q, "embedding": np.zeros((videos, windows, 2)), "places": np.tile(PLACES, (videos, 1, 1))}
  return Scores(np.arange(videos), np.arange(videos) % 2, q.mean(1), {}, extras)


def test_clusters_agree_with_labels_whatever_their_numbers():
  assigned, labels = np.array([2, 2, 0, 0, 3, 3]), np.array([5, 5, 7, 7, 7, 7])
  found = agreement(assigned, labels)
  assert found["accuracy"] == pytest.approx(4 / 6)  # the third cluster has no label left
  assert agreement(assigned, np.array([1, 1, 0, 0, 4, 4])) == pytest.approx({"nmi": 1, "ari": 1, "accuracy": 1})
  assert agreement(np.zeros(6, int), labels)["nmi"] == pytest.approx(0)


def test_a_window_has_the_label_of_most_of_its_frames():
  frames = np.array([[1, 1, 3, 3, 1], [2, 0, 0, 0, 2]])
  np.testing.assert_array_equal(window_labels(frames, PLACES), [[1, 3], [0, 0]])
  np.testing.assert_array_equal(window_labels(frames, np.array([[0, 2]])), [[1], [0]])  # the smaller of two


def test_a_split_is_counted():
  task = Clustering("frames", metric="nmi")
  assert task.targets == ("mask", "frame_labels")
  found = scores([[0, 1], [2, 2]], frame_labels=np.array([[1, 1, 1, 3, 3], [0, 0, 0, 0, 0]]))
  summary = task.summarize(found, ["a", "b"])
  assert summary.numbers == pytest.approx({"used": 0.75, "largest": 0.5, "nmi": 1, "ari": 1, "accuracy": 1})
  assert summary.details["empty_clusters"] == [3]
  assert summary.tables["clusters"] == [
    ["cluster", "windows", "label 0", "label 1", "label 3"],
    [0, 1, 0, 1, 0],
    [1, 1, 0, 0, 1],
    [2, 2, 2, 0, 0],
    [3, 0, 0, 0, 0],
  ]
  assert "1 of 4 clusters are empty here" in summary.line
  by_video = Clustering("videos").summarize(scores([[0, 0], [2, 2]]), ["a", "b"])
  assert by_video.numbers["accuracy"] == 1
  assert by_video.tables["clusters"][0] == ["cluster", "windows", "a", "b"]
  assert "nmi" not in Clustering().summarize(found, ["a", "b"]).numbers


def test_a_network_without_clusters_answers_with_its_embeddings():
  output = Output(None, jnp.ones((2, 3)), {"embedding": jnp.ones((2, 4, 3)), "places": jnp.zeros((2, 4, 5), int)})
  answers = Clustering().answer(output)
  assert answers["scores"].shape == (2, 3)
  assert Clustering().measure(output, {}) == {}
  extras = {name: np.asarray(x) for name, x in answers.items()}
  found = Scores(np.arange(2), np.zeros(2, int), extras.pop("scores"), {}, extras)
  assert Clustering().summarize(found, ["a"]).numbers == {"spread": 0}
  assert Clustering(table=True).targets == ("mask", "index")
