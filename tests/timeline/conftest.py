"""One tiny run and one film for all tests here."""

import pytest

from tests.timeline.films import frames, write_film
from tests.tiny_run import make_run, write_data


@pytest.fixture(scope="session")
def run(tmp_path_factory):
  root = tmp_path_factory.mktemp("timeline")
  return make_run(root / "run", write_data(root / "data"))


@pytest.fixture(scope="session")
def film(tmp_path_factory):
  """3 s of red, 3 of green, 2 of red again, at 8 frames a second."""
  images = [*frames("red", 24), *frames("green", 24), *frames("red", 16)]
  return write_film(tmp_path_factory.mktemp("films") / "film.mp4", images)
