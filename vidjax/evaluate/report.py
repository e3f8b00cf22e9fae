"""Files of an evaluation: metrics as JSON, the task's tables as CSV and its pictures, the scores."""

import csv
import json
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from vidjax.files import cell, whole, write_text
from vidjax.types import Scores, Summary

_ERRORS: Any = {"errors": "backslashreplace"}  # names of files may be no text


def write_report(
  folder: str | os.PathLike,
  split: str,
  summary: Summary,
  scores: Scores,
  command: str,
  extra: Mapping[str, Any],
  video_ids: Sequence[str] = (),
) -> list[pathlib.Path]:
  """Writes the report of one split into `folder`, which is made where it is missing.

  - `<split>.json`: the summary's numbers and details, `extra` and the command.
  - `<split>_NAME.csv`, `<split>_NAME.png`: the summary's tables and pictures.
  - `<split>_scores.npz`: index, label, scores, video_id (empty where unknown), and the scores' extras.

  Args:
    folder: such as `workdir/evaluation`.
    split: names the files.
    summary: from `types.Task.summarize`.
    scores: what the summary is about.
    command: the command line that made the report.
    extra: further entries of the JSON file.
    video_ids: of the scores' rows.

  Returns:
    The paths of the files, the JSON file first.
  """
  folder = pathlib.Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  paths = [folder / f"{split}.json"]
  for name, rows in summary.tables.items():
    paths.append(folder / f"{split}_{name}.csv")
    _write_csv(paths[-1], ([cell(value) for value in row] for row in rows))
  for name, draw in summary.pictures.items():
    paths.append(folder / f"{split}_{name}.png")
    draw(str(paths[-1]))
  paths.append(folder / f"{split}_scores.npz")
  arrays: dict[str, Any] = {"index": scores.index, "label": scores.label, "scores": scores.scores}
  arrays |= {"video_id": np.asarray(video_ids, np.str_), **scores.extras}
  with whole(paths[-1]) as partial, partial.open("wb") as file:
    np.savez_compressed(file, **arrays)
  document = {"split": split, **summary.numbers, **summary.details, **extra, "command": command}
  write_text(paths[0], json.dumps(document, indent=2, ensure_ascii=False) + "\n", **_ERRORS)
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
  write_text(path, json.dumps(entries, indent=1, ensure_ascii=False) + "\n", **_ERRORS)


def _write_csv(path: pathlib.Path, rows: Iterable[Iterable[Any]]) -> None:
  with whole(path) as partial, partial.open("w", newline="", encoding="utf-8", **_ERRORS) as file:
    csv.writer(file, lineterminator="\n").writerows(rows)
