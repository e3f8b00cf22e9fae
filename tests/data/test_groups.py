"""Which files come from one recording, and that they stay in one split."""

import pathlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidjax.data import groups
from vidjax.data.films import Film
from vidjax.data.folder import find_films
from vidjax.data.splits import Divider, divide, mend
from vidjax.errors import InputError


@pytest.mark.parametrize(
  ("name", "label", "pattern", "expected"),
  [
    ("Segway/v_Segway_g01_c04.avi", "Segway", None, "v_Segway_g01"),
    ("wave/April_09_wave_u_nm_np1_ba_goo_0.avi", "wave", None, "April_09"),
    ("brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0.avi", "brush hair", None, "April_09"),
    ("dance/-_4fVlp6u1s_000012_000022.mp4", "dance", None, "-_4fVlp6u1s"),
    ("walk/a.mp4", "walk", None, ""),
    ("walk/s03_take2.mp4", "walk", r"(s\d+)_", "s03"),
    ("walk/s03/take2.mp4", "walk", r"/(s\d+)/", "s03"),
    ("walk/s03_take2.mp4", "walk", r"^s\d+", "s03"),
    ("walk/other.mp4", "walk", r"(s\d+)_", ""),
    ("walk/v_walk_g01_c01.mp4", "walk", r"c(\d+)", "01"),
  ],
)
def test_names_tell_groups(name, label, pattern, expected):
  assert groups.group_of(name, label, pattern and re.compile(pattern)) == expected


def test_numbered_cuts_are_found_but_not_numbered_files_of_a_class():
  names = [
    "party_1",
    "party_2",
    "trip (1)",
    "trip (2)",
    "dash part 1",
    "dash part 2",
    "cam1_take1_raw",
    "cam1_take2_raw",
  ]
  names += ["01_wedding", "02_wedding", "walk_1", "walk_2"]
  names += ["video1", "video2", "v001", "v002", "alone_1", "12", "13", "MVI_0012", "MVI_0013"]
  cuts = groups.numbered_cuts((f"walk/{name}.mp4", "walk") for name in names)
  assert cuts == [[f"walk/{a}.mp4", f"walk/{b}.mp4"] for a, b in zip(names[:8:2], names[1:8:2], strict=True)] + [
    ["walk/01_wedding.mp4", "walk/02_wedding.mp4"]
  ]


def tree(root: pathlib.Path, *files: str) -> pathlib.Path:
  for file in files:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).touch()
  return root


def divided(found) -> dict[str, str]:
  return {film.name: film.split for film in divide(found.films)}


def test_ucf101_names_stay_together(tmp_path):
  names = [f"{c}/v_{c}_g{g:02d}_c{n:02d}.avi" for c in ("Run", "Walk") for g in range(1, 11) for n in range(1, 5)]
  found = find_films(tree(tmp_path, *names))
  splits = divided(found)
  by_group = {}
  for name, split in splits.items():
    by_group.setdefault(name[:-8], set()).add(split)
  assert all(len(split) == 1 for split in by_group.values())
  assert [sum(split == {s} for split in by_group.values()) for s in ("train", "validation")] == [16, 4]
  assert not found.warnings


def test_a_group_may_run_through_several_classes(tmp_path):
  films = [f"{label}/person{p}_{label}_{n}.avi" for label in ("run", "walk") for p in range(5) for n in range(3)]
  splits = divided(find_films(tree(tmp_path, *films), group=r"(person\d)"))
  for person in range(5):
    assert len({split for name, split in splits.items() if f"person{person}" in name}) == 1
  assert {split for name, split in splits.items() if name.startswith("walk")} == {"train", "validation"}


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("123456")), min_size=1, max_size=40))
def test_no_group_is_divided_and_train_has_every_class(videos):
  videos.sort()
  divider = Divider(videos)
  chosen = [(label, group, divider.choose(label, group)) for label, group in videos]
  assert len({(group, split) for _, group, split in chosen}) == len({group for _, group in videos})
  assert {label for label, _, split in chosen if split == "train"} == {label for label, _ in videos}
  for label in {label for label, _ in videos}:
    others = {group for name, group in videos if name != label}
    own = {group for name, group in videos if name == label} - others
    if len(own) > 1:  # groups of its own: there is one for validation, too
      assert "validation" in {split for name, _, split in chosen if name == label}


def mended(labels: dict[str, str], refused: str) -> dict[str, str]:
  """The splits of films, each a group of its class ("a" to "z"), once some are refused."""
  films = [Film(pathlib.Path(name), name, label, group=name) for name, label in labels.items()]
  return {film.name: film.split for film in mend(divide(films), refused)}


def test_what_refused_films_take_from_a_split_is_made_up_for():
  """Three classes of three; of each class the first goes to train, the second to validation."""
  labels = {name: label for label, names in (("run", "abc"), ("walk", "def"), ("swim", "gh")) for name in names}
  before = mended(labels, "")
  assert before == dict(zip("abcdefgh", ["train", "validation", "train"] * 2 + ["train", "validation"], strict=True))
  assert mended(labels, "c") == before  # train has another
  assert mended(labels, "b") == {**before, "c": "validation"}  # train has a spare one
  assert mended(labels, "ac") == {**before, "b": "train"}  # train comes first
  assert mended(labels, "h") == before  # there is no spare one
  assert mended(labels, "abc") == before


def test_given_splits_are_never_divided():
  films = [Film(pathlib.Path(name), name, "walk", split, group=name) for name, split in (("a", "train"), ("b", "test"))]
  assert divide(films) == films


def test_large_groups_do_not_end_in_validation(tmp_path):
  files = [f"walk/big_{n}.avi" for n in range(20)] + [f"walk/small{k}_{n}.avi" for k in range(6) for n in range(1)]
  splits = divided(find_films(tree(tmp_path, *files), group=r"(.+)_\d+"))
  assert {splits[f"walk/big_{n}.avi"] for n in range(20)} == {"train"}


def test_files_that_differ_in_their_ending_stay_together(tmp_path):
  names = [f"walk/{n}.{ending}" for n in "abcdefgh" for ending in ("mp4", "mkv")]
  splits = divided(find_films(tree(tmp_path, *names)))
  assert all(splits[f"walk/{n}.mp4"] == splits[f"walk/{n}.mkv"] for n in "abcdefgh")
  assert set(splits.values()) == {"train", "validation"}


def test_cuts_and_shared_groups_are_warned_of(tmp_path):
  found = find_films(tree(tmp_path / "cuts", *[f"walk/{name}_{n}.avi" for name in ("park", "city") for n in range(3)]))
  (warning,) = found.warnings
  assert "6 files look like numbered cuts of 2 recordings (walk/" in warning
  pattern = re.search(r"--group='(.*)' keeps", warning)[1]
  again = find_films(tmp_path / "cuts", group=pattern)
  assert not again.warnings
  assert {film.group for film in again.films} == {"park", "city"}
  files = [f"{split}/Run/v_Run_g0{g}_c01.avi" for split, g in (("train", 1), ("train", 2), ("val", 2))]
  files[2] = files[2].replace("c01", "c02")
  found = find_films(tree(tmp_path / "given", *files))
  assert found.warnings == ["1 groups, clips of one recording each, lie in more than one split (v_Run_g02)"]


def test_a_list_has_a_column_group(tmp_path):
  rows = [f"{n}.avi,walk,{n % 3}" for n in range(9)]
  (tmp_path / "list.csv").write_text("path,label,group\n" + "\n".join(rows))
  assert {film.group for film in find_films(tmp_path / "list.csv").films} == {"0", "1", "2"}


@pytest.mark.parametrize(("group", "message"), [("(", "no regular expression"), ("q(x)", "finds no group in any file")])
def test_patterns_that_do_not_fit(tmp_path, group, message):
  with pytest.raises(InputError, match=f"--group=.*{message}"):
    find_films(tree(tmp_path, "walk/a.avi", "walk/b.avi"), group=group)
