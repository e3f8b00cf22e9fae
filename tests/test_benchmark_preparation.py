"""`python -m vidjax.benchmark preparation` and `encodings` on tiny films: they run, and state what they should."""

import pytest

from tests.data.official_files import film
from vidjax.benchmark import preparation
from vidjax.benchmark.preparation import measure_encodings, measure_preparation
from vidjax.errors import InputError


@pytest.fixture
def videos(tmp_path):
  for name in ("a.avi", "b.avi"):
    film(tmp_path / "videos" / name)
  return tmp_path / "videos"


@pytest.fixture
def ffmpeg(tmp_path, monkeypatch):
  """The only one there is: it states a version and writes what it was asked to do."""
  script = tmp_path / "bin" / "ffmpeg"
  script.parent.mkdir()
  script.write_text(f'#!/bin/sh\n[ "$1" = -version ] && echo "ffmpeg version 9.9" || echo "$@" >> {tmp_path}/asked\n')
  script.chmod(0o755)
  monkeypatch.setenv("PATH", str(script.parent))
  return tmp_path / "asked"


@pytest.mark.slow
def test_preparation_beside_ffmpeg(videos, ffmpeg, monkeypatch):
  monkeypatch.setattr(preparation, "COPIES", 2)
  monkeypatch.setattr(preparation, "WORKERS", (1,))
  found = measure_preparation(videos, runs=2)
  assert [found.pop("films"), found.pop("ffmpeg")] == ["2 x 2, short side 256", "9.9"]
  ours, theirs, share = (found[name].median for name in found)
  assert list(found) == ["films per second, 1 workers", "films per second, 1 ffmpeg", "share of ffmpeg's speed, 1"]
  assert ours > 0
  assert theirs > 0
  assert share > 0
  asked = ffmpeg.read_text().splitlines()
  assert len(asked) == 3 * 4  # each film, in two runs and the one before them
  assert all("-threads 1" in line and "min(256,iw)" in line for line in asked)


@pytest.mark.slow
def test_encodings_have_a_size_and_a_time(videos, monkeypatch):
  monkeypatch.setattr(preparation, "FRAMES", (2,))
  monkeypatch.setattr(preparation, "_decord", lambda: None)
  found = measure_encodings(videos, runs=2)
  assert found["films"] == "2, short side 256"
  for name in ("jpeg", "h264", "video"):
    frames = 1e6 * found[f"{name}: MB"] / found[f"{name}: bytes per frame"]
    assert frames == pytest.approx(2 * 8)
    assert found[f"{name}: ms for 2 frames"].median > 0


def test_no_films_and_no_ffmpeg_are_told(videos, tmp_path, monkeypatch):
  monkeypatch.setenv("PATH", str(tmp_path))
  with pytest.raises(InputError, match="there is no ffmpeg on the PATH, which is measured beside: install it"):
    measure_preparation(videos, 1)
  for measure in (measure_preparation, measure_encodings):
    with pytest.raises(InputError, match="/empty: there is no file in it: name a folder with films"):
      measure(tmp_path / "empty", 1)
