"""Scores that mean what they say: temperature scaling and the expected calibration error (Guo et al., ICML 2017).

One number T divides the scores before the softmax, or before the sigmoid where a video has several labels; the order of
the classes stays. T is fitted on the validation split. Since one video fits T and another one is measured with it, the
error "after" is that of two halves, each with the T of the other.
"""

import json
import os
import pathlib
from typing import Any, NamedTuple

import numpy as np

from vidjax.errors import InputError
from vidjax.files import write_text
from vidjax.types import Scores

FILE = "calibration.json"
BINS = 15
FLOOR = 1e-7
FEWEST = 20
"""Videos."""


class Calibration(NamedTuple):
  """How a run's scores are corrected.

  Attributes:
    temperature: T.
    several: whether scores are sigmoids of labels that do not exclude each other.
    step: of the checkpoint it is for.
    error_before: expected calibration error of the scores as they are, a share of 1.
    error_after: the same after the correction, each half of the videos with the T of the other half.
    videos: number of videos.
    views: CLIPSxCROPS of each video.
    thresholds: of each class by name, the score after the correction from which on its F1 is best; of several labels.
  """

  temperature: float
  several: bool
  step: int
  error_before: float
  error_after: float
  videos: int
  views: str
  thresholds: dict[str, float]

  def apply(self, scores: np.ndarray) -> np.ndarray:
    """Scores `[..., K]` of the task as they should have been."""
    return corrected(scores, self.temperature, self.several)


def corrected(scores: np.ndarray, temperature: float, several: bool) -> np.ndarray:
  """softmax(log(s) / T), or sigmoid(logit(s) / T): `[..., K]`, dtype as `scores`.

  Args:
    scores: `[..., K]`, of a softmax or of sigmoids, or means of them.
    temperature: T.
    several: whether they are sigmoids.
  """
  s = np.clip(scores.astype(np.float64), FLOOR, 1 - FLOOR if several else 1.0)
  if several:
    return (1 / (1 + np.exp(-(np.log(s) - np.log1p(-s)) / temperature))).astype(scores.dtype)
  powers = np.exp((np.log(s) - np.log(s.max(-1, keepdims=True))) / temperature)
  return (powers / powers.sum(-1, keepdims=True)).astype(scores.dtype)


def fit_temperature(scores: np.ndarray, label: np.ndarray) -> float:
  """The T from .01 to 100 under which the labels are likeliest.

  Args:
    scores: `[N, K]`.
    label: int `[N]`, or bool `[N, K]` of several labels.
  """
  from scipy.optimize import minimize_scalar

  several = label.ndim == 2

  def surprise(log: float) -> float:
    s = corrected(scores.astype(np.float64), np.exp(log), several)
    truth = np.where(label, s, 1 - s) if several else s[np.arange(len(label)), label]
    return float(-np.log(np.maximum(truth, FLOOR)).mean())

  found: Any = minimize_scalar(surprise, bounds=(np.log(0.01), np.log(100)), method="bounded")
  return float(np.exp(found.x))


class Reliability(NamedTuple):
  """How often scores of about the same height are right.

  Attributes:
    confidence: mean score of each bin, nan where it is empty.
    accuracy: share of right answers in each bin.
    count: answers in each bin.
  """

  confidence: np.ndarray
  accuracy: np.ndarray
  count: np.ndarray

  @property
  def error(self) -> float:
    """The expected calibration error: the mean distance of confidence and accuracy over all answers."""
    full = self.count > 0
    distance = np.abs(self.confidence[full] - self.accuracy[full])
    return float((distance * self.count[full]).sum() / self.count.sum())


def reliability(scores: np.ndarray, label: np.ndarray, bins: int = BINS) -> Reliability:
  """Sorts answers by their score into bins of one width: of each video the likeliest class, or of several labels all.

  Args:
    scores: `[N, K]`.
    label: int `[N]`, or bool `[N, K]`.
    bins: how many.
  """
  several = label.ndim == 2
  confidence = scores.ravel() if several else scores.max(-1)
  right = label.ravel() if several else scores.argmax(-1) == label
  place = np.clip((confidence * bins).astype(int), 0, bins - 1)
  count = np.bincount(place, minlength=bins)
  with np.errstate(invalid="ignore"):
    means = [np.bincount(place, weights=x, minlength=bins) / count for x in (confidence, right.astype(float))]
  return Reliability(means[0], means[1], count)


def calibrate(
  scores: Scores, class_names: list[str], step: int, views: str
) -> tuple[Calibration, dict[str, Reliability]]:
  """Fits T on a split, and measures what it brings.

  Args:
    scores: of the split.
    class_names: K names.
    step: of the checkpoint.
    views: CLIPSxCROPS.

  Returns:
    The correction, and the reliability "before" and "after".

  Raises:
    InputError: fewer videos than `FEWEST`.
  """
  from vidjax.tasks.multilabel import best_threshold

  label, raw = scores.label, scores.scores
  count, several = len(label), label.ndim == 2
  if count < FEWEST:
    raise InputError(f"--calibrate: {count} videos are too few for a temperature: take a split of {FEWEST} or more")
  halves = np.arange(count) % 2 == 0
  crossed = np.empty_like(raw)
  for half in (halves, ~halves):
    crossed[half] = corrected(raw[half], fit_temperature(raw[~half], label[~half]), several)
  temperature = fit_temperature(raw, label)
  found = {"before": reliability(raw, label), "after": reliability(crossed, label)}
  after = corrected(raw, temperature, several)
  thresholds = {
    name: best_threshold(label[:, k], after[:, k])[0]
    for k, name in enumerate(class_names)
    if several and label[:, k].any()
  }
  errors = found["before"].error, found["after"].error
  return Calibration(temperature, several, step, *errors, count, views, thresholds), found


def write_calibration(folder: pathlib.Path, calibration: Calibration, extra: dict[str, Any]) -> pathlib.Path:
  """Writes `calibration.json` into the folder of a run.

  Args:
    folder: of the run.
    calibration: to write.
    extra: further entries, such as the manifest of what it was fitted on.

  Returns:
    Its path.
  """
  path = folder / FILE
  write_text(path, json.dumps({**calibration._asdict(), **extra}, indent=2, ensure_ascii=False) + "\n")
  return path


def read_calibration(folder: pathlib.Path, step: int) -> Calibration:
  """The correction in the folder of a run.

  Args:
    folder: of the run.
    step: of the checkpoint that is used.

  Raises:
    InputError: there is none, it is damaged, or that of another checkpoint.
  """
  path = folder / FILE
  if not path.exists():
    raise InputError(f"{folder} has no {FILE}: make it by python -m vidjax.evaluate --workdir={folder} --calibrate")
  try:
    document = json.loads(path.read_text(encoding="utf-8"))
    found = Calibration(**{name: document[name] for name in Calibration._fields})
  except (ValueError, KeyError, TypeError) as error:
    raise InputError(f"{path} is damaged ({error!r}): make it again by vidjax.evaluate --calibrate") from error
  if found.step != step:
    raise InputError(
      f"{path} is for the checkpoint of step {found.step}, and this is step {step}: evaluate this one with --calibrate"
    )
  return found


def save_reliability(path: str | os.PathLike, found: dict[str, Reliability], title: str) -> None:
  """Draws the reliability diagrams side by side: bars of accuracy, the diagonal of perfect scores, and how many.

  Args:
    path: of the picture.
    found: name -> reliability.
    title: of the picture.
  """
  from matplotlib.figure import Figure

  from vidjax.analyse.pictures import save_figure

  figure = Figure(figsize=(4 * len(found), 4.2), dpi=150, layout="constrained")
  for axes, (name, one) in zip(figure.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True):
    bins = len(one.count)
    centres, share = (np.arange(bins) + 0.5) / bins, one.count / one.count.sum()
    axes.bar(centres, np.nan_to_num(one.accuracy), 0.9 / bins, color="tab:blue", label="share that is right")
    axes.bar(centres, share, 0.45 / bins, color="tab:orange", label="share of all answers")
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle="--")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="score", title=f"{name}: error {one.error:.1%}")
    axes.spines[["top", "right"]].set_visible(False)
  figure.axes[0].legend(fontsize=7, loc="upper left", frameon=False)
  figure.suptitle(title, fontsize=10, parse_math=False)
  save_figure(figure, path)
