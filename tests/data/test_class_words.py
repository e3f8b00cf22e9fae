"""Class names that say which augmentation would change the class."""

import pytest

from vidjax.data import class_words
from vidjax.errors import ConfigError


@pytest.mark.parametrize(
  ("names", "expected"),
  [
    (["swipe_left", "swipe_right", "stop"], ["swipe_left", "swipe_right"]),
    (["TurnLeft", "walk"], ["TurnLeft"]),
    (["Turning hand clockwise", "Turning hand counter-clockwise"], "all"),
    (["rotate anti clockwise", "walk"], ["rotate anti clockwise"]),
    (["hand_l", "hand_r"], "all"),
    (["hand_l", "walk"], []),
    (["spin cw", "spin ccw"], "all"),
    (["swipe up", "swipe down"], "all"),
    (["stand up", "sit down", "PushUps", "bright light", "upright row", "copyright"], []),
    (["turnleft", "right-hand wave", "lefthanded throw"], "all"),
    (["Leftwards", "moving rightward"], "all"),
  ],
)
def test_directed_names(names, expected):
  assert class_words.directed(names) == (names if expected == "all" else expected)


def test_pairs_are_of_names_or_labels():
  names = ["a", "left", "right"]
  assert class_words.numbered((("left", "right"), (0, 2)), names) == ((1, 2), (0, 2))
  for pair in (("left", "rihgt"), (0, 3)):
    with pytest.raises(ConfigError, match="is none of the 3 classes"):
      class_words.numbered((pair,), names)


def test_up_and_down_count_only_where_nothing_is_exchanged():
  names = ["swipe left", "swipe right", "swipe up", "swipe down"]
  assert class_words.directed(names) == names
  assert class_words.directed(names, vertical=False) == names[:2]


def test_colours_count_where_they_alone_tell_classes_apart():
  assert class_words.coloured(["red light", "green light", "walk"]) == ["red light", "green light"]
  assert class_words.coloured(["red light", "green field", "blueberry"]) == []
