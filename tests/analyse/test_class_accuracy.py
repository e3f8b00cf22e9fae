import cv2
import numpy as np

from vidjax.analyse.class_accuracy import confused_classes, save_class_accuracy

MATRIX = np.array([[5, 1, 0, 0], [3, 2, 0, 1], [0, 0, 9, 0], [0, 2, 0, 0]])


def test_the_pairs_confused_most_come_first():
  assert confused_classes(MATRIX, 12) == [0, 1, 3]
  assert confused_classes(MATRIX, 2) == [0, 1]
  assert confused_classes(np.diag([3, 4]), 12) == []


def test_the_picture(tmp_path):
  names = ["sit", "stand", "$walk$", "漢字 run"]
  networks = {"plain_$x$": MATRIX, "better": np.diag([6, 6, 9, 2])}
  assert save_class_accuracy(tmp_path / "classes.png", networks, names) == [0, 1, 3]
  picture = cv2.imread(str(tmp_path / "classes.png"))
  assert min(picture.shape[:2]) > 200
  assert picture.std() > 10


def test_classes_without_videos_have_no_bar(tmp_path):
  matrix = MATRIX * np.array([[1], [1], [1], [0]])
  assert save_class_accuracy(tmp_path / "classes.png", {"one": matrix}, list("abcd")) == [0, 1]


def test_nothing_confused_is_an_empty_picture(tmp_path):
  assert save_class_accuracy(tmp_path / "classes.png", {"one": np.diag([3, 4])}, ["a", "b"]) == []
