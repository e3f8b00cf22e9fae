"""What a run was trained on, and which videos of another split are among it."""

import pytest

from vidjax.data import identity
from vidjax.errors import InputError

TRAINED = {"folder/a": {"walk/1.mp4": "d1", "walk/2.mp4": "d2"}, "folder/old": {"walk/1.mp4": ""}}


@pytest.mark.parametrize(
  ("name", "films", "expected"),
  [
    ("folder/b", {"x.mp4": "d1", "y.mp4": "d3"}, ["x.mp4"]),
    ("folder/a", {"walk/1.mp4": "d9"}, []),  # another film of the same name
    ("folder/a", {"walk/1.mp4": ""}, ["walk/1.mp4"]),
    ("folder/old", {"walk/1.mp4": "d9"}, ["walk/1.mp4"]),
    ("folder/b", {"walk/1.mp4": ""}, []),
  ],
)
def test_files_are_known_by_their_bytes_else_by_their_names(name, films, expected):
  assert identity.overlap(TRAINED, name, films) == expected


def test_what_is_kept_is_read_back(tmp_path):
  assert identity.read(tmp_path) is None
  joined = identity.join(TRAINED, {"folder/a": {"walk/3.mp4": "d3"}})
  assert sorted(joined["folder/a"]) == ["walk/1.mp4", "walk/2.mp4", "walk/3.mp4"]
  identity.write(tmp_path, joined)
  assert identity.read(tmp_path) == joined
  for text in ("{", "[]", '{"a": 3}'):
    (tmp_path / identity.FILE).write_text(text)
    with pytest.raises(InputError, match=r"trained_on.json is damaged"):
      identity.read(tmp_path)
