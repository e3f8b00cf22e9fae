"""Names of splits, in folders and lists."""

import pytest

from vidjax.data.folder import find_films
from vidjax.data.splits import check_classes, known_split, split_in_name
from vidjax.errors import InputError


@pytest.mark.parametrize(
  ("names", "split"),
  [
    (("train", "Train", "training", "train_videos", "videos_train", "TrainSet", "train-256", "trainval"), "train"),
    (("val", "valid", "Validate", "validating", "validation set", "eval", "dev", "val_videos"), "validation"),
    (("test", "testing", "test_set", "Test Videos", "testset"), "test"),
    (("walk", "training day", "driving test", "video", "train_val", "", "2", "protest"), ""),
  ],
)
def test_usual_names(names, split):
  assert {known_split(name) for name in names} == {split}


def test_names_of_lists():
  assert split_in_name("something-something-v2-train") == "train"
  assert split_in_name("kinetics400_val_list") == "validation"
  assert split_in_name("train_and_test") == split_in_name("annotations") == ""


def small(tmp_path, *files):
  for file in files:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).touch()
  return tmp_path


@pytest.mark.parametrize(
  "tops", [("train", "eval"), ("training", "testing"), ("Train", "Validate"), ("train", "test_set")]
)
def test_split_folders_are_no_classes(tmp_path, tops):
  found = find_films(small(tmp_path, *(f"{top}/{label}/{top}.avi" for top in tops for label in ("run", "walk"))))
  assert found.class_names == ["run", "walk"]
  assert {film.split for film in found.films} == {known_split(top) for top in tops}


def test_folders_that_look_like_splits_are_refused_unless_named_as_classes(tmp_path):
  root = small(tmp_path, *(f"{top}/{label}/{top}.avi" for top in ("part1", "part2") for label in ("run", "walk")))
  with pytest.raises(InputError, match=r"part1, part2 of .* hold the same sub-folders \(run, walk\), as splits do"):
    find_films(root)
  assert find_films(root, class_names={"0": "part2", "1": "part1"}).class_names == ["part2", "part1"]


def test_only_train_needs_every_class():
  pairs = [("train", "run"), ("train", "walk"), ("validation", "run"), ("test", "")]
  labels = ["run", "walk"]
  assert check_classes(pairs, labels, "x gives") == ["x gives split 'validation' no video of 1 of 2 classes ('walk')"]
  with pytest.raises(InputError, match=r"x gives split 'train' no video of 1 of 3 classes \('swim'\), which cannot be"):
    check_classes(pairs, [*labels, "swim"], "x gives")
