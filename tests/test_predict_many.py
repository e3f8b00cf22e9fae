"""Prediction of several files: in batches, in order, with addresses where they were asked for."""

import json

import numpy as np
import pytest

from tests.test_bad_input import command
from tests.timeline.films import frames, write_film
from tests.timeline.served import served
from tests.tiny_run import make_run, write_data
from vidjax.errors import InputError
from vidjax.predict.model import Model
from vidjax.predict.predictor import make_predictor


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  root = tmp_path_factory.mktemp("many")
  return make_run(root / "run", write_data(root / "data"))


@pytest.fixture(scope="module")
def films(tmp_path_factory):
  folder = tmp_path_factory.mktemp("films")
  return [write_film(folder / f"{x}.mp4", frames(x, 4 + i)) for i, x in enumerate(("red", "green", "blue"))]


def test_batches_change_neither_scores_nor_order(run, films, tmp_path):
  predictor = make_predictor(run, 1, 3)
  sizes = []

  def score(views):
    sizes.append(len(views))
    return predictor.score(views)

  counted = type(predictor)(predictor.read, score, predictor.finish, 3)
  videos = [films[0], tmp_path / "none.mp4", np.full((5, 24, 30, 3), 99, np.uint8), films[1], films[2]]
  found = list(counted.many(videos, 4))
  assert sizes == [4, 4, 4, 4]  # two films are 6 views: 4 and 2 filled up
  assert [isinstance(one, InputError) for one in found] == [False, True, False, False, False]
  assert "none.mp4 does not exist" in str(found[1])
  for video, one in zip(videos, found, strict=True):
    if not isinstance(one, InputError):
      alone = predictor(video)
      assert one.file == alone.file
      np.testing.assert_allclose(one.scores, alone.scores, atol=1e-5)
      np.testing.assert_array_equal(one.clip, alone.clip)
  sizes.clear()
  assert len(list(counted.many(films[:1], 8))) == 1
  assert list(counted.many([], 8)) == []
  assert sizes == [3]  # nothing is filled up where one part is all there is


def test_a_model_predicts_many(run, films):
  model = Model(run)
  assert [one.file for one in model.predict_many(films, batch=2)] == [str(film) for film in films]
  some = model.predict_many([films[0], "none.mp4"], batch=1)
  assert next(some).file == str(films[0])
  with pytest.raises(InputError, match=r"none\.mp4 does not exist"):
    next(some)


def test_addresses_are_fetched_when_asked(run, films, tmp_path, capfd):
  with served(films[0].parent) as address:
    line = f"predict --workdir={run.workdir} {films[1]} {address}/red.mp4?key=secret {address}/none.mp4 --json"
    assert command(line) == 2
    quiet = capfd.readouterr()
    assert f"error: {address}/red.mp4 is an address: --urls lets it be fetched" in quiet.err
    assert "fetching" not in quiet.err
    assert command(line + f" --urls --explain={tmp_path}/why.png") == 2
    asked = capfd.readouterr()
  assert f"fetching {address}/red.mp4\n" in asked.err
  assert f"error: {address}/none.mp4 cannot be fetched (HTTP Error 404" in asked.err
  assert "secret" not in asked.err + asked.out
  assert [row["file"] for row in json.loads(asked.out)] == [str(films[1]), f"{address}/red.mp4"]
  assert {path.name for path in tmp_path.iterdir()} == {"why-green.png", "why-red.png"}


def test_addresses_that_are_no_film_or_end_early(run, films, tmp_path, capfd):
  (tmp_path / "page.html").write_text("<html>no film</html>")
  with served(tmp_path) as address:
    assert command(f"predict --workdir={run.workdir} {address}/page.html --urls") == 2
  assert f"error: {address}/page.html is not a video but text" in capfd.readouterr().err
  with served(films[0].parent, cut=300) as address:
    assert command(f"predict --workdir={run.workdir} {address}/red.mp4 rtsp://{address[7:]}/a --urls") == 2
  errors = capfd.readouterr().err
  assert f"error: {address}/red.mp4 cannot be fetched (" in errors
  assert "films are fetched by http and https" in errors
