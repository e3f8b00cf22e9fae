"""Shards made by Apache Beam are those that this machine makes."""

import sys

import pytest

from vidjax.data.read_film import Storage
from vidjax.errors import InputError
from vidjax.prepare import shards
from vidjax.prepare.folder import prepare_folder

from .test_shards import content

SMALL = Storage(short_side=16)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_beam_makes_the_same_data_set(tmp_path, make_video, monkeypatch):
  pytest.importorskip("apache_beam", reason="Apache Beam is not installed: pip install -e '.[beam]'")
  monkeypatch.setattr(shards, "FEWEST_FILMS", 3)
  for number in range(8):
    make_video(tmp_path / "videos" / ("walk", "run")[number % 2] / f"{number}.mp4", count=8 + number)
  (tmp_path / "videos" / "run" / "1.mp4").write_bytes(b"")
  reports = []
  for name, beam in (("one", None), ("two", "--runner=DirectRunner --direct_num_workers=1")):
    reports.append(prepare_folder(tmp_path / "videos", "mine", tmp_path / name, storage=SMALL, beam=beam))
  assert reports[0] == reports[1]
  assert content(tmp_path / "two" / "folder" / "mine") == content(tmp_path / "one" / "folder" / "mine")


def test_beam_that_is_not_installed(tmp_path, make_video, monkeypatch):
  for number in range(4):
    make_video(tmp_path / "videos" / ("walk", "run")[number % 2] / f"{number}.mp4", count=8 + number)
  monkeypatch.setitem(sys.modules, "apache_beam", None)
  with pytest.raises(InputError, match=r"--beam: Apache Beam is not installed .*pip install -e '\.\[beam\]'"):
    prepare_folder(tmp_path / "videos", "mine", tmp_path, beam="--runner=DirectRunner")
  with pytest.raises(InputError, match=r"--beam and --shard both divide the work: leave one of the two out"):
    prepare_folder(tmp_path / "videos", "mine", tmp_path, beam="--runner=DirectRunner", part=(1, 2))
