"""Summaries of a set of films against those of people: F, CUS_A and CUS_E, means over users and films (rtsae 5.2)."""

import csv
import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from vidjax.files import cell, whole, write_text
from vidjax.summarize.matching import FScore, Scores, compare, over_users
from vidjax.summarize.sets import Video, user_descriptors
from vidjax.summarize.summary import Summary


@dataclasses.dataclass(frozen=True)
class Row:
  """A film's result.

  Attributes:
    video: its name.
    users: their number.
    keyframes: of the summary.
    user_keyframes: mean number of the users'.
    scores: means over the users.
  """

  video: str
  users: int
  keyframes: int
  user_keyframes: float
  scores: Scores

  @property
  def values(self) -> dict[str, Any]:
    """All of it by name."""
    own = {"video": self.video, "users": self.users, "keyframes": self.keyframes, "user_keyframes": self.user_keyframes}
    return own | self.scores._asdict()


def measure(video: Video, summary: Summary, f: FScore = "users") -> Row:
  """Compares a summary with those of all users.

  Args:
    video: the film.
    summary: of it, its descriptors hue histograms.
    f: see `matching.over_users`.

  Raises:
    InputError: a user's frames cannot be read.
  """
  chosen = summary.candidates.descriptors[summary.places]
  comparisons = [compare(user_descriptors(user), chosen) for user in video.users]
  frames = float(np.mean([one.user for one in comparisons]))
  return Row(video.name, len(comparisons), len(chosen), frames, over_users(comparisons, f))


def means(rows: Sequence[Row]) -> Scores:
  """Means over the films, each counted once.

  Args:
    rows: one at least.
  """
  return Scores(*np.mean([row.scores for row in rows], axis=0).tolist())


def write_report(rows: Sequence[Row], out: pathlib.Path, settings: dict[str, Any]) -> None:
  """Writes `summaries.json`, with the means, and `summaries.csv`, a row for each film.

  Args:
    rows: one at least.
    out: folder, which is made.
    settings: what the numbers were made with, for the report.
  """
  out.mkdir(parents=True, exist_ok=True)
  values = [row.values for row in rows]
  report = {**settings, "videos": len(rows), "means": means(rows)._asdict(), "rows": values}
  write_text(out / "summaries.json", json.dumps(report, indent=1) + "\n")
  with whole(out / "summaries.csv") as partial, partial.open("w", newline="", encoding="utf-8") as file:
    writer = csv.DictWriter(file, list(values[0]))
    writer.writeheader()
    writer.writerows({name: cell(value) for name, value in row.items()} for row in values)
