"""The files of a timeline: JSON, CSV, subtitles. Each is written whole or not at all."""

import csv
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from vidjax.console import legible
from vidjax.files import cell, whole
from vidjax.timeline.spans import Span

REPORT, SCORES, SPANS, SUBTITLES, PICTURE, FILM = (
  "timeline.json",
  "scores.csv",
  "spans.csv",
  "spans.srt",
  "timeline.png",
  "labelled.mp4",
)
DIGITS = 5
"""Of a score."""


def write_report(path: pathlib.Path, report: Mapping[str, Any]) -> None:
  """Writes JSON.

  Args:
    path: of the file.
    report: what is in it.
  """
  with whole(path) as partial, partial.open("w", encoding="utf-8") as file:
    json.dump(report, file, indent=1)
    file.write("\n")


def write_scores(
  path: pathlib.Path, starts: Sequence[float], ends: Sequence[float], scores: np.ndarray, class_names: Sequence[str]
) -> None:
  """Writes a row a window: start, end, a score of each class.

  Args:
    path: of the file.
    starts: seconds, N.
    ends: seconds, N.
    scores: `[N, K]`.
    class_names: K.
  """

  def rows(writer: Any) -> None:
    writer.writerow(["start", "end", *map(cell, class_names)])
    for start, end, row in zip(starts, ends, scores, strict=True):
      writer.writerow([f"{start:.3f}", f"{end:.3f}", *(f"{x:.{DIGITS}f}" for x in row.tolist())])

  _write_csv(path, rows)


def write_spans(path: pathlib.Path, spans: Sequence[Span], class_names: Sequence[str]) -> None:
  """Writes a row a span: start, end, class, score.

  Args:
    path: of the file.
    spans: by their start.
    class_names: K.
  """

  def rows(writer: Any) -> None:
    writer.writerow(["start", "end", "class", "score"])
    for span in spans:
      writer.writerow(
        [f"{span.start:.3f}", f"{span.end:.3f}", cell(class_names[span.label]), f"{span.score:.{DIGITS}f}"]
      )

  _write_csv(path, rows)


def write_subtitles(path: pathlib.Path, spans: Sequence[Span], class_names: Sequence[str]) -> None:
  """Writes the spans as SubRip subtitles; players take `<`, `>`, `{` and `}` for markup, so others stand for them.

  Args:
    path: of the file.
    spans: by their start.
    class_names: K.
  """
  with whole(path) as partial, partial.open("w", encoding="utf-8", errors="backslashreplace") as file:
    for number, span in enumerate(spans, 1):
      name = legible(class_names[span.label]).translate(str.maketrans("<>{}", "‹›()"))
      file.write(f"{number}\n{_stamp(span.start)} --> {_stamp(span.end)}\n{name} ({span.score:.0%})\n\n")


def described(spans: Sequence[Span], class_names: Sequence[str]) -> list[dict[str, Any]]:
  """Spans for JSON.

  Args:
    spans: by their start.
    class_names: K.
  """
  return [
    {
      "start": round(span.start, 3),
      "end": round(span.end, 3),
      "class": class_names[span.label],
      "label": span.label,
      "score": round(span.score, DIGITS),
    }
    for span in spans
  ]


def rounded(scores: np.ndarray) -> list[list[float]]:
  """Scores for JSON, with DIGITS digits."""
  return np.round(scores.astype(np.float64), DIGITS).tolist()


def _write_csv(path: pathlib.Path, rows: Callable[[Any], None]) -> None:
  with whole(path) as partial, partial.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
    rows(csv.writer(file))


def _stamp(seconds: float) -> str:
  """00:01:02,500, as SubRip has it."""
  millis = max(round(seconds * 1000), 0)
  return f"{millis // 3_600_000:02d}:{millis // 60_000 % 60:02d}:{millis // 1000 % 60:02d},{millis % 1000:03d}"
