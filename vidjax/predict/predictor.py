"""Predictions for video files, or stored features: the frames, crops and precision of evaluation."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.apply.forward import forward
from vidjax.errors import InputError
from vidjax.evaluate.calibration import FLOOR, read_calibration
from vidjax.evaluate.views import by_name
from vidjax.run.films import default_short_side, in_colour
from vidjax.run.opened import Run


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
  """What the network says about one file.

  Attributes:
    file: its path.
    scores: float32 `[K]`, the task's mean answer over the views; `[0]` of an encoder without classes.
    features: float32 `[D]`, the mean features over the views.
    clip: uint8 `[T, H, W, C]`, the middle view, of what the run's stream reads; float32 `[T, F]` of features.
    frames: int `[T]`, 0-based numbers of its frames in the video.
    shown: uint8 `[T, H, W, 3]`, the same view in colour, also where the stream reads flow; of features, `clip`.
    class_names: K names in the order of the scores.
    thresholds: K, from which on each class counts as found, where they were fitted; else empty.
    kept: int, the first frame of each step that a network which skips others kept in the middle view; None of others.
  """

  file: str
  scores: np.ndarray
  features: np.ndarray
  clip: np.ndarray
  frames: np.ndarray
  shown: np.ndarray
  class_names: tuple[str, ...] = ()
  thresholds: tuple[float, ...] = ()
  kept: np.ndarray | None = None

  def best(self, count: int = 5) -> list[tuple[str, float]]:
    """The likeliest classes and their scores, likeliest first."""
    order = np.argsort(-self.scores, kind="stable")[:count].tolist()
    return [(self.class_names[label], float(self.scores[label])) for label in order]

  def found(self) -> dict[str, float]:
    """The classes whose scores reach their thresholds, likeliest first, each with its threshold."""
    own = dict(zip(self.class_names, self.thresholds, strict=False))
    return {name: own[name] for name, score in self.best(len(own)) if score >= own[name]}


class Read(NamedTuple):
  """A video that was read, before the network.

  Attributes:
    file: its path.
    numbers: int `[clips, T]`, of its frames.
    views: `[V, T, ...]`.
  """

  file: str
  numbers: np.ndarray
  views: np.ndarray


Scored = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Of views: scores `[V, K]`, features `[V, D]`, and which steps were chosen `[V, S]`."""


@dataclasses.dataclass(frozen=True, eq=False)
class Predictor:
  """Predicts one video, or many of them in batches.

  Attributes:
    read: path, or uint8 RGB frames `[N, H, W, 3]`, or of a run on stored features float `[N, F]` or the path of such a
      .npy file -> its views; it raises InputError naming the file where that is broken.
    score: the network on views.
    finish: makes the prediction of both.
    crops: views that go through the network at once, where a video stands alone.
  """

  read: Callable[[Any], Read]
  score: Callable[[np.ndarray], Scored]
  finish: Callable[[Read, Scored], Prediction]
  crops: int

  def __call__(self, video: Any) -> Prediction:
    """The prediction of a video; errors as of `read`."""
    read = self.read(video)
    return self.finish(read, self._scored(read.views, self.crops))

  def many(self, videos: Iterable[Any], batch: int = 8) -> Iterator[Prediction | InputError]:
    """The predictions of videos in their order; the error in place of one that is broken.

    The views of neighbouring videos go through the network together. No more videos are held than fill a batch.

    Args:
      videos: as `read` takes them.
      batch: views at once.
    """
    held: list[Read | InputError] = []
    full = False
    for video in videos:
      try:
        held.append(self.read(video))
      except InputError as error:
        held.append(error)
      if sum(len(one.views) for one in held if isinstance(one, Read)) >= batch:
        yield from self._finished(held, batch)
        held, full = [], True
    views = sum(len(one.views) for one in held if isinstance(one, Read))
    yield from self._finished(held, batch if full else max(views, 1))

  def _finished(self, held: Sequence[Read | InputError], batch: int) -> Iterator[Prediction | InputError]:
    reads = [one for one in held if isinstance(one, Read)]
    if not reads:
      yield from (one for one in held if isinstance(one, InputError))
      return
    scored = self._scored(np.concatenate([one.views for one in reads]), batch)
    ends = np.cumsum([len(one.views) for one in reads])
    parts = iter(zip(*(np.split(x, ends[:-1]) for x in scored), strict=True))
    for one in held:
      if isinstance(one, InputError):
        yield one
        continue
      try:
        yield self.finish(one, next(parts))
      except InputError as error:
        yield error

  def _scored(self, views: np.ndarray, batch: int) -> Scored:
    """In parts of `batch` views, the last one filled up: each other number would be compiled again."""
    parts = []
    for start in range(0, len(views), batch):
      part = views[start : start + batch]
      full = np.concatenate([part, np.repeat(part[-1:], batch - len(part), axis=0)])
      parts.append([x[: len(part)] for x in self.score(full)])
    scores, features, chosen = (np.concatenate(column) for column in zip(*parts, strict=True))
    return scores, features, chosen


def make_predictor(
  run: Run, clips: int = 1, crops: int = 1, short_side: int | None = None, calibrated: bool = False
) -> Predictor:
  """The function that predicts a film, and its `many`.

  Args:
    run: with its variables.
    clips: clips of each video.
    crops: crops of each clip: 1, 3, 5 or 10.
    short_side: to which larger frames are shrunk before they are cropped (default: `default_short_side`).
    calibrated: correct the scores by the run's `calibration.json`, see `vidjax.evaluate.calibration`.
  """
  check_classifies(run)
  test_crops = run.crops(crops)
  pixels = "pixels" in run.recipe.stream.gives
  if calibrated and run.workdir is None:
    raise InputError(f"{run.called} has no folder with a calibration: leave calibrated out")
  correction = read_calibration(run.workdir or pathlib.Path(), run.step) if calibrated else None
  thresholds = thresholds_of(run) if calibrated else ()
  short_side = short_side or default_short_side(run)

  @jax.jit
  def apply(variables: Any, views: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    output, _ = forward(run.network, variables, run.normalise(views), False, dtype=run.recipe.dtype)
    return (
      by_name(run.recipe.task.answer(output))["scores"] if run.class_names else jnp.zeros((len(views), 0)),
      output.features,
      output.aux.get("chosen", jnp.zeros((len(views), 0), bool)),
    )

  stream: Any = run.recipe.stream

  def choose(count: int, times: np.ndarray | None) -> np.ndarray:
    return run.recipe.sampler.test(count, clips, times)

  def read(video: Any) -> Read:
    if isinstance(video, np.ndarray) and not pixels:
      file = "features"
      numbers, video = stream.read(video, choose, file)
    elif isinstance(video, np.ndarray):
      file = f"frames {list(video.shape)}"
      if video.ndim != 4 or video.shape[-1] != 3 or video.dtype != np.uint8 or not len(video):
        raise InputError(f"{file} of {video.dtype}: give uint8 RGB frames [N, H, W, 3]")
      if "colour" not in stream.gives:
        raise InputError(f"this network reads {type(stream).__name__}, not frames alone: give the path of a film")
      numbers = choose(len(video), None)
      video = video[numbers]
    else:
      file = os.fspath(video)
      numbers, video = stream.read_file(file, choose, short_side)
    return Read(file, numbers, test_crops(video))

  def score(views: np.ndarray) -> Scored:
    scores, features, chosen = map(np.asarray, apply(run.variables, jnp.asarray(views)))
    return scores, features, chosen

  def finish(read: Read, scored: Scored) -> Prediction:
    scores, features, chosen = scored
    scores, features = scores.mean(axis=0), features.mean(axis=0)
    if not np.isfinite(scores).all():
      raise InputError(f"{read.file}: the network's scores are not finite: choose another --checkpoint")
    scores = correction.apply(scores) if correction else scores
    clip, crop = clips // 2, {1: 0, 3: 1, 5: 4, 10: 4}[crops]
    place = clip * crops + crop
    numbers = read.numbers[clip]
    kept = numbers.reshape(chosen.shape[1], -1)[chosen[place], 0] if chosen.size else None
    view = read.views[place]
    shown = in_colour(run, read.file, numbers, view, short_side, crops, crop) if pixels else view
    return Prediction(read.file, scores, features, view, numbers, shown, tuple(run.class_names), thresholds, kept)

  return Predictor(read, score, finish, crops)


def thresholds_of(run: Run) -> tuple[float, ...]:
  """Of several labels a video: the score of each class from which on it counts as found; else empty.

  `vidjax.evaluate --calibrate` has fitted them; a class without videos there has the task's. InputError where nothing
  was fitted.
  """
  fitted = read_calibration(run.workdir or pathlib.Path(), run.step)
  usual = float(getattr(run.recipe.task, "threshold", 0.5))
  return tuple(max(fitted.thresholds.get(name, usual), FLOOR) for name in run.class_names if fitted.several)


def check_classifies(run: Run) -> None:
  """Raises an InputError where a run has classes and its network no scores of them, as in a phase without labels."""
  clip = jax.ShapeDtypeStruct((1, *run.clip_shape), jnp.float32)
  output, _ = jax.eval_shape(lambda v, x: forward(run.network, v, x, False), run.variables, clip)
  if output.logits is None and run.class_names:
    raise InputError(
      f"{run.called}: {type(run.network).__name__} gives no scores of classes: name the folder of a"
      " classifier, such as that of the whole training; python -m vidjax.summarize draws attention"
    )
