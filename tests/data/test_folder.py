"""Which films a folder or list names, and the splits they get."""

import csv
import json
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidjax.data import films, folder, splits
from vidjax.errors import InputError


def find_films(videos, fractions=None, **rest) -> list[films.Film]:
  return folder.find_films(videos, fractions, **rest).films


def tree(root: pathlib.Path, *files: str) -> pathlib.Path:
  for file in files:
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
  return root


def many(label: str, count: int) -> list[str]:
  return [f"{label}/{number}.avi" for number in range(count)]


def splits_of(films) -> dict[str, str]:
  return {film.name: film.split for film in films}


def test_class_folders_are_walked_in_an_order_of_their_own(tmp_path):
  tree(tmp_path, *many("walk", 10), *many("run", 5), "run/deeper/x.avi", ".hidden/a.avi", "run/.hidden.avi")
  films = find_films(tmp_path)
  assert sorted(splits_of(films)) == sorted([*many("walk", 10), *many("run", 5), "run/deeper/x.avi"])
  assert [film.name for film in films[6:]] != many("walk", 10)
  tree(tmp_path, *many("swim", 5))
  assert [film for film in find_films(tmp_path) if film.label != "swim"] == films


def choices(total: int, fractions=None) -> list[str]:
  divider = splits.Divider([("walk", str(number)) for number in range(total)], fractions)
  return [divider.choose("walk", str(number)) for number in range(total)]


@given(st.integers(1, 200), st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_every_split_gets_its_share_and_at_least_one(total, weights):
  fractions = {f"s{k}": weight / sum(weights) for k, weight in enumerate(weights)}
  chosen = choices(total, fractions)
  counts = {split: chosen.count(split) for split in fractions}
  if total >= len(fractions):
    assert min(counts.values()) >= 1
  if total >= 40:
    assert all(abs(counts[split] - fraction * total) <= len(weights) for split, fraction in fractions.items())


def test_the_default_split_is_80_to_20():
  chosen = choices(100)
  assert (chosen.count("train"), chosen.count("validation")) == (80, 20)
  assert chosen[:2] == ["train", "validation"]


def test_a_class_of_one_video_goes_to_train_whatever_the_shares():
  assert choices(1, {"validation": 0.9, "train": 0.1}) == ["train"]


def test_top_folders_may_name_the_splits(tmp_path):
  tree(
    tmp_path, "train/walk/a.avi", "train/run/b.avi", "val/walk/c.avi", "val/run/d.avi", "README.txt", "val/notes.txt"
  )
  films = find_films(tmp_path)
  assert splits_of(films) == {
    "train/walk/a.avi": "train",
    "train/run/b.avi": "train",
    "val/walk/c.avi": "validation",
    "val/run/d.avi": "validation",
  }
  assert folder.find_films(tmp_path).strays == ["README.txt", "val/notes.txt"]


def test_classes_called_train_and_test_are_classes_when_they_hold_videos(tmp_path):
  films = find_films(tree(tmp_path, *many("train", 5), *many("test", 5)))
  assert {film.label for film in films} == {"train", "test"}


@pytest.mark.parametrize("header", ["path,label,split\n", ""])
def test_csv_with_and_without_header(tmp_path, header):
  rows = "a.avi,walk,train\nb c.avi, run,train\n\na2.avi,walk,val\nb2.avi,run,val\n"
  (tmp_path / "list.csv").write_text(header + rows, encoding="utf-8-sig")
  films = find_films(tmp_path / "list.csv")
  assert {(film.name, film.label, film.split) for film in films} == {
    ("a.avi", "walk", "train"),
    ("b c.avi", "run", "train"),
    ("a2.avi", "walk", "validation"),
    ("b2.avi", "run", "validation"),
  }
  assert all(film.path == tmp_path / film.name for film in films)


def test_json_lines_without_split(tmp_path):
  rows = [{"path": f"{k}.avi", "label": k % 2} for k in range(8)]
  (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
  films = find_films(tmp_path / "list.jsonl", {"train": 0.5, "dev": 0.5})
  assert {(film.label, film.split) for film in films} == {("0", ""), ("1", "")}


@pytest.mark.parametrize(
  ("files", "message"),
  [
    ([], "has no class folders"),
    (["a.avi"], "has no class folders"),
    ([*many("Dog", 2), *many("dog", 2)], "'Dog' and 'dog' differ in case or Unicode form only"),
    (many("walk", 1), r"has 1 video, too few for the splits train, validation: .* --split=train:1, which puts"),
    (
      ["train/walk/a", "test/run/a", "test/walk/a"],
      r"split 'train' no video of 1 of 2 classes \('run'\), which cannot be",
    ),
    (["eval/walk/a", "val/walk/a", "train/walk/a"], "eval and val are both names of the split validation"),
    ([*many("walk", 3), *many("wa\nlk", 3)], r"has the label 'wa\\nlk': use one line"),
    ([*many("caf\u00e9", 3), *many("cafe\u0301", 3)], "differ in case or Unicode form"),
  ],
)
def test_folders_that_cannot_be_split(tmp_path, files, message):
  with pytest.raises(InputError, match=message):
    find_films(tree(tmp_path, *files))


def test_split_folders_beside_others(tmp_path):
  tree(tmp_path, "train/walk/a.avi", "test/walk/b.avi", "annotations/c.txt")
  with pytest.raises(InputError, match="has the split folders test, train, and beside them annotations: move"):
    find_films(tmp_path)
  tree(tmp_path / "unlabelled", "train/walk/a.avi", "test/b.avi")
  films = find_films(tmp_path / "unlabelled")
  assert {(film.name, film.label, film.split) for film in films} == {
    ("train/walk/a.avi", "walk", "train"),
    ("test/b.avi", "", "test"),
  }
  tree(tmp_path / "test_only", "test/a.avi", "test/b.avi")
  with pytest.raises(InputError, match="gives no video a label: name the classes"):
    find_films(tmp_path / "test_only")
  films = find_films(tmp_path / "test_only", class_names={"0": "walk"})
  assert {(film.label, film.split) for film in films} == {("", "test")}
  tree(tmp_path / "bare", "train/walk/a.avi", "validation/b.avi")
  with pytest.raises(InputError, match="bare/validation has no class folders"):
    find_films(tmp_path / "bare")
  vehicles = tree(tmp_path / "vehicles", "train/cam1/a.avi", "train/cam2/b.avi", *many("bus", 2))
  assert {film.label for film in find_films(vehicles)} == {"train", "bus"}


def test_an_empty_class_folder_is_named(tmp_path):
  tree(tmp_path, *many("walk", 3))
  (tmp_path / "run").mkdir()
  with pytest.raises(InputError, match=r"class folder .*run is empty"):
    find_films(tmp_path)


@pytest.mark.parametrize(
  ("name", "text", "message"),
  [
    ("a.csv", "", "names no video"),
    ("a.csv", "path,label\na.avi,\n", "a.avi has an empty label"),
    ("a.csv", "path,label\n,walk\n", "line 2: the path is empty"),
    ("a.csv", "a.avi\n", "line 1: 1 cell where"),
    ("a.csv", "a.avi,walk,train,x\n", "line 1: 4 cells"),
    ("a.csv", "a.avi,walk,train\nb.avi,walk\n", r"gives 1 videos a split but not .*line 2: b.avi"),
    ("a.csv", "a.avi,walk\na.avi,run\n", r"a.csv, line 2: a.avi is named twice, first as .*a.csv, line 1: a.avi"),
    ("a.csv", "a.avi,walk\nb/../a.avi,run\n", r"line 2: b/../a.avi is named twice"),
    ("a.csv", "a.avi;walk;x;y\n", "line 1: 1 cell where .* commas, semicolons, tabs or spaces"),
    ("a.csv", "a.avi," + 200_000 * "x", "line 1: field larger than field limit"),
    ("a.jsonl", '{"path": "a\\u0000.avi", "label": "walk"}', "line 1: the path holds a NUL"),
    ("a.csv", "a.avi,walk,my split\n", "line 1: 'my split' is no split name"),
    ("a.jsonl", "{path: 3}", "line 1: not JSON"),
    ("a.jsonl", "[1, 2]", "entry 1: wants an object"),
    ("a.jsonl", '{"path": "a.avi", "label": null}', "a.avi has an empty label"),
    ("a.dat", "a.avi,walk", "neither a folder nor a list"),
  ],
)
def test_lists_that_cannot_be_read(tmp_path, name, text, message):
  (tmp_path / name).write_text(text)
  with pytest.raises(InputError, match=message):
    find_films(tmp_path / name)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("header", ["Path{0}Label{0}Split\n", ""])
def test_lists_with_commas_semicolons_or_tabs(tmp_path, separator, header):
  rows = [("a, b.avi", "jump; run", "Train"), ("c.avi", 'the "walk"\t', "train")]
  with (tmp_path / "a.csv").open("w", newline="") as file:
    file.write(header.format(separator))
    csv.writer(file, delimiter=separator, quoting=csv.QUOTE_ALL).writerows(rows)
  films = find_films(tmp_path / "a.csv")
  assert {(film.name, film.label, film.split) for film in films} == {
    ("a, b.avi", "jump; run", "train"),
    ("c.avi", 'the "walk"', "train"),
  }


def test_equal_files_are_found(tmp_path):
  tree(tmp_path, *many("walk", 4))
  for number, content in enumerate(("one", "two", "one", "one")):
    (tmp_path / "walk" / f"{number}.avi").write_text(content)
  films = find_films(tmp_path)
  first = next(film for film in films if film.name != "walk/1.avi")
  assert [film.copy_of for film in films if film.name not in (first.name, "walk/1.avi")] == [first.name] * 2
  assert [film.copy_of for film in films if film.name in (first.name, "walk/1.avi")] == ["", ""]


def test_equal_files_are_one_video_for_the_splits(tmp_path):
  for number in range(2):
    tree(tmp_path, f"walk/{number}.avi")
    (tmp_path / "walk" / f"{number}.avi").write_text("one")
  with pytest.raises(InputError, match=r"has 1 video, too few for the splits train, validation"):
    find_films(tmp_path)
  assert len(find_films(tmp_path, splits.parse_fractions("train:1"))) == 2


def test_equal_files_in_two_classes_are_an_error(tmp_path):
  for label in ("run", "walk"):
    for number in range(5):
      tree(tmp_path, f"{label}/{number}.avi")
      (tmp_path / label / f"{number}.avi").write_text(str(number))
  with pytest.raises(InputError, match=r"run/\d.avi and walk/\d.avi are the same file; .*, and 2 more: .*remove"):
    find_films(tmp_path)


def test_links_are_followed_unless_dangling_or_in_a_circle(tmp_path):
  tree(tmp_path, *many("videos/walk", 2), *many("videos/run", 2), "elsewhere/deep/a.avi", "videos/walk/.hidden/b.avi")
  (tmp_path / "videos" / "walk" / "more").symlink_to(tmp_path / "elsewhere")
  (tmp_path / "elsewhere" / "deep" / "round").symlink_to(tmp_path / "elsewhere")
  (tmp_path / "videos" / "walk" / "gone.avi").symlink_to(tmp_path / "nowhere.avi")
  names = {film.name for film in find_films(tmp_path / "videos")}
  assert names == {*many("walk", 2), *many("run", 2), "walk/more/deep/a.avi", "walk/gone.avi"}


def test_split_folders_in_capitals_are_split_folders(tmp_path):
  films = find_films(tree(tmp_path, "Train/walk/a.avi", "Valid/walk/b.avi"))
  assert {(film.label, film.split) for film in films} == {("walk", "train"), ("walk", "validation")}


def test_lists_in_another_encoding_and_missing_ones(tmp_path):
  (tmp_path / "a.csv").write_bytes("a.avi,göhen\n".encode("latin-1"))
  with pytest.raises(InputError, match="is not UTF-8"):
    find_films(tmp_path / "a.csv")
  with pytest.raises(InputError, match=r"b\.csv does not exist"):
    find_films(tmp_path / "b.csv")


def test_fractions_are_not_mixed_with_given_splits(tmp_path):
  tree(tmp_path, "train/walk/a.avi", "test/walk/c.avi")
  with pytest.raises(InputError, match="comes with splits of its own: leave --split out"):
    find_films(tmp_path, {"train": 1.0})


def test_fractions_parse():
  assert splits.parse_fractions("train:.8, validation:.2") == {"train": 0.8, "validation": 0.2}
  for bad in ("train", "train:.8", "train:.8,train:.2", "train:-1,test:2", "train:1,test:0", "Train:1", ""):
    with pytest.raises(InputError, match=r"^--split="):
      splits.parse_fractions(bad)
