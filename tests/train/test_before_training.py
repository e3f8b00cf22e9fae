"""Work before the first step of a training: it says how far it is, and it ends at a signal."""

import os
import signal
import time

import numpy as np
import pytest
import sklearn.cluster

from vidjax.errors import EXIT_TERMINATED, TrainingStopped
from vidjax.train import clusters
from vidjax.train.clusters import k_means
from vidjax.train.loop import stops_at_sigterm


def test_k_means_says_how_far_it_is(monkeypatch, capsys):
  z = np.random.default_rng(0).normal(size=(200, 3))
  expected = sklearn.cluster.KMeans(4, n_init=5, random_state=3).fit(z).cluster_centers_
  monkeypatch.setattr(clusters, "EVERY", -1)
  np.testing.assert_array_equal(k_means(z, 4, 5, 3), expected)
  assert capsys.readouterr().out.splitlines() == [f"k-means: {n} of 5 starts are done" for n in range(1, 5)]


def test_sigterm_before_the_first_step_ends_with_a_line_and_the_code_to_resume():
  before = signal.getsignal(signal.SIGTERM)

  @stops_at_sigterm("before the first step")
  def start():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)

  with pytest.raises(TrainingStopped, match="stopped by SIGTERM before the first step: the same command") as stopped:
    start()
  assert stopped.value.code == EXIT_TERMINATED
  assert signal.getsignal(signal.SIGTERM) == before
