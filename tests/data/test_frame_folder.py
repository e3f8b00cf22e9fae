"""Folders of frames as films: JPEGs keep their bytes, gaps are told, and what is no frame is refused."""

import json
import pathlib

import cv2
import numpy as np
import pytest

from tests.data.conftest import frames_of
from vidjax.data import folder, frame_folder
from vidjax.data.dataset import open_dataset
from vidjax.data.read_film import Storage
from vidjax.data.schema import Record
from vidjax.errors import InputError
from vidjax.prepare.folder import prepare_folder


def write(path: pathlib.Path, numbers=range(1, 9), pattern="img_{:05}.jpg", size=(32, 48), level=0) -> pathlib.Path:
  path.mkdir(parents=True, exist_ok=True)
  for number in numbers:
    cv2.imwrite(str(path / pattern.format(number)), frames_of(1, *size)[0] + np.uint8(4 * number + level))
  return path


@pytest.fixture
def videos(tmp_path) -> pathlib.Path:
  root = tmp_path / "videos"
  for level, label in enumerate(("run", "walk")):
    for number in range(3):
      write(root / label / f"film {number}", level=50 * level + 10 * number)
  return root


def records(data: pathlib.Path, name: str = "mine") -> dict[str, Record]:
  dataset = open_dataset(f"folder/{name}", str(data))
  sources = [dataset.source(split) for split in dataset.splits]
  found = [Record.parse(source[i]) for source in sources for i in range(len(source))]
  return {record.video_id: record for record in found}


def entries(data: pathlib.Path, name: str = "mine") -> dict[str, dict]:
  kept = json.loads((data / "folder" / name / "report.json").read_text())["kept"]
  return {entry["file"]: entry for entry in kept}


def test_small_jpegs_keep_their_bytes(videos, tmp_path):
  report = prepare_folder(videos, "mine", tmp_path, storage=Storage(fps=10), workers=1)
  assert not report.refused
  record = records(tmp_path)["walk/film 1"]
  assert list(record.frames) == [path.read_bytes() for path in sorted((videos / "walk/film 1").iterdir())]
  assert (record.num_frames, record.fps) == (8, 10)
  np.testing.assert_allclose(record.times, np.arange(8) / 10, rtol=1e-6)
  assert entries(tmp_path)["walk/film 1"]["seconds"] == 0.8
  assert len(entries(tmp_path)["walk/film 1"]["source"]) == 64


def test_large_frames_and_other_formats_are_stored_anew(videos, tmp_path):
  write(videos / "walk" / "png", pattern="{}.png")
  prepare_folder(videos, "mine", tmp_path, storage=Storage(16), workers=1)
  for name in ("walk/film 0", "walk/png"):
    clip = records(tmp_path)[name].decode([0, 7])
    assert clip.shape == (2, 16, 24, 3)
    path = sorted((videos / name).iterdir())[0]
    picture = cv2.resize(cv2.imread(str(path))[..., ::-1], (24, 16), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(clip[0, 6:, 8:].astype(int), picture[6:, 8:], atol=3)


@pytest.mark.parametrize("pattern", ["{}.jpg", "{:03}.JPG", "frame{:07}.jpeg", "image_2_{:05}.jpg"])
def test_frames_come_in_the_order_of_their_numbers(pattern, tmp_path):
  path = write(tmp_path / "film", range(12), pattern)
  found = frame_folder.numbered(path, "film")
  assert list(found) == list(range(12))
  assert found[10].name == pattern.format(10)


def test_gaps_are_told_and_leave_a_gap_in_time(videos, tmp_path):
  write(videos / "walk" / "gaps", (3, 4, 6, 10, 11))
  prepare_folder(videos, "mine", tmp_path, storage=Storage(fps=10), workers=1)
  assert "frames 5, 7 to 9 are missing" in entries(tmp_path)["walk/gaps"]["remarks"]
  assert "frames 5, 7 to 9 are missing" in (tmp_path / "folder/mine/report.txt").read_text()
  np.testing.assert_allclose(records(tmp_path)["walk/gaps"].times, [0, 0.1, 0.3, 0.7, 0.8], rtol=1e-6)


@pytest.mark.parametrize(
  ("change", "text"),
  [
    (lambda path: (path / "n_frames").write_text("8"), "holds n_frames, which is no numbered picture: move it out"),
    (lambda path: write(path, (1,), "flow_x_{:05}.jpg"), r"frames of two kinds \(flow_x_00001.jpg, img_00001.jpg\)"),
    (lambda path: write(path, (1,), "img_{}.jpg"), r"holds frame 1 twice \(img_00001.jpg, img_1.jpg\)"),
    (
      lambda path: write(path, (9,), size=(16, 16)),
      r"frame img_00009.jpg of walk/bad has 16 x 16 pixels, others 48 x 32",
    ),
    (
      lambda path: (path / "img_00009.jpg").touch(),
      "frame img_00009.jpg of walk/bad cannot be read .it is empty, 0 bytes.$",
    ),
    (lambda path: (path / "img_00009.png").write_bytes(b"junk"), "frame img_00009.png of walk/bad cannot be read"),
    (lambda path: (path / "img_00004.jpg").write_bytes((path / "img_00004.jpg").read_bytes()[:-90]), "it ends early"),
  ],
)
def test_folders_that_are_refused(change, text, videos, tmp_path):
  change(write(videos / "walk" / "bad", level=90))
  report = prepare_folder(videos, "mine", tmp_path, workers=1)
  assert len(report.kept) == 6
  with pytest.raises(InputError, match=text):
    raise InputError(*report.refused)


def test_clips_flow_copies_and_lists(videos, tmp_path):
  write(videos / "walk" / "copy", level=7)
  (tmp_path / "list.csv").write_text(
    "\n".join(f"videos/{label}/film {n},{label}" for label in ("run", "walk") for n in range(3))
    + "\nvideos/walk/copy,walk\n"
  )
  storage = Storage(16, clip_seconds=0.4, flow=True, fps=10)
  report = prepare_folder(tmp_path / "list.csv", "mine", tmp_path, storage=storage, workers=1)
  assert {entry["clips"] for entry in report.kept} == {2}
  flow = records(tmp_path)["videos/walk/film 0#0001"].flow
  assert flow is not None
  assert len(flow) == 3
  twice = folder.find_films(videos).films
  assert not [film for film in twice if film.copy_of]
  write(videos / "walk" / "again", level=7)
  assert [film.copy_of for film in folder.find_films(videos).films if film.copy_of] in (["walk/again"], ["walk/copy"])


def test_lists_as_other_tools_write_them(videos, tmp_path):
  lines = [f"videos/{label}/film {n} 8 {label}" for label in ("run", "walk") for n in range(3)]
  (tmp_path / "list.txt").write_text("\n".join(lines))
  films = folder.find_films(tmp_path / "list.txt").films
  assert sorted((film.name, film.label) for film in films)[0] == ("videos/run/film 0", "run")
  (tmp_path / "list.txt").write_text("\n".join([*lines[1:], "videos/run/film 0 9 run"]))
  with pytest.raises(InputError, match="line 6: videos/run/film 0 holds 8 frames, and the list says 9"):
    folder.find_films(tmp_path / "list.txt")
  (tmp_path / "list.csv").write_text("\n".join(line.replace(" 8 ", ";") for line in lines))
  assert [film.name for film in folder.find_films(tmp_path / "list.csv").films] == [film.name for film in films]


def test_files_cannot_be_kept_of_frames(videos, tmp_path):
  with pytest.raises(InputError, match=r"film \d is a folder of frames, and --encoding=video keeps files"):
    prepare_folder(videos, "mine", tmp_path, storage=Storage(encoding="video"), workers=1)
