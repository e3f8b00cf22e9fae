"""`python -m vidjax.prepare folder`: what is kept, what is refused, and that nothing half stays behind."""

import json
import math
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
from unittest import mock

import cv2
import numpy as np
import pytest

from vidjax.data import write
from vidjax.data.dataset import open_dataset
from vidjax.data.read_film import Storage
from vidjax.data.schema import Record, example_message
from vidjax.errors import InputError
from vidjax.prepare import __main__ as command
from vidjax.prepare import shards, store
from vidjax.prepare.folder import prepare_folder
from vidjax.prepare.report import Report, summary


@pytest.fixture
def videos(tmp_path, make_video) -> pathlib.Path:
  root = tmp_path / "videos"
  for label, width in (("walk", 48), ("run", 64)):
    for number in range(3):
      make_video(root / label / f"{number}.mp4", count=8 + number, width=width)
  return root


def records(data_dir, name="mine") -> dict[str, Record]:
  dataset = open_dataset(f"folder/{name}", str(data_dir))
  sources = [dataset.source(split) for split in dataset.splits]
  found = [Record.parse(source[i]) for source in sources for i in range(len(source))]
  return {record.video_id: record for record in found}


def test_a_folder_becomes_a_data_set(videos, tmp_path):
  report = prepare_folder(videos, "mine", tmp_path / "data", storage=Storage(short_side=16))
  dataset = open_dataset("folder/mine", str(tmp_path / "data"))
  assert (dataset.class_names, dataset.splits) == (["run", "walk"], {"train": 4, "validation": 2})
  found = records(tmp_path / "data")
  assert sorted(found) == [f"{label}/{n}.mp4" for label in ("run", "walk") for n in range(3)]
  walk = found["walk/2.mp4"]
  assert (walk.label, walk.num_frames, walk.fps) == (1, 10, 8)
  clip = walk.decode([0, 9])
  assert clip.shape == (2, 16, 24, 3)
  np.testing.assert_allclose(clip[:, -1, -1].mean(-1), [20, 92], atol=4)
  assert len(report.kept) == 6
  assert not report.refused


def test_original_files_give_the_same_frames(videos, tmp_path):
  prepare_folder(videos, "mine", tmp_path, storage=Storage(short_side=16))
  prepare_folder(videos, "files", tmp_path, storage=Storage(short_side=16, encoding="video"))
  jpeg, original = records(tmp_path), records(tmp_path, "files")
  assert jpeg.keys() == original.keys()
  for video_id, record in jpeg.items():
    assert original[video_id].num_frames == record.num_frames
    np.testing.assert_allclose(original[video_id].decode([5, 1]).astype(int), record.decode([5, 1]), atol=12)


def test_bad_files_are_refused_and_listed(videos, tmp_path, make_video):
  (videos / "walk" / "empty.mp4").touch()
  (videos / "walk" / "notes.txt").write_text("no video")
  good = make_video(tmp_path / "good.avi", count=30, height=64, width=64, codec="mpeg4").read_bytes()
  (videos / "run" / "cut.avi").write_bytes(good[: len(good) * 3 // 4])
  (videos / "README").touch()
  prepare_folder(videos, "mine", tmp_path)
  made = tmp_path / "folder" / "mine"
  lines = (made / "report.txt").read_text().splitlines()
  assert sum(line.startswith("kept: ") for line in lines) == 6
  refused = sorted(line for line in lines if line.startswith("refused: "))
  for line, part in zip(
    refused,
    ["README lies outside", "run/cut.avi is truncated", "walk/empty.mp4 is empty", "walk/notes.txt is not a video"],
    strict=True,
  ):
    assert part in line
  report = json.loads((made / "report.json").read_text())
  assert (len(report["kept"]), len(report["refused"])) == (6, 4)
  assert report["kept"][0].keys() == {
    *(
      "split",
      "labels",
      "group",
      "file",
      "clips",
      "frames",
      "stated_frames",
      "copy_of",
      "source",
      "corrupt",
      "varies",
      "remarks",
      "seconds",
    )
  }


def test_clips_of_one_film_stay_in_one_split(videos, tmp_path, make_video):
  make_video(videos / "walk" / "long.mp4", count=29)
  prepare_folder(videos, "mine", tmp_path, storage=Storage(clip_seconds=1))
  dataset = open_dataset("folder/mine", str(tmp_path))
  films = {
    split: {Record.parse(source[i]).video_id.partition("#")[0] for i in range(len(source))}
    for split, source in ((split, dataset.source(split)) for split in dataset.splits)
  }
  assert not films["train"] & films["validation"]
  found = records(tmp_path)
  lengths = [found[f"walk/long.mp4#{k:04d}"].num_frames for k in range(4)]
  assert lengths == [8, 8, 8, 5]
  np.testing.assert_allclose(found["walk/long.mp4#0001"].decode([0])[0, -1, -1], 84, atol=4)


def test_names_in_use_and_unfit_names(videos, tmp_path):
  prepare_folder(videos, "mine", tmp_path)
  before = (tmp_path / "folder" / "mine" / "report.json").stat().st_mtime_ns
  with pytest.raises(InputError, match=r"folder/mine exists .* --overwrite"):
    prepare_folder(videos, "mine", tmp_path)
  assert (tmp_path / "folder" / "mine" / "report.json").stat().st_mtime_ns == before
  prepare_folder(videos, "mine", tmp_path, storage=Storage(short_side=8), overwrite=True)
  assert records(tmp_path)["walk/0.mp4"].decode([0]).shape == (1, 8, 12, 3)
  assert [path.name for path in (tmp_path / "folder").iterdir()] == ["mine"]
  for name in ("", "a/b", "..", ".mine", "a b", 101 * "a"):
    with pytest.raises(InputError, match="--name="):
      prepare_folder(videos, name, tmp_path)
  with pytest.raises(InputError, match=r"--encoding=video keeps whole files, which --clip_seconds cannot cut"):
    prepare_folder(videos, "other", tmp_path, storage=Storage(encoding="video", clip_seconds=1))


def test_refusals_that_empty_a_class_leave_nothing(videos, tmp_path):
  data = tmp_path / "data"
  for path in (videos / "run").iterdir():
    path.write_bytes(b"")
  with pytest.raises(InputError, match=r"could be read give split 'train' no video of 1 of 2 classes \('run'\)"):
    prepare_folder(videos, "mine", data)
  for path in (videos / "walk").iterdir():
    path.write_bytes(b"")
  with pytest.raises(InputError, match=r"none of the 6 files could be read; the last: \w+/\d\.mp4 is empty"):
    prepare_folder(videos, "mine", data)
  assert [path.name for path in data.rglob("*")] == ["folder"]


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_seconds_that_are_no_length(seconds, videos, tmp_path):
  with pytest.raises(InputError, match=f"--clip_seconds={seconds}: give a positive number"):
    prepare_folder(videos, "mine", tmp_path, storage=Storage(clip_seconds=seconds))


def test_equal_files_lie_in_one_split(videos, tmp_path, make_video):
  for number in range(3, 12):
    make_video(videos / "walk" / f"{number}.mp4", count=8 + number)
  copies = {f"walk/copy {number}.mp4": f"walk/{number % 5}.mp4" for number in range(8)}
  for copy, original in copies.items():
    shutil.copy(videos / original, videos / copy)
  report = prepare_folder(videos, "mine", tmp_path)
  splits = {entry["file"]: entry["split"] for entry in report.kept}
  assert all(splits[copy] == splits[original] for copy, original in copies.items())
  text = (tmp_path / "folder" / "mine" / "report.txt").read_text()
  assert text.count("; the same file as walk/") == len(copies)
  assert summary(report)[-1] == "8 equal the bytes of another file and lie in its split"
  assert not report.overlaps


def test_equal_files_in_splits_of_the_user_stay_there_with_a_warning(videos, tmp_path):
  rows = [f"videos/{label}/{n}.mp4,{label},{'test' if n else 'train'}" for label in ("run", "walk") for n in (0, 1)]
  shutil.copy(videos / "run" / "0.mp4", videos / "run" / "1.mp4")
  (tmp_path / "list.csv").write_text("\n".join(rows))
  report = prepare_folder(tmp_path / "list.csv", "mine", tmp_path)
  assert len(report.kept) == 4
  (overlap,) = report.overlaps
  assert re.fullmatch(r"videos/run/\d.mp4 \(t\w+\) is the same file as videos/run/\d.mp4 \(t\w+\)", overlap)
  assert f"warning: {overlap}\n" in (tmp_path / "folder" / "mine" / "report.txt").read_text()


def test_one_video_in_a_class_goes_into_train(videos, tmp_path):
  for number in (1, 2):
    (videos / "run" / f"{number}.mp4").unlink()
  report = prepare_folder(videos, "mine", tmp_path)
  assert open_dataset("folder/mine", str(tmp_path)).splits == {"train": 3, "validation": 1}
  assert report.warnings == ["the files that could be read give split 'validation' no video of 1 of 2 classes ('run')"]
  assert f"warning: {report.warnings[0]}\n" in (tmp_path / "folder" / "mine" / "report.txt").read_text()


def test_a_class_that_loses_its_only_validation_file_is_a_warning(videos, tmp_path):
  rows = [f"videos/{label}/{n}.mp4,{label},{'train' if n else 'val'}" for label in ("run", "walk") for n in range(3)]
  (tmp_path / "list.csv").write_text("\n".join(rows))
  (videos / "run" / "0.mp4").write_bytes(b"")
  report = prepare_folder(tmp_path / "list.csv", "mine", tmp_path)
  assert open_dataset("folder/mine", str(tmp_path)).splits == {"train": 4, "validation": 1}
  assert report.warnings == ["the files that could be read give split 'validation' no video of 1 of 2 classes ('run')"]
  (videos / "walk" / "0.mp4").write_bytes(b"")
  report = prepare_folder(tmp_path / "list.csv", "mine", tmp_path, overwrite=True)
  assert open_dataset("folder/mine", str(tmp_path)).splits == {"train": 4}
  assert report.warnings == ["the split 'validation' is left out: none of its files could be read"]


def test_refused_files_of_a_list_are_named_by_their_line(videos, tmp_path):
  (tmp_path / "empty.mp4").touch()
  rows = [f"videos/{label}/{n}.mp4;{label}" for label in ("run", "walk") for n in range(3)]
  (tmp_path / "list.csv").write_text("\n".join([*rows, "empty.mp4;walk", "videos/gone.mp4;walk", "videos;walk"]))
  report = prepare_folder(tmp_path / "list.csv", "mine", tmp_path)
  assert sorted(report.refused) == [
    f"{tmp_path}/list.csv, line 7: empty.mp4 is empty (0 bytes)",
    f"{tmp_path}/list.csv, line 8: videos/gone.mp4 does not exist in {tmp_path}: paths are relative to the list's "
    "folder",
    f"{tmp_path}/list.csv, line 9: videos is a folder, not a video file",
  ]


def test_labels_of_any_kind_survive(videos, tmp_path):
  labels = ('häkeln, schnell; "gut"', "走" * 60)
  for old, new in zip(("run", "walk"), labels, strict=True):
    (videos / old).rename(videos / new)
  prepare_folder(videos, "mine", tmp_path)
  assert open_dataset("folder/mine", str(tmp_path)).class_names == sorted(labels)


def test_an_interruption_leaves_nothing(videos, tmp_path, monkeypatch):
  def interrupt(path):
    monkeypatch.undo()
    raise KeyboardInterrupt

  monkeypatch.setattr(shards, "spooled", interrupt)
  with pytest.raises(KeyboardInterrupt):
    prepare_folder(videos, "mine", tmp_path / "data")
  assert [path.name for path in (tmp_path / "data").rglob("*")] == ["folder"]


def run(*arguments: object, limit: str = "true") -> subprocess.CompletedProcess:
  command = [sys.executable, "-m", "vidjax.prepare", *map(str, arguments)]
  return subprocess.run(
    ["bash", "-c", f'{limit} && exec "$@"', "bash", *command], capture_output=True, text=True, check=False
  )


@pytest.mark.slow
def test_the_command(videos, tmp_path):
  (videos / "walk" / "empty.mp4").touch()
  flags = ("folder", f"--videos={videos}", "--name=mine", f"--data_dir={tmp_path}", "--split=train:.5,test:.5")
  done = run(*flags, "--workers=1")
  assert (done.returncode, done.stdout.splitlines()[0]) == (
    0,
    "folder/mine: 4 clips in train, 2 clips in test; 6 files kept, 1 refused",
  )
  assert "refused: walk/empty.mp4 is empty (0 bytes)" in done.stderr
  again = run(*flags)
  assert (again.returncode, again.stdout) == (2, "")
  assert again.stderr == f"error: folder/mine exists in {tmp_path}: choose another --name, or pass --overwrite\n"


@pytest.mark.slow
def test_the_command_names_missing_flags_and_full_disks(videos, tmp_path):
  for arguments, message in (
    ((), "usage: python -m vidjax.prepare folder"),
    (("folders",), "cannot prepare 'folders': did you mean 'folder'?; usage: python -m vidjax.prepare folder"),
    (("folder",), "--videos is missing"),
    (("folder", f"--videos={videos}"), "--name is missing"),
    (("folder", "--frobnicate=1"), "Unknown command line flag 'frobnicate'"),
  ):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
  flags = ("folder", f"--videos={videos}", "--name=mine", f"--data_dir={tmp_path / 'data'}")
  full = run(*flags, limit="ulimit -f 32")  # no file may exceed 32 KiB: as writing to a full disk fails
  assert full.returncode == 2
  assert full.stderr.splitlines()[-1].startswith("error: cannot write to ")
  assert "Traceback" not in full.stderr
  assert [path.name for path in (tmp_path / "data").rglob("*")] == ["folder"]


def test_real_films(shared_videos, tmp_path):
  names = {"cartoon": "bigbuckbunny.mp4", "space": "torchcodec_nasa_13013.mp4"}
  rows = [f"{shared_videos / name},{label},train" for label, name in names.items()]
  rows.append(f"{shared_videos / 'decord_corrupted.mp4'},space,train")
  (tmp_path / "list.csv").write_text("\n".join(rows))
  report = prepare_folder(tmp_path / "list.csv", "real", tmp_path, storage=Storage(short_side=64, clip_seconds=2))
  assert [entry["clips"] for entry in report.kept] == [3, 7]
  assert "28 frames could be decoded" in report.refused[0]


def test_digests_tell_one_preparation_from_another(videos, tmp_path):
  """Files are padded, so that other labels or films may leave their sizes as they are."""
  splits = ("train", "train", "validation")

  def digests(name: str, labels: dict[str, str]) -> dict[str, str]:
    rows = [f"videos/{label}/{n}.mp4,{labels[label]},{split}" for label in labels for n, split in enumerate(splits)]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    prepare_folder(tmp_path / "list.csv", name, tmp_path)
    return open_dataset(f"folder/{name}", str(tmp_path)).digests

  first = digests("first", {"run": "run", "walk": "walk"})
  assert set(first) == {"train", "validation"}
  assert digests("again", {"run": "run", "walk": "walk"}) == first
  folders = [tmp_path / "folder" / name / write.VERSION for name in ("first", "again")]
  for file in folders[0].glob("*.array_record*"):
    assert file.read_bytes() == (folders[1] / file.name).read_bytes()
  source = open_dataset("folder/first", str(tmp_path)).source("train")
  for number in range(len(source)):  # as any process writes it
    assert example_message().FromString(source[number]).SerializeToString(deterministic=True) == source[number]
  swapped = digests("swapped", {"run": "walk", "walk": "run"})
  assert all(swapped[split] != first[split] for split in first)


def test_a_rest_without_flow_joins_the_clip_before_it(videos, tmp_path):
  report = prepare_folder(videos, "mine", tmp_path, storage=Storage(short_side=16, clip_seconds=0.25, flow=True))
  assert not report.refused
  lengths = [record.num_frames for name, record in sorted(records(tmp_path).items()) if name.startswith("walk/1.mp4")]
  assert lengths == [2, 2, 2, 3]


@pytest.mark.parametrize(("labels", "told"), [(["run"], True), ([], False)])
def test_one_class_is_told_and_videos_without_labels_are_not(labels, told, monkeypatch, capsys):
  entry = {"file": "a.mp4", "split": "test", "labels": labels, "group": "", "clips": 1, "copy_of": ""}
  monkeypatch.setattr(command, "prepare_folder", lambda *_, **__: Report(kept=[entry]))
  command.folder(mock.MagicMock(classes=None, split=None, shard=None, data_dir=".", videos=["."]))
  assert ("all videos are of one class, 'run': there is nothing" in capsys.readouterr().err) == told


def test_numeric_classes_come_in_their_order(tmp_path):
  entry = {"split": "train", "group": "", "clips": 1, "frames": 8, "stated_frames": 8, "remarks": [], "copy_of": ""}
  kept = [{**entry, "file": f"{label}.mp4", "labels": [label], "group": label} for label in ("0", "1", "10", "2")]
  report = Report(kept=kept)
  report.write(tmp_path)
  lines = (tmp_path / "report.txt").read_text().splitlines()
  assert [line.split()[1] for line in lines if line.startswith("kept")] == ["0.mp4", "1.mp4", "2.mp4", "10.mp4"]
  assert [one["file"] for one in json.loads((tmp_path / "report.json").read_text())["kept"]][2:] == ["2.mp4", "10.mp4"]
  assert "files by class (4): 0 (1), 1 (1), 2 (1), 10 (1)" in summary(report)
  assert summary(report)[1] == "groups: none found, so each file counts by itself (see --group)"
  assert summary(report, "")[1] == "groups: none found, so each file counts by itself"  # of a set that has no --group


@pytest.mark.slow
@pytest.mark.parametrize(("how", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_nothing_half_made(how, code, make_video, tmp_path):
  for number in range(16):  # one shard, so that none is complete
    make_video(tmp_path / "videos" / ("walk", "run")[number % 2] / f"{number}.mp4", count=80 + number, width=320)
  command = [sys.executable, "-m", "vidjax.prepare", "folder", f"--videos={tmp_path}/videos", "--name=mine"]
  process = subprocess.Popen(
    [*command, f"--data_dir={tmp_path}/data", "--flow"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
  )
  begun = tmp_path / "data" / "folder" / ".mine.shards" / "settings"
  while process.poll() is None and not begun.exists():
    time.sleep(0.01)
  process.send_signal(how)
  output, _ = process.communicate(timeout=60)
  assert process.returncode in (code, -how), output  # the latter where it came during an import
  assert output.splitlines()[-1].startswith("error: ")
  assert "Traceback" not in output
  assert not list((tmp_path / "data" / "folder").iterdir())


def test_names_forge_no_line_of_the_report(make_video, tmp_path):
  for number in range(4):
    path = tmp_path / "videos" / ("walk", "run")[number % 2] / f"{number}\nkept: \x1b[2J.mp4"
    make_video(path, count=8 + number)
  prepare_folder(tmp_path / "videos", "mine", tmp_path)
  lines = (tmp_path / "folder" / "mine" / "report.txt").read_text().splitlines()
  assert all(line.isprintable() for line in lines)
  assert sum(line.startswith("kept: ") for line in lines) == 4


def test_pictures_in_a_class_folder_are_not_a_line_for_each(tmp_path, capsys):
  frames = tmp_path / "videos" / "walk"
  frames.mkdir(parents=True)
  for number in range(30):
    cv2.imwrite(str(frames / f"{number:05d}.jpg"), np.full((16, 16, 3), number, np.uint8))
  with pytest.raises(InputError, match=r"none of the 30 files .* put the frames of each video into a folder"):
    prepare_folder(tmp_path / "videos", "mine", tmp_path)
  printed = capsys.readouterr().err
  assert printed.count("is a picture") == store.SHOWN
  assert "25 more files of walk" in printed
