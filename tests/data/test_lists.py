"""Annotation lists as other tools write them."""

import json

import pytest

from vidjax.data import classes
from vidjax.data.folder import find_films
from vidjax.data.lists import Row, read_list
from vidjax.errors import InputError

FILES = ("run/a.mp4", "run/b c.mp4", "walk/c,d.mp4", "walk/#e.mp4")
LABELS = ("run", "run", "walk", "walk")


@pytest.fixture
def root(tmp_path):
  for file in FILES:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
  return tmp_path


def rows(path, text: str | bytes) -> list[tuple[str, str]]:
  path.write_bytes(text if isinstance(text, bytes) else text.encode())
  return [(row.path, row.label) for row in read_list(path).rows]


def quoted(separator: str, end: str = "\n") -> str:
  return "".join(f'"{file}"{separator}{label}{end}' for file, label in zip(FILES, LABELS, strict=True))


PAIRS = list(zip(FILES, LABELS, strict=True))


@pytest.mark.parametrize(
  ("name", "text"),
  [
    ("a.csv", "filename,class\n" + quoted(",")),
    ("a.csv", "Video Path;Action\n" + quoted(";")),
    ("a.csv", "sep=;\r\npath;label\r\n" + quoted(";", "\r\n")),
    ("a.csv", "sep=|\r\n" + quoted("|", "\r\n")),
    ("a.csv", "# by hand\npath,label\n#, really\n" + quoted(",")),
    ("a.csv", "path,label\r" + quoted(",", "\r")),
    ("a.csv", ("path\tlabel\n" + quoted("\t")).encode("utf-16")),
    ("a.txt", "".join(f"{file} {label}\n" for file, label in PAIRS)),
    ("a.csv", "path label\n" + "".join(f"{file}  {label}\n" for file, label in PAIRS)),
    ("a.csv", "".join(f'{label},"{file}"\n' for file, label in PAIRS)),
    ("a.csv", ",path,label\n" + "".join(f'{n},"{file}",{label}\n' for n, (file, label) in enumerate(PAIRS))),
    ("a.json", json.dumps([{"path": file, "label": label} for file, label in PAIRS], indent=1)),
    ("a.jsonl", "\n".join(json.dumps({"video": file, "category": label}) for file, label in PAIRS)),
    ("a.json", json.dumps({file: {"label": label} for file, label in PAIRS})),
  ],
)
def test_the_same_rows_in_every_dress(root, name, text):
  assert rows(root / name, text) == PAIRS


def test_columns_are_told(root):
  path = root / "a.csv"
  path.write_text("video,class,subset,duration\nrun/a.mp4,run,Testing,3\n")
  listing = read_list(path)
  assert listing.rows == [Row("run/a.mp4", "run", "test", "", f"{path}, line 2")]
  assert listing.note == (
    f"{path}: column 'video' as the path, 'class' as the label, 'subset' as the split; not used: duration"
  )
  path.write_text("path,label\nrun/a.mp4,run\n")
  assert read_list(path).note == ""
  path.write_text("path,label,duration\nrun/a.mp4,run,3\n")
  assert read_list(path).note == f"{path}: columns not used: duration"


def test_a_column_that_may_say_the_split_is_warned_of(root):
  path = root / "a.csv"
  path.write_text("path,label,is_train\nrun/a.mp4,run,1\n")
  assert read_list(path).note.startswith(f"warning: {path}: the column 'is_train' is not read; if it says the split")


def test_kinetics_own_files(tmp_path):
  (tmp_path / "train" / "dance").mkdir(parents=True)
  for name in ("abcdefghij0_000012_000022.mp4", "abcdefghij1.mkv"):
    (tmp_path / "train" / "dance" / name).touch()
  listed = "dance,abcdefghij0,12,22,train\ndance,abcdefghij1,0,10,train\ndance,gone_______,1,11,train\n"
  expected = [
    *[(f"train/dance/{name}", "dance") for name in ("abcdefghij0_000012_000022.mp4", "abcdefghij1.mkv")],
    ("gone_______", "dance"),
  ]
  assert rows(tmp_path / "k.csv", "label,youtube_id,time_start,time_end,split\n" + listed) == expected
  entries = {
    row.split(",")[1]: {
      "annotations": {"label": "dance", "segment": [*map(float, row.split(",")[2:4])]},
      "subset": "train",
    }
    for row in listed.split()
  }
  assert rows(tmp_path / "k.json", json.dumps(entries)) == expected


def test_something_somethings_own_files(tmp_path):
  (tmp_path / "videos").mkdir()
  (tmp_path / "videos" / "17.webm").touch()
  entry = {"id": "17", "label": "pushing a pen", "template": "Pushing [something]", "placeholders": ["a pen"]}
  path = tmp_path / "something-something-v2-train.json"
  assert rows(path, json.dumps([entry])) == [("videos/17.webm", "Pushing something")]
  test = tmp_path / "something-something-v2-test.json"
  test.write_text(json.dumps([{"id": "18"}]))
  films = find_films([path, test]).films
  assert [(film.name, film.label, film.split) for film in films] == [
    ("18", "", "test"),
    ("videos/17.webm", "Pushing something", "train"),
  ]


@pytest.mark.parametrize(
  ("name", "text", "message"),
  [
    ("a.jsonl", '{"path": "a.mp4", "label": ["run", "x"]}', r"line 1: label is \['run', 'x'\], and a video has one"),
    ("a.csv", "path,label\na.mp4,\"['run', 'x']\"\n", r"line 2: label is \['run', 'x'\], and a video has one"),
    ("a.jsonl", '{"path": "a.mp4", "label": 1.0}', "line 1: label is 1.0: give a name or a whole number"),
    ("a.csv", "path,label\na.mp4,1.0\n", "line 2: label is 1.0: give a name or a whole number"),
    ("a.jsonl", '{"path": "a.mp4", "label": true}', "line 1: label is True: give a name"),
    ("a.csv", "path,label,start\na.mp4,run,1\n", "line 2: start is given without end: give both, or neither"),
    ("a.csv", "path,label,start,end\na.mp4,run,2,1\n", "start and end must be seconds, the end after the start"),
    ("a.csv", "path,label,start,end\na.mp4,run,-1,1\n", "start and end must be seconds"),
    ("a.csv", "path,label,start_frame,end_frame\na.mp4,run,0.5,2\n", "must be whole numbers of frames"),
    ("a.jsonl", '{"path": "a.mp4", "label": "run", "segment": [1]}', "segment must be seconds"),
    ("a.txt", "a.mp4 run\nb.mp4 25 run\n", "line 2: 3 words where path,label"),
    ("a.txt", "frames/1 120 3\n", "line 1: 3 words .* there is no folder frames/1 of 120 frames"),
    (
      "a.csv",
      "path,sort\na.mp4,run\n",
      r"line 2: no column is called label \(or labels, class, class_name.*are path, sort: name them",
    ),
    ("a.csv", "label,where\nrun,a.mp4\n", r"line 2: no column is called path"),
    ("a.json", '[{"path": "a"}', "is not JSON"),
    ("a.json", '{"videos": [\n{"path": "a"}]}', "is an object with the key 'videos': a list of objects"),
    ("a.json", '{"database": {"v": {"subset": "train"}}}', "'database': no column is called label"),
  ],
)
def test_what_is_ambiguous_is_refused(tmp_path, name, text, message):
  (tmp_path / name).write_text(text)
  with pytest.raises(InputError, match=message):
    read_list(tmp_path / name)


def test_two_files_of_one_id(tmp_path):
  for name in ("a", "b"):
    (tmp_path / name).mkdir()
    (tmp_path / name / "17.webm").touch()
  (tmp_path / "l.csv").write_text("id,label\n17,push\n")
  with pytest.raises(InputError, match=r"line 2: 17 is a/17.webm or b/17.webm: remove one"):
    read_list(tmp_path / "l.csv")


def test_several_lists_name_their_splits(root):
  for name in ("train", "val"):
    (root / f"{name}.csv").write_text(f"path,label\n{name}1.mp4,run\n{name}2.mp4,walk\n")
  films = find_films([root / "train.csv", root / "val.csv"]).films
  assert {(film.name, film.split) for film in films} == {
    *[(f"train{n}.mp4", "train") for n in (1, 2)],
    *[(f"val{n}.mp4", "validation") for n in (1, 2)],
  }
  (root / "more.csv").write_text("x.mp4,run\n")
  with pytest.raises(InputError, match=r"more\.csv: of several lists each names its split"):
    find_films([root / "train.csv", root / "more.csv"])


def test_numbers_sort_as_numbers_and_a_file_gives_the_order(root):
  (root / "list.csv").write_text("".join(f"{n}.mp4,{n}\n" for n in range(12)))
  assert find_films(root / "list.csv", {"train": 1.0}).class_names == [str(n) for n in range(12)]
  names = [f"class {n}" for n in range(12)]
  found = find_films(root / "list.csv", {"train": 1.0}, class_names=classes.numbered(names))
  assert found.class_names == names
  assert {film.label: film.name for film in found.films}["class 10"] == "10.mp4"
  with pytest.raises(InputError, match=r"label '11', which is no name in --classes and no number from 0 to 10"):
    find_films(root / "list.csv", {"train": 1.0}, class_names=classes.numbered(names[:11]))
  from_one = find_films(root / "list.csv", {"train": 1.0}, class_names=classes.numbered(["zero", *names], 0))
  assert {film.label: film.name for film in from_one.films}["class 9"] == "10.mp4"


@pytest.mark.parametrize(
  ("name", "text"),
  [
    ("a.txt", "walk\nrun\n"),
    ("classInd.txt", "1 walk\r\n2 run\r\n"),
    ("a.txt", "0 walk\n1 run\n"),
    ("labels.json", '{"run": "1", "walk": "0"}'),
    ("a.json", '["walk", "run"]'),
  ],
)
def test_files_of_class_names(tmp_path, name, text):
  (tmp_path / name).write_text(text)
  first = 1 if name == "classInd.txt" else 0
  assert classes.read(tmp_path / name) == {str(first): "walk", str(first + 1): "run"}


@pytest.mark.parametrize(
  ("name", "text", "message"),
  [
    ("a.txt", "", "holds no class name"),
    ("a.txt", "walk\nrun\nwalk\n", "names 'walk' twice"),
    ("a.json", '{"walk": 1, "run": 3}', "must run from 0 on"),
    ("a.json", "3", "neither a list"),
    ("a.json", "{", "--classes="),
  ],
)
def test_files_that_name_no_classes(tmp_path, name, text, message):
  (tmp_path / name).write_text(text)
  with pytest.raises(InputError, match=message):
    classes.read(tmp_path / name)
  with pytest.raises(InputError, match=r"gone.txt cannot be read"):
    classes.read(tmp_path / "gone.txt")


def test_ucf101s_own_files(tmp_path):
  (tmp_path / "classInd.txt").write_text("1 Archery\n2 Run\n")
  (tmp_path / "trainlist01.txt").write_text("Run/v_Run_g08_c01.avi 2\nArchery/v_Archery_g08_c01.avi 1\n")
  names = classes.read(tmp_path / "classInd.txt")
  found = find_films(tmp_path / "trainlist01.txt", {"train": 1.0}, class_names=names)
  assert [(film.name.split("/")[0], film.label) for film in found.films] == [("Archery", "Archery"), ("Run", "Run")]
  assert found.class_names == ["Archery", "Run"]


@pytest.mark.parametrize(
  ("text", "words"),
  [
    ("path,label,labels\na.mp4,x,y\n", "there are the columns label and labels: keep one of them"),
    ("path,labels\na.mp4,\"['x', 'y']\"\n", "labels holds .*: give names, with ; between them"),
  ],
)
def test_labels_that_cannot_be_told_are_refused(text, words, tmp_path):
  (tmp_path / "a.csv").write_text(text)
  with pytest.raises(InputError, match=words):
    read_list(tmp_path / "a.csv")


def test_a_comma_inside_a_label_is_told(tmp_path):
  (tmp_path / "a.csv").write_text("path;labels\na.mp4;run,jump\n")
  assert read_list(tmp_path / "a.csv").rows[0].labels == ("run,jump",)
  assert "the label 'run,jump' holds a comma" in read_list(tmp_path / "a.csv").note
