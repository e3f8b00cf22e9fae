"""The papers' data sets, read from the layout in which they are shipped."""

import importlib
import json
import pathlib
import re

import numpy as np
import pytest

from configs import _sets, folder
from tests.data import official_files
from vidjax.data import identity
from vidjax.data.dataset import open_dataset
from vidjax.data.official import Official, mirrored
from vidjax.data.read_film import Storage
from vidjax.data.schema import Record
from vidjax.errors import InputError
from vidjax.prepare.source import names, prepare_source
from vidjax.prepare.statistics import table
from vidjax.run.opened import Run

MADE = {
  "ucf101": (["ApplyLipstick", "Archery"], {"1/train": 8, "1/test": 4, "2/train": 8, "2/test": 4}),
  "hmdb51": (["brush_hair", "wave"], {"1/train": 4, "1/test": 4, "3/train": 4, "3/test": 4}),
  "something_v2": (list(official_files.TEMPLATES), {"train": 7, "validation": 1, "test": 1}),
  "something_v1": (list(official_files.TEMPLATES), {"train": 7, "validation": 1, "test": 1}),
  "jester": (["Swiping Left", "Swiping Right", "Turning Hand Clockwise"], {"train": 3, "validation": 1, "test": 1}),
  "kinetics400": (["abseiling", "zumba"], {"train": 6, "validation": 6}),
  "mini_kinetics200": (["abseiling", "zumba"], {"train": 4, "validation": 2}),
  "diving48": (["Back 15som NoTwis PIKE", "Inward 25som NoTwis TUCK"], {"train": 4, "test": 2}),
  "charades": (["Holding some clothes", "Putting clothes, somewhere"], {"train": 3, "test": 3}),
  "thumos14": (["CliffDiving", "Diving"], {"validation": 2, "test": 2}),
}
"""Class names and numbers of videos, of some folds, of what `official_files` makes."""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> pathlib.Path:
  """A folder with all of them."""
  root = tmp_path_factory.mktemp("official")
  for name, make in official_files.MAKERS.items():
    make(root / name)
  return root


def read(name: str, root: pathlib.Path) -> Official:
  return importlib.import_module(f"vidjax.data.sources.{name}").read(root)


def prepare(name: str, root: pathlib.Path, data: pathlib.Path, **rest):
  return prepare_source(name, root, None, data, storage=Storage(short_side=24), workers=1, **rest)


@pytest.mark.slow
@pytest.mark.parametrize(
  ("name", "config", "flags"),
  [
    ("ucf101", "ucf101", ("--config.data.fold=2",)),
    ("something_v1", "ssv1", ("--config.transforms[1].swap=()",)),  # seven classes, of 174
    ("kinetics400", "kinetics400,sampling=dense", ("--config.data.fraction=.7", "--config.data.balanced=True")),
  ],
)
def test_a_set_is_trained_by_its_recipe(name, config, flags, made, train, tmp_path):
  """Prepared from the made files and trained for a step by the real command, which names nothing of the data set."""
  prepare(name, made / name, tmp_path)
  config = f"configs/tsm.py:{config},backbone=mobilenet_v2"
  flags = (f"--config.data.dir={tmp_path}", "--config.model.backbone.width_multiplier=0.25", *flags)
  flags += (
    "--config.init.pretrained=none",
    "--config.train.steps=1",
    "--config.train.batch_size=4",
    "--config.schedule.at=()",
  )
  output = train(tmp_path / "run", *flags, config=config, without="widths|data.name|num_segments|epochs")
  assert "best checkpoint (step 1)" in output
  assert f"folder/{name}: " in output
  report = (tmp_path / "run" / "evaluation" / ("test.json" if name == "ucf101" else "validation.json")).read_text()
  if name == "ucf101":
    listed = [
      (made / name / "ucfTrainTestlist" / f"{part}list02.txt").read_text().split() for part in ("train", "test")
    ]
    (trained,) = identity.read(tmp_path / "run").values()
    assert {pathlib.Path(film).name for film in trained} == {pathlib.Path(film).name for film in listed[0][::2]}
    assert json.loads(report)["videos"] == len(listed[1])
  assert ('"fraction": 0.7' in report) == ("chosen by seed 0" in output) == (name == "kinetics400")


def test_every_source_is_tested():
  assert names() == sorted(MADE) == sorted(official_files.MAKERS)


@pytest.mark.parametrize("name", MADE)
def test_a_source_opens_as_a_data_set(name, made, tmp_path):
  class_names, counts = MADE[name]
  report = prepare(name, made / name, tmp_path)
  assert not report.refused
  folds = sorted({int(key[0]) for key in counts if "/" in key}) or [None]
  for fold in folds:
    dataset = open_dataset(f"folder/{name}", str(tmp_path), fold)
    assert dataset.class_names == class_names
    start = f"{fold}/" if fold else ""
    assert dataset.splits == {key.removeprefix(start): n for key, n in counts.items() if key.startswith(start)}
    for split, count in dataset.splits.items():
      source = dataset.source(split)
      records = [Record.parse(source[i]) for i in range(count)]
      assert len(records) == len({record.video_id for record in records}) == len(dataset.films(split))
      assert min(records[0].decode([0, 7]).shape[1:3]) == 24
      assert set(dataset.films(split)) == {record.video_id for record in records}
    assert dataset.official["source"] == name
  official = read(name, made / name)
  assert any(f"officially {official.num_classes}" in warning for warning in report.warnings)


@pytest.mark.parametrize("name", MADE)
def test_folds_partition_and_groups_stay_apart(name, made):
  found = read(name, made / name)
  films = {film.name: film for film in found.films}
  for given in found.folds.values():
    assert set(given) <= set(films)
    assert set(given.values()) == {"train", "test"}
  assert {film.label for film in found.films if film.labels is None} <= {*found.class_names, ""}
  assert {label for film in found.films for label in film.labels or ()} <= {*found.class_names}


def test_all_folds_share_one_copy(made, tmp_path):
  prepare("ucf101", made / "ucf101", tmp_path)
  one, two = (open_dataset("folder/ucf101", str(tmp_path), fold) for fold in (1, 2))
  assert one.shards["train"] == one.shards["test"] == two.shards["train"]
  assert not one.films("test").keys() & two.films("test").keys()
  assert one.films("test").keys() <= two.films("train").keys()
  assert one.digests["train"] != two.digests["train"]
  ids = [Record.parse(two.source("test")[i]).video_id for i in range(4)]
  assert all("_g02_" in video for video in ids)


def test_a_fold_that_there_is_not(made, tmp_path):
  prepare("ucf101", made / "ucf101", tmp_path)
  prepare("diving48", made / "diving48", tmp_path)
  for name, fold, text in (
    ("ucf101", None, r"has the folds 1, 2, 3: name one, as in --config\.data\.fold=1"),
    ("ucf101", 4, "has no fold 4: it has 1, 2, 3"),
    ("diving48", 1, "has no fold 1: it has no folds, so leave data.fold out"),
  ):
    with pytest.raises(InputError, match=text):
      open_dataset(f"folder/{name}", str(tmp_path), fold)


def test_clips_of_a_film_stay_in_its_split(made, tmp_path):
  prepare_source("ucf101", made / "ucf101", "cut", tmp_path, storage=Storage(24, clip_seconds=0.5), workers=1)
  dataset = open_dataset("folder/cut", str(tmp_path), 3)
  assert dataset.splits == {"train": 16, "test": 8}
  source = dataset.source("test")
  assert all("_g03_" in Record.parse(source[i]).video_id for i in range(8))


def test_several_classes_a_film(made, tmp_path):
  for name, video, labels in (("charades", "A0", [0, 1]), ("charades", "A2", []), ("thumos14", "", [0, 1])):
    prepare(name, made / name, tmp_path, overwrite=True)
    dataset = open_dataset(f"folder/{name}", str(tmp_path))
    source = dataset.source("train" if name == "charades" else "validation")
    records = [Record.parse(source[i]) for i in range(len(source))]
    video = video or "video_validation_0000001"
    assert [
      [*(record.labels if record.labels is not None else [])] for record in records if record.video_id == video
    ] == [labels]


def test_mirrored_pairs(made):
  assert [[official_files.TEMPLATES.index(name) for name in pair] for pair in mirrored(official_files.TEMPLATES)] == [
    [1, 2],
    [3, 4],
    [5, 6],
  ]
  names = [f"class {number}" for number in range(174)]  # where the six stand in the official order
  for number, name in zip((86, 87, 93, 94, 166, 167), official_files.TEMPLATES[1:], strict=True):
    names[number] = name
  assert tuple((names.index(one), names.index(two)) for one, two in mirrored(names)) == _sets.LEFT_RIGHT
  pairs = [("Swiping Left", "Swiping Right")]
  assert read("jester", made / "jester").mirrored == pairs
  assert mirrored(["Turning Hand Clockwise", "Turning Hand Counterclockwise"])
  assert not mirrored(["bright", "left", "blight"])


def test_training_names_the_mirrored_pairs(made, tmp_path):
  prepare("jester", made / "jester", tmp_path)
  config = folder.get_config("mini")
  config.data.name, config.data.dir = "folder/jester", str(tmp_path)
  (note,) = Run(config.to_dict()).notes
  assert note.startswith("no mirror flips: class names tell left from right (Swiping Left, Swiping Right")
  assert note.endswith("The data set's own pairs are swap=((0,1),)")


def test_missing_videos_of_kinetics_are_counted_and_listed(made, tmp_path):
  report = prepare("kinetics400", made / "kinetics400", tmp_path)
  assert len(report.missing) == 4
  lines = (tmp_path / "folder" / "kinetics400" / "report.txt").read_text().splitlines()
  assert (
    sum(line.startswith("missing: train.csv, line 5: aaaaaaaaaa3_000003_000013 (train) is not below") for line in lines)
    == 1
  )
  text = "4 of the 16 listed videos are missing, which the report lists; by class: 'abseiling' 2 of 8, 'zumba' 2 of 8"
  assert text in report.warnings


def test_half_a_download(tmp_path):
  official_files.ucf101(tmp_path / "ucf")
  (tmp_path / "ucf/UCF-101/Archery/v_Archery_g01_c01.avi").unlink()
  with pytest.raises(
    InputError, match=r"1 of the 12 videos .* half a download .*v_Archery_g01_c01.avi.*--allow_missing"
  ):
    prepare("ucf101", tmp_path / "ucf", tmp_path)
  report = prepare("ucf101", tmp_path / "ucf", tmp_path, allow_missing=True)
  assert len(report.kept) == 11
  assert open_dataset("folder/ucf101", str(tmp_path), 1).splits == {"train": 8, "test": 3}


@pytest.mark.parametrize(
  ("name", "file", "text"),
  [
    ("ucf101", "ucfTrainTestlist/classInd.txt", r"has no classInd.txt; ucf101 is read from UCF-101/CLASS.*crcv"),
    ("ucf101", "ucfTrainTestlist/testlist02.txt", r"has no testlist02.txt; ucf101 is read from"),
    ("hmdb51", "testTrainMulti_7030_splits/wave_test_split3.txt", r"has no wave_test_split3.txt where there should"),
    ("something_v2", "labels/train.json", r"has no train.json or something-something-v2-train.json; something_v2"),
    ("something_v1", "something-something-v1-validation.csv", r"has no something-something-v1-validation.csv"),
    ("jester", "jester-v1-labels.csv", r"has no jester-v1-labels.csv"),
    ("kinetics400", "val.csv", r"has no val.csv or validate.csv"),
    ("mini_kinetics200", "train.csv", r"has no train.csv or kinetics_train.csv"),
    ("diving48", "Diving48_vocab.json", r"has no Diving48_vocab.json; diving48 is read from VIDEO.mp4"),
    ("charades", "Charades_v1_test.csv", r"has no Charades_v1_test.csv"),
    ("thumos14", "test/CliffDiving_test.txt", r"0 files CliffDiving_test.txt where there should be one"),
  ],
)
def test_an_official_file_is_missing(name, file, text, tmp_path):
  official_files.MAKERS[name](tmp_path / name)
  (tmp_path / name / file).unlink()
  with pytest.raises(InputError, match=text):
    read(name, tmp_path / name)


@pytest.mark.parametrize(
  ("name", "file", "change", "text"),
  [
    (
      "ucf101",
      "ucfTrainTestlist/trainlist01.txt",
      lambda t: t + t.splitlines()[0] + "\n",
      r"is listed twice in fold 1",
    ),
    ("ucf101", "ucfTrainTestlist/trainlist01.txt", lambda t: t.replace(" 2", " 1"), r"with a class and its number"),
    ("ucf101", "ucfTrainTestlist/testlist01.txt", lambda t: t + "Archery/v_Archery_g02_c01.avi\n", "first for train"),
    ("ucf101", "ucfTrainTestlist/classInd.txt", lambda t: "2 Archery\n", "the next number being 1"),
    ("hmdb51", "testTrainMulti_7030_splits/wave_test_split1.txt", lambda t: t.replace(" 2", " 7"), "a flag 0, 1 or 2"),
    ("something_v2", "labels/train.json", lambda t: t[: len(t) // 2], r"train.json is damaged .* download it again"),
    ("something_v2", "labels/train.json", lambda t: t.replace('"0"', '"1"'), r"1 is listed twice, first in train.json"),
    ("something_v2", "labels/labels.json", lambda t: t.replace('"3"', '"9"'), r"from 0 on without a gap"),
    ("something_v2", "labels/train.json", lambda t: t.replace("Holding", "Eating"), r"'Eating something' is no class"),
    ("something_v1", "something-something-v1-train.csv", lambda t: t.replace("2;", "1;"), r"listed twice"),
    ("jester", "jester-v1-train.csv", lambda t: t.replace("Swiping", "Wiping"), r"is no NUMBER;CLASS"),
    ("kinetics400", "train.csv", lambda t: t + t.splitlines()[1] + "\n", r"listed twice"),
    ("kinetics400", "train.csv", lambda t: t.replace("youtube_id", "video"), r"line 1: the header must be label,"),
    ("diving48", "Diving48_V2_train.json", lambda t: t.replace('"label": 1', '"label": 7'), r"no label from 0 to 1"),
    (
      "charades",
      "Charades_v1_train.csv",
      lambda t: t.replace("c001 0.10", "c999 0.10"),
      r"line 3: 'c999 0.10 0.90' is no action",
    ),
    ("thumos14", "test/Diving_test.txt", lambda t: t.replace("0.1 0.4", "0.4 0.1"), r"does not read video_test_NUMBER"),
  ],
)
def test_an_official_file_is_damaged(name, file, change, text, tmp_path):
  official_files.MAKERS[name](tmp_path / name)
  path = tmp_path / name / file
  path.write_text(change(path.read_text()))
  with pytest.raises(InputError, match=text):
    read(name, tmp_path / name)


def test_nothing_there_and_two_files_of_one_name(tmp_path):
  with pytest.raises(InputError, match=r"--source=.*nowhere is no folder; ucf101 is read from UCF-101"):
    read("ucf101", tmp_path / "nowhere")
  official_files.diving48(tmp_path)
  official_files.film(tmp_path / "again" / "_8Vy_00000.mp4")
  with pytest.raises(InputError, match=r"both .*_8Vy_00000.mp4 and .*_8Vy_00000.mp4 are called so"):
    read("diving48", tmp_path)
  (tmp_path / "again" / "Diving48_vocab.json").write_text("[]")
  with pytest.raises(InputError, match=r"are called so|twice: move one"):
    read("diving48", tmp_path)


def test_statistics_print_the_sizes_beside_the_official_ones(made, tmp_path):
  prepare("hmdb51", made / "hmdb51", tmp_path)
  prepare("jester", made / "jester", tmp_path)
  lines = [re.split(r"  +", line) for line in table(["folder/hmdb51", "folder/jester"], str(tmp_path))]
  assert lines[0] == ["data set", "classes", "official", "split", "videos", "official", "mean seconds", "frames"]
  assert ["folder/hmdb51", "2", "51", "test of fold 3", "4", "1,530", "1.00", "32"] in lines
  assert ["folder/jester", "3", "27", "train", "3", "118,562", "0.67", "24"] in lines
  assert len(lines) == 1 + 6 + 3


def test_frames_of_something_keep_their_bytes(made, tmp_path):
  prepare_source("something_v1", made / "something_v1", None, tmp_path, storage=Storage(256), workers=1)
  source = open_dataset("folder/something_v1", str(tmp_path)).source("validation")
  record = Record.parse(source[0])
  folder = made / "something_v1" / "20bn-something-something-v1" / "100"
  assert list(record.frames) == [path.read_bytes() for path in sorted(folder.iterdir())]
  assert record.times is not None
  np.testing.assert_allclose(np.diff(record.times), 1 / 12, rtol=1e-4)
