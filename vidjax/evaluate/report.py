"""Files of an evaluation: metrics as JSON, a CSV by class, the confusion matrix as CSV and picture, the scores."""

import csv
import json
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from vidjax.analyse.confusion import save_confusion
from vidjax.evaluate.metrics import confusion, worst_pairs
from vidjax.evaluate.views import Scores

_TEXT: Any = {"encoding": "utf-8", "errors": "backslashreplace"}  # names of files may be no text


def write_report(
  folder: str | os.PathLike,
  split: str,
  summary: Mapping[str, Any],
  scores: Scores,
  class_names: Sequence[str],
  command: str,
  extra: Mapping[str, Any],
  video_ids: Sequence[str] = (),
) -> list[pathlib.Path]:
  """Writes the report of one split into `folder`, which is made where it is missing.

  - `<split>.json`: the summary without `per_class`, the worst confused pairs, `extra` and the command.
  - `<split>_classes.csv`: accuracy of every class, the least accurate first, and what it is taken for most often.
  - `<split>_confusion.csv`, `<split>_confusion.png`: row the true class, column the predicted one.
  - `<split>_scores.npz`: index, label, scores, video_id (empty where unknown).

  Args:
    folder: such as `workdir/evaluation`.
    split: names the files.
    summary: from `metrics.summarize`.
    scores: what the summary is about.
    class_names: in the order of the labels.
    command: the command line that made the report.
    extra: further entries of the JSON file.
    video_ids: of the scores' rows.

  Returns:
    The paths of the files, the JSON file first.
  """
  folder = pathlib.Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  endings = (".json", "_classes.csv", "_confusion.csv", "_confusion.png", "_scores.npz")
  paths = [folder / f"{split}{ending}" for ending in endings]
  document_path, classes_path, confusion_path, picture_path, scores_path = paths
  matrix = confusion(scores)
  cells = [_cell(name) for name in class_names]
  _write_csv(classes_path, _class_rows(matrix, cells))
  _write_csv(
    confusion_path, [["true \\ predicted", *cells], *([name, *row] for name, row in zip(cells, matrix, strict=True))]
  )
  title = f"{split}: top-1 {summary['top1']:.1%} of {summary['videos']} videos"
  save_confusion(picture_path, matrix, class_names, title)
  np.savez_compressed(
    scores_path,
    index=scores.index,
    label=scores.label,
    scores=scores.scores,
    video_id=np.asarray(video_ids, np.str_),
  )
  metrics = {key: value for key, value in summary.items() if key != "per_class"}
  worst = worst_pairs(matrix, class_names)
  document = {"split": split, **metrics, **extra, "worst_confused": worst, "command": command}
  document_path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", **_TEXT)
  return paths


def write_submission(
  path: pathlib.Path, video_ids: Sequence[str], scores: np.ndarray, class_names: Sequence[str], best: int = 5
) -> None:
  """Writes the best classes of every video, for a server that knows the labels.

  CSV: `id,top1,...,top5`, the class names as they are, likeliest first. JSON: {id, top5: [{class, label, score}]} each.

  Args:
    path: ends in .csv or .json; its folder is made.
    video_ids: of N videos.
    scores: `[N, K]`.
    class_names: K names.
    best: how many classes, at most K.
  """
  order = np.argsort(-scores, axis=1, kind="stable")[:, :best]
  path.parent.mkdir(parents=True, exist_ok=True)
  if path.suffix.lower() == ".csv":
    header = ["id", *(f"top{k + 1}" for k in range(order.shape[1]))]
    rows = [[name, *(class_names[label] for label in row)] for name, row in zip(video_ids, order, strict=True)]
    _write_csv(path, [header, *rows])
    return
  entries = [
    {
      "id": name,
      "top5": [{"class": class_names[label], "label": int(label), "score": float(own[label])} for label in row],
    }
    for name, row, own in zip(video_ids, order, scores, strict=True)
  ]
  path.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", **_TEXT)


def _class_rows(matrix: np.ndarray, class_names: Sequence[str]) -> list[list[Any]]:
  """Header and one row for each class."""
  rows: list[list[Any]] = []
  for label, name in enumerate(class_names):
    videos, correct = int(matrix[label].sum()), int(matrix[label, label])
    mistakes = matrix[label] * (np.arange(len(matrix)) != label)
    worst = int(mistakes.argmax())
    accuracy = f"{correct / videos:.4f}" if videos else ""
    taken_for = [class_names[worst], int(mistakes[worst])] if mistakes.any() else ["", 0]
    rows.append([label, name, videos, correct, accuracy, *taken_for])
  rows.sort(key=lambda row: float(row[4] or 2))
  return [["label", "class", "videos", "correct", "accuracy", "most_confused_with", "videos_confused"], *rows]


def _cell(text: str) -> str:
  """A name as a cell: a spreadsheet would run one that begins as a formula does, so that gets an apostrophe."""
  return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _write_csv(path: pathlib.Path, rows: Iterable[Iterable[Any]]) -> None:
  with path.open("w", newline="", **_TEXT) as file:
    csv.writer(file, lineterminator="\n").writerows(rows)
