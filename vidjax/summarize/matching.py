"""How a summary is measured against those of people: the protocol of VSUMM (de Avila 2011; rtsae Eq. 19-20).

A frame of the summary matches a frame of a user where their hue histograms are less than .5 apart in L1. Each frame
matches once: the first that is left, in the order of the film.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from vidjax.errors import InputError
from vidjax.summarize.descriptors import SIMILAR, distances

FScore = Literal["users", "means"]


class Comparison(NamedTuple):
  """A summary against that of one user.

  Attributes:
    user: frames of the user's summary.
    summary: frames of the summary.
    matched: pairs of them that match.
  """

  user: int
  summary: int
  matched: int

  @property
  def cus_a(self) -> float:
    """Accuracy rate, 0 to 1: matched frames over those of the user."""
    return self.matched / self.user

  @property
  def cus_e(self) -> float:
    """Error rate, 0 or more: frames of the summary that match none, over those of the user."""
    return (self.summary - self.matched) / self.user

  @property
  def precision(self) -> float:
    """From 0 to 1 (Eq. 20); 0 for an empty summary."""
    return self.matched / max(self.summary, 1)

  @property
  def recall(self) -> float:
    """From 0 to 1 (Eq. 20), the same as `cus_a`."""
    return self.matched / self.user

  @property
  def f(self) -> float:
    """From 0 to 1 (Eq. 19)."""
    return f_score(self.precision, self.recall)


class Scores(NamedTuple):
  """Means over the users of a film, 0 to 1 but for `cus_e`.

  Attributes:
    f: F-score.
    precision: of Eq. 20.
    recall: of Eq. 20.
    cus_a: accuracy rate.
    cus_e: error rate.
  """

  f: float
  precision: float
  recall: float
  cus_a: float
  cus_e: float


def match(user: np.ndarray, summary: np.ndarray, threshold: float = SIMILAR) -> list[tuple[int, int]]:
  """The pairs that match, one to one: each frame of the user takes the first frame of the summary that is left.

  Args:
    user: descriptors `[U, D]` of a user's frames.
    summary: descriptors `[S, D]` of the summary's.
    threshold: L1 distance below which two frames match.
  """
  taken: list[tuple[int, int]] = []
  free = np.ones(len(summary), bool)
  for number, near in enumerate(distances(user, summary) < threshold):
    left = np.flatnonzero(near & free)
    if len(left):
      free[left[0]] = False
      taken.append((number, int(left[0])))
  return taken


def compare(user: np.ndarray, summary: np.ndarray, threshold: float = SIMILAR) -> Comparison:
  """Counts what `match` finds.

  Args:
    user: descriptors `[U, D]` of a user's frames, one at least.
    summary: descriptors `[S, D]` of the summary's.
    threshold: L1 distance below which two frames match.

  Raises:
    InputError: the user chose no frame.
  """
  if not len(user):
    raise InputError("a user's summary has no frame: leave this user out")
  return Comparison(len(user), len(summary), len(match(user, summary, threshold)))


def over_users(comparisons: Sequence[Comparison], f: FScore = "users") -> Scores:
  """Means over the users of a film.

  Args:
    comparisons: of one summary with each user's, one at least.
    f: "users", the mean of the users' F; "means", the F of the mean precision and the mean recall.
  """
  columns = {name: float(np.mean([getattr(one, name) for one in comparisons])) for name in Scores._fields}
  scores = Scores(**columns)
  return scores if f == "users" else scores._replace(f=f_score(scores.precision, scores.recall))


def f_score(precision: float, recall: float) -> float:
  """The harmonic mean of both (Eq. 19), 0 where both are 0.

  Args:
    precision: 0 to 1.
    recall: 0 to 1.
  """
  return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
