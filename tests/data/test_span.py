"""Parts of films, as lists name them: several a film, in seconds or frames, all of one group."""

import json
import pathlib

import cv2
import numpy as np
import pytest

from vidjax.data import folder
from vidjax.data.dataset import open_dataset
from vidjax.data.read_film import Storage
from vidjax.data.schema import Record
from vidjax.data.span import PAIRS, Span, of_row
from vidjax.errors import InputError
from vidjax.prepare.folder import prepare_folder


@pytest.fixture
def root(tmp_path, make_video) -> pathlib.Path:
  for name in "ab":
    make_video(tmp_path / f"{name}.mp4", count=24, width=48 + 16 * (name == "b"))  # three seconds
  return tmp_path


def write(root: pathlib.Path, *rows: str, header: str = "path,label,start,end,split") -> pathlib.Path:
  (root / "list.csv").write_text("\n".join([header, *rows]) + "\n")
  return root / "list.csv"


def records(data: pathlib.Path) -> dict[str, Record]:
  dataset = open_dataset("folder/mine", str(data))
  sources = [dataset.source(split) for split in dataset.splits]
  found = [Record.parse(source[i]) for source in sources for i in range(len(source))]
  return {record.video_id: record for record in found}


ROWS = ("a.mp4,run,0,1,train", "a.mp4,walk,1,2.5,train", "b.mp4,run,2,3,validation", "b.mp4,walk,0.5,1,validation")


def test_a_film_gives_several_videos(root):
  report = prepare_folder(write(root, *ROWS), "mine", root, storage=Storage(32), workers=1)
  assert not report.refused
  found = records(root)
  assert {name: record.num_frames for name, record in found.items()} == {
    "a.mp4#0-1s": 8, "a.mp4#1-2.5s": 12, "b.mp4#2-3s": 8, "b.mp4#0.5-1s": 4
  }  # fmt: skip
  record = found["a.mp4#1-2.5s"]
  assert record.times is not None
  np.testing.assert_allclose(record.times, np.arange(12) / 8, atol=1e-3)
  np.testing.assert_allclose(record.decode([0, 11])[:, -1, -1].mean(-1), [8 * 8 + 20, 19 * 8 + 20], atol=4)
  assert (record.fps, record.label) == (8, 1)
  assert {entry["group"] for entry in report.kept} == {"a.mp4#0-1s", "b.mp4#0.5-1s"} or len(report.groups) == 2
  assert all(entry["seconds"] == pytest.approx(found[entry["file"]].num_frames / 8) for entry in report.kept)


def test_frames_and_segments(root):
  rows = ("a.mp4,run,0,8,train", "a.mp4,walk,8,9,train", "b.mp4,run,20,24,train", "b.mp4,walk,3,24,train")
  prepare_folder(write(root, *rows, header="path,label,start_frame,end_frame,split"), "mine", root, workers=1)
  lengths = {name: record.num_frames for name, record in records(root).items()}
  assert lengths == {"a.mp4#0-8f": 8, "a.mp4#8-9f": 1, "b.mp4#20-24f": 4, "b.mp4#3-24f": 21}
  lines = [
    {"path": "a.mp4", "label": label, "segment": [start, start + 1]} for label, start in (("run", 0), ("walk", 1))
  ]
  (root / "list.jsonl").write_text("\n".join(map(json.dumps, lines)))
  films = folder.find_films(root / "list.jsonl", {"train": 1.0}).films
  assert sorted(film.name for film in films) == ["a.mp4#0-1s", "a.mp4#1-2s"]
  assert len({film.group for film in films}) == 1


def test_parts_of_one_film_or_of_its_copy_stay_in_one_split(root):
  (root / "copy.mp4").write_bytes((root / "a.mp4").read_bytes())
  rows = ("a.mp4,run,0,1", "a.mp4,walk,1,2", "copy.mp4,run,0,1", "copy.mp4,walk,2,3", "b.mp4,run,0,1", "b.mp4,walk,1,2")
  films = folder.find_films(write(root, *rows, header="path,label,start,end")).films
  groups = {name: {film.group for film in films if film.file == name} for name in ("a.mp4", "b.mp4", "copy.mp4")}
  assert all(len(group) == 1 for group in groups.values())
  assert groups["a.mp4"] == groups["copy.mp4"] != groups["b.mp4"]
  assert [film.copy_of for film in films if film.copy_of] in (["a.mp4#0-1s"], ["copy.mp4#0-1s"])
  films = folder.find_films(write(root, *rows[1:2], *rows[2:3], *rows[4:], header="path,label,start,end")).films
  assert len({film.group for film in films if film.file != "b.mp4"}) == 1  # no part is the same


def test_time_beyond_the_film_is_refused_and_listed(root):
  rows = (*ROWS, "a.mp4,run,2.5,3.6,train", "a.mp4,run,7,8,train")
  report = prepare_folder(write(root, *rows), "mine", root, workers=1)
  assert len(report.kept) == 4
  assert [reason.partition(": ")[2] for reason in sorted(report.refused)] == [
    "a.mp4#2.5-3.6s ends after the film, which has 3.000 s: correct the list",
    "a.mp4#7-8s ends after the film, which has 3.000 s: correct the list",
  ]
  for row in rows[-2:]:
    assert row not in records(root)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("pair", PAIRS)
def test_one_end_alone_is_named(pair, order):
  given, lacking = (pair[i] for i in order)
  begin = ", 0 for the beginning of the film" if order == (1, 0) else ""
  message = f"^a list: {given} is given without {lacking}: give both{begin}, or neither for all of the film$"
  with pytest.raises(InputError, match=message):
    of_row("a list", {"path": "a.mp4", given: "1", lacking: ""})
  assert str(Span(1234567, 1234568, in_frames=True)) == "1234567-1234568f"
  assert str(Span(1234.567, 1234.5671)) == "1234.567-1234.5671s"


def test_the_same_part_twice_all_of_a_film_beside_and_kept_files(root):
  with pytest.raises(InputError, match=r"line 3: a.mp4#0-1s is named twice, first as .*line 2"):
    folder.find_films(write(root, ROWS[0], ROWS[0]))
  with pytest.raises(InputError, match=r"a.mp4#0-1s is a part of a film, and .*line 3: a.mp4 is all of it"):
    folder.find_films(write(root, ROWS[0], "a.mp4,run,,,train"))
  with pytest.raises(InputError, match="is a part of a film, and --encoding=video keeps whole files"):
    prepare_folder(write(root, *ROWS), "mine", root, storage=Storage(encoding="video"), workers=1)
  with pytest.raises(InputError, match=r"gone.mp4#0-1s does not exist in .*: paths are relative to the list's folder"):
    prepare_folder(write(root, "gone.mp4,run,0,1,train"), "mine", root, workers=1)


def test_parts_of_a_folder_of_frames_and_clips_of_parts(root):
  (root / "frames").mkdir()
  for number in range(24):
    cv2.imwrite(str(root / "frames" / f"{number + 1:05}.jpg"), np.full((32, 32, 3), 8 * number, np.uint8))
  storage = Storage(fps=8, clip_seconds=0.5)
  prepare_folder(write(root, "frames,run,1,2,train", "a.mp4,walk,0,1,train"), "mine", root, storage=storage, workers=1)
  found = records(root)
  assert sorted(found) == ["a.mp4#0-1s#0000", "a.mp4#0-1s#0001", "frames#1-2s#0000", "frames#1-2s#0001"]
  np.testing.assert_allclose(found["frames#1-2s#0001"].decode([0])[0, 0, 0], 12 * 8, atol=2)
