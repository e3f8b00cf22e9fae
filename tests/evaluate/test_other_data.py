"""Evaluation on other data than that of the training: some of the classes, no labels, videos that were trained on."""

import csv
import json
import os
import pathlib

import numpy as np
import pytest

from tests.tiny_run import CLASSES, make_run, write_data, write_video
from vidjax.apply.sharding import make_mesh
from vidjax.data import identity
from vidjax.errors import InputError
from vidjax.evaluate.__main__ import show
from vidjax.evaluate.evaluation import Options, evaluate
from vidjax.prepare.folder import prepare_folder
from vidjax.run.opened import open_run


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> pathlib.Path:
  """A run on CLASSES, and films in `films/CLASS`, of the classes 4, 1 and 2 of it."""
  root = tmp_path_factory.mktemp("world")
  for label in (4, 1, 2):
    (root / "films" / CLASSES[label]).mkdir(parents=True)
    for n in range(4):
      write_video(root / "films" / CLASSES[label] / f"{n}.mp4", 10 * label + n)
  make_run(root / "run", write_data(root / "data"))
  return root


def prepare(world, name, rows):
  (world / "list.csv").write_text("path,label,split\n" + "\n".join(rows))
  return prepare_folder(world / "list.csv", name, world / "data", workers=1)


def test_a_subset_of_the_classes_is_matched_by_name(world, capsys):
  prepare(world, "some", [f"films/class {k}/{n}.mp4,class {k},validation" for k in (4, 1, 2) for n in range(4)])
  run = open_run(world / "run", data="folder/some")
  result = evaluate([run], Options(), make_mesh(1), "command", progress=False)
  with np.load(world / "run" / "evaluation" / "folder_some_validation_scores.npz") as saved:
    names = [CLASSES[label] for label in saved["label"]]
    assert names == [video.split("/")[1] for video in saved["video_id"].tolist()]
    right = (saved["scores"].argmax(axis=1) == saved["label"]).mean()
  assert result["top1"] == pytest.approx(right)
  assert (result["classes"], result["classes_with_videos"]) == (6, 3)
  show(result, "1x1")
  out = capsys.readouterr().out
  assert "12 of 12 videos, 3 of 6 classes, 1x1 views" in out
  assert "(scored among all 6 classes; the mean is over the 3 that have videos)" in out


def test_classes_the_run_does_not_know_are_named(world):
  prepare(world, "other", [f"films/class 4/{n}.mp4,class {k},validation" for n, k in enumerate((1, 7))])
  run = open_run(world / "run", data="folder/other")
  with pytest.raises(
    InputError, match=r"folder/other has 2 classes, and this run, trained with 6, does not know 1 of them"
  ):
    evaluate([run], Options(), make_mesh(1), "command", progress=False)


def test_a_split_without_labels_is_scored_for_others(world):
  prepare(
    world,
    "bare",
    [*[f"films/class 1/{n}.mp4,,test" for n in range(3)], *[f"films/class {k}/3.mp4,class {k},train" for k in (1, 2)]],
  )
  run = open_run(world / "run", data="folder/bare")
  with pytest.raises(InputError, match=r"split 'test' of folder/bare has no labels: .*--submission=OUT.csv"):
    evaluate([run], Options("test"), make_mesh(1), "command", progress=False)
  found = {}
  for name in ("new/a.csv", "a.json"):
    options = Options("test", submission=world / name)
    result = evaluate([run], options, make_mesh(1), "command", progress=False)
    assert (result["videos"], result["files"]) == (3, [world / name])
    found[name] = (world / name).read_text()
  rows = list(csv.DictReader(found["new/a.csv"].splitlines()))
  entries = json.loads(found["a.json"])
  assert sorted(row["id"] for row in rows) == [f"films/class 1/{n}.mp4" for n in range(3)]
  for row, entry in zip(rows, entries, strict=True):
    assert entry["id"] == row["id"]
    assert [best["class"] for best in entry["top5"]] == [row[f"top{k}"] for k in range(1, 6)]
    scores = [best["score"] for best in entry["top5"]]
    assert scores == sorted(scores, reverse=True)
    assert [CLASSES[best["label"]] for best in entry["top5"]] == [best["class"] for best in entry["top5"]]


def test_videos_that_were_trained_on_are_named(world):
  rows = [f"films/class {k}/{n}.mp4,class {k},{'validation' if n == 3 else 'train'}" for k in (1, 2) for n in range(4)]
  prepare(world, "mine", rows)
  trained = open_run(world / "run", data="folder/mine").trained_on
  assert len(trained["folder/mine"]) == 6
  identity.write(world / "run", trained)
  run = open_run(world / "run", data="folder/mine")
  assert run.overlap("validation") == ""
  assert "6 of the 6 videos of split 'train' are ones that" in run.overlap("train")
  (world / "links").mkdir()
  os.link(world / "films" / "class 1" / "0.mp4", world / "links" / "renamed.mp4")
  prepare(world, "again", ["links/renamed.mp4,class 1,validation", "films/class 2/3.mp4,class 2,validation"])
  again = open_run(world / "run", data="folder/again")
  result = evaluate([again], Options(), make_mesh(1), "command", progress=False)
  (warning,) = result["warnings"]
  assert warning.startswith("1 of the 2 videos of split 'validation' are ones that ")
  assert "(such as links/renamed.mp4)" in warning
  assert json.loads(result["report"].read_text())["warnings"] == [warning]


def test_an_older_run_tells_that_its_data_set_was_prepared_again(world):
  rows = [f"films/class {k}/{n}.mp4,class {k},{'validation' if n == 3 else 'train'}" for k in (1, 2) for n in range(4)]
  prepare(world, "older", rows)
  run = open_run(world / "run", data="folder/older")
  run.trained_data = "folder/older"
  (world / "run" / identity.FILE).unlink(missing_ok=True)
  (world / "run" / "data.json").write_text(json.dumps(run.contents))
  assert run.overlap("validation") == ""
  changed = {**run.contents, "train": {"records": 6, "sha256": "other"}}
  (world / "run" / "data.json").write_text(json.dumps(changed))
  assert run.overlap("validation").startswith("folder/older was prepared again since ")
  (world / "run" / "data.json").unlink()
