"""The report's files say the same as the scores they were made of."""

import csv
import json

import cv2
import numpy as np

from vidjax.evaluate.report import write_report
from vidjax.tasks.classification import Classification
from vidjax.tasks.metrics import confusion
from vidjax.types import Scores

NAMES = ["slide, left", "spin $x$", "größer", "never seen"]
SCORES = Scores(
  np.array([0, 1, 2, 4, 5]),
  np.array([0, 0, 1, 2, 2]),
  np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.1, 0.6, 0.2, 0.1], [0, 0, 1, 0]]),
)


def test_report(tmp_path):
  summary = Classification(4).summarize(SCORES, NAMES)
  ids = ["a", "b", "c", "e", "ü"]
  paths = write_report(tmp_path / "evaluation", "validation", summary, SCORES, "command", {"records": 6}, ids)
  path = paths[0]
  assert path == tmp_path / "evaluation" / "validation.json"
  assert sorted(paths) == sorted(path.parent.iterdir())
  document = json.loads(path.read_text("utf-8"))
  assert document["top1"] == 0.6
  assert document["top5"] == 1.0
  assert np.isclose(document["mean_class"], 2 / 3)
  assert (document["videos"], document["records"], document["classes"]) == (5, 6, 4)
  assert document["command"] == "command"
  assert document["worst_confused"][0] == {"true": "slide, left", "predicted": "spin $x$", "videos": 1, "share": 0.5}
  assert "per_class" not in document

  rows = list(csv.DictReader((path.parent / "validation_classes.csv").read_text("utf-8").splitlines()))
  assert [row["class"] for row in rows] == ["slide, left", "größer", "spin $x$", "never seen"]
  assert rows[0] == {
    "label": "0", "class": "slide, left", "videos": "2", "correct": "1", "accuracy": "0.5000",
    "most_confused_with": "spin $x$", "videos_confused": "1",
  }  # fmt: skip
  assert rows[3]["accuracy"] == ""

  header, *rows = csv.reader((path.parent / "validation_confusion.csv").read_text("utf-8").splitlines())
  assert header[1:] == NAMES
  np.testing.assert_array_equal(np.array([row[1:] for row in rows], int), confusion(SCORES))

  names = ["=1+1", "-2", "@x", "plain"]
  write_report(tmp_path / "formulas", "test", Classification(4).summarize(SCORES, names), SCORES, "command", {})
  header, *_ = csv.reader((tmp_path / "formulas" / "test_confusion.csv").read_text("utf-8").splitlines())
  assert header[1:] == ["'=1+1", "'-2", "'@x", "plain"]

  with np.load(path.parent / "validation_scores.npz") as saved:
    np.testing.assert_array_equal(saved["scores"], SCORES.scores)
    np.testing.assert_array_equal(saved["index"], SCORES.index)
    np.testing.assert_array_equal(saved["video_id"], ids)
  picture = cv2.imread(str(path.parent / "validation_confusion.png"))
  assert min(picture.shape[:2]) > 400
