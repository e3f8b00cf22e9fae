"""`experiments.timeline`: the made films hold what their true spans say."""

import itertools

import numpy as np
import pytest

from experiments.timeline import draw_film, make_films, spans_of
from vidjax.data.synthetic_actions import FPS
from vidjax.data.synthetic_clips import ACTIONS
from vidjax.data.video_file import Frame, decode
from vidjax.timeline.accuracy import mean_average_precision
from vidjax.timeline.spans import Rule
from vidjax.timeline.track import Track
from vidjax.timeline.windows import Window


def test_actions_are_where_the_true_spans_are():
  film, truth = draw_film(5, np.random.default_rng(3))
  assert len(truth) == 5
  assert all(one.label != other.label for one, other in itertools.pairwise(truth))
  change = np.abs(np.diff(film.astype(int), axis=0)).mean(axis=(1, 2, 3))
  for before, span in zip([None, *truth], truth, strict=False):
    first, last = round(span.start * FPS), round(span.end * FPS)
    assert (last - first) % 24 == 0
    still = change[(round(before.end * FPS) if before else 0) : first - 1]
    assert change[first : last - 1].min() > still.max(initial=0)
  assert truth[-1].end * FPS < len(film)


def test_perfect_scores_have_perfect_precision(tmp_path):
  truth = make_films(tmp_path, 2, 3, 0, pauses=False)
  tracks = {}
  for file, spans in truth.items():
    frames = sum(1 for _ in decode(file))
    assert frames == pytest.approx(spans[-1].end * FPS)
    track = tracks[file] = Track(FPS)
    for number in range(frames):
      track.see(Frame(np.zeros(0), None), number / FPS)
    for start in np.arange(0, frames / FPS - 0.4, 0.25):
      row = np.zeros((1, len(ACTIONS)), np.float32)
      row[0, [span.label for span in spans if span.start <= start + 0.2 < span.end]] = 0.9
      track.add([Window(start, start + 0.4, np.zeros(0), 5)], row)
  assert mean_average_precision(spans_of(tracks, Rule(), 0.5), truth) == 1
