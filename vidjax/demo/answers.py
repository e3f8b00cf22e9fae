"""What the page answers of a film: the likeliest classes, then pictures one after the other."""

import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from vidjax.analyse.film_representations import SHORT_SIDE, drawer
from vidjax.analyse.pictures import save_strips, spread
from vidjax.analyse.point import sites, strips_of_point
from vidjax.analyse.representations import trained_inputs
from vidjax.data.read_film import timed
from vidjax.data.video_file import probe
from vidjax.errors import InputError
from vidjax.predict.explain import check_explains, explain
from vidjax.predict.predictor import Prediction
from vidjax.run.films import Clip, check_reads_films, default_short_side
from vidjax.run.opened import Run
from vidjax.timeline.make import rule_of
from vidjax.timeline.picture import save_timeline
from vidjax.timeline.spans import find_spans, smoothed
from vidjax.timeline.track import Track, follow_film, make_score
from vidjax.timeline.windows import cut_of

TOP = 5
MOST_RATE = 240
"""Frames a second. A film that has more than that many in all of its seconds' limit is too long."""
MAPS = 4
"""Attention maps that are drawn, spread over the network."""
WINDOW, EVERY = 2.0, 0.5
"""Seconds of a window of the timeline, and from one to the next."""
WINDOWS = 60
"""Of a timeline at most: those of a longer film lie further apart."""
BATCH = 4
"""Windows that go through the network at once."""


class Film(NamedTuple):
  """A film that was uploaded.

  Attributes:
    path: of the file.
    name: what it is called.
    frames: how many it has.
    seconds: from its first frame to the end of its last.
  """

  path: str
  name: str
  frames: int
  seconds: float


Draw = Callable[[Film, Prediction, pathlib.Path], None]
"""(film, its prediction, path of the picture) draws it."""


MEGABYTE = 2**20
"""Bytes, as Gradio counts them in its own message."""


@dataclasses.dataclass(frozen=True)
class Limits:
  """What a film may have.

  Attributes:
    mb: megabytes of its file.
    seconds: of its frames.
  """

  mb: float = 200.0
  seconds: float = 120.0


class Picture(NamedTuple):
  """A picture that the page draws of every film.

  Attributes:
    title: of its tab.
    says: what it shows, in a sentence or two.
    draw: draws it.
  """

  title: str
  says: str
  draw: Draw


@dataclasses.dataclass(frozen=True)
class Answer:
  """What is known of a film so far.

  Attributes:
    film: the film.
    best: the likeliest classes and their scores.
    pictures: PNG files by the titles of their tabs, or in words why there is none.
    next: title of the picture that is drawn now, "" at the end.
  """

  film: Film
  best: list[tuple[str, float]]
  pictures: dict[str, bytes | str]
  next: str = ""


def pictures_of(run: Run, wanted: Sequence[str] | None = None, calibrated: bool = False) -> list[Picture]:
  """The pictures that can be drawn of a run's films.

  Args:
    run: with its variables.
    wanted: those to draw, by their titles in lower case (default: all).
    calibrated: correct the scores over time, too.

  Raises:
    InputError: the run reads no films, or has no such picture.
  """
  found = _all_pictures(run, calibrated)
  names = [picture.title.lower() for picture in found]
  for name in wanted or ():
    if name not in names:
      raise InputError(f"--pictures={name}: this run has {', '.join(names)}")
  return [picture for picture, name in zip(found, names, strict=True) if wanted is None or name in wanted]


def _all_pictures(run: Run, calibrated: bool) -> list[Picture]:
  check_reads_films(run)
  found: list[Picture] = []
  with contextlib.suppress(InputError):
    check_explains(run)
    says = "Grad-CAM: where the frames that the network has seen speak for the likeliest class."
    found.append(Picture("Evidence", says, lambda film, prediction, path: explain(path, [run], [prediction])))
  with contextlib.suppress(InputError):
    says = "The scores over time, and below them what happens when."
    found.append(Picture("Timeline", says, _timeline(run, calibrated)))
  with contextlib.suppress(InputError):
    sites(run.network, run.clip_shape)
    says = "What the marked point, the middle of the middle frame, attends to."
    found.append(Picture("Attention", says, functools.partial(_attention, run)))
  if "colour" in run.recipe.stream.gives:
    trained = trained_inputs(run.network, run.variables)
    side = run.crop_sizes.get("short_side", SHORT_SIDE) if trained else SHORT_SIDE
    draw = drawer(run.normalise, trained, side)
    says = "What can stand before a network in place of plain frames, for four parts of the film."
    found.append(Picture("Representations", says, lambda film, _, path: draw(film.path, path)))
  return found


def read_film(path: str, name: str, limits: Limits) -> Film:
  """A film that is sound and within the limits: it is decoded, and what lies beyond them is not.

  Args:
    path: of the file.
    name: what it is called.
    limits: what it may have.

  Raises:
    InputError: it is no film, is damaged, or too large or too long.
  """
  size = pathlib.Path(path).stat().st_size / MEGABYTE
  if size > limits.mb:
    raise InputError(f"{name} has {size:.1f} MB, and this page takes {limits.mb:g}: cut it, or make it smaller")
  track = Track(probe(path, name).fps)
  for frame, time in timed(path, 16, name=name):
    since = track.see(frame, time)
    if since > limits.seconds or track.frames > MOST_RATE * limits.seconds:
      raise InputError(f"{name} is longer than {limits.seconds:g} seconds, which this page takes: cut it")
  return Film(path, name, track.frames, track.seconds)


def answer(
  path: str, name: str, predict: Callable[[str], Prediction], pictures: list[Picture], limits: Limits
) -> Iterator[Answer]:
  """What is known of a film, again and again: first its classes, then a picture more each time.

  Args:
    path: of the film.
    name: what it is called.
    predict: from `make_predictor`.
    pictures: from `pictures_of`.
    limits: what the film may have.

  Raises:
    InputError: it is no film, is damaged, or too large or too long.
  """
  film = read_film(path, name, limits)
  try:
    prediction = dataclasses.replace(predict(path), file=name)
  except InputError as error:
    raise InputError(_called(error, film)) from error
  drawn: dict[str, bytes | str] = {}
  known = Answer(film, prediction.best(TOP), drawn)
  with tempfile.TemporaryDirectory(prefix="vidjax-demo-") as folder:
    target = pathlib.Path(folder) / "picture.png"
    for picture in pictures:
      yield dataclasses.replace(known, pictures=dict(drawn), next=picture.title)
      try:
        picture.draw(film, prediction, target)
        drawn[picture.title] = target.read_bytes()
      except InputError as error:
        drawn[picture.title] = _called(error, film)
  yield known


def kept(sent: Any, folder: pathlib.Path) -> dict[str, str]:
  """An upload, moved to a folder of its own: what two visitors send alike has one path and would be deleted once.

  Args:
    sent: what a browser says of the upload: its path, and its name as "orig_name".
    folder: below which uploads lie.

  Returns:
    The same, for `uploaded`.

  Raises:
    InputError: the path is none of an upload.
  """
  path, name = _told(sent, folder)
  own = pathlib.Path(tempfile.mkdtemp(dir=folder)) / path.name
  path.replace(own)
  with contextlib.suppress(OSError):
    path.parent.rmdir()
  return {"path": str(own), "orig_name": name}


def _told(sent: Any, folder: pathlib.Path) -> tuple[pathlib.Path, str]:
  """Path and name of an upload; raises an InputError where the path is none of an upload."""
  told = sent if isinstance(sent, Mapping) else {}
  path = _upload(told.get("path"), folder)
  if path is None:
    raise InputError("the film has not arrived: upload it again")
  return path, str(told.get("orig_name") or path.name)


@contextlib.contextmanager
def uploaded(sent: Any, folder: pathlib.Path) -> Iterator[tuple[str, str]]:
  """The path of an uploaded film and its name; in the end the file is removed, and its folder if nothing else is there.

  Args:
    sent: what a browser says of the upload: its path, and its name as "orig_name".
    folder: below which uploads lie.

  Raises:
    InputError: the path is none of an upload.
  """
  path, name = _told(sent, folder)
  try:
    yield str(path), name
  finally:
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
      path.parent.rmdir()


def names_uploads(body: bytes, folder: pathlib.Path) -> bool:
  """Whether every file that a request names is an upload.

  Args:
    body: of the request, JSON.
    folder: below which uploads lie.
  """
  try:
    waiting = [json.loads(body)] if body else []
  except (ValueError, RecursionError):
    return False
  while waiting:
    value = waiting.pop()
    if isinstance(value, dict):
      if "path" in value and _upload(value["path"], folder) is None:
        return False
      waiting += value.values()
    elif isinstance(value, list):
      waiting += value
  return True


def _upload(named: Any, folder: pathlib.Path) -> pathlib.Path | None:
  """The file that a path names, if it lies in a folder below `folder`; else None."""
  path = pathlib.Path(os.path.realpath(folder / str(named or "").replace("\0", "")))
  return path if path.is_file() and pathlib.Path(os.path.realpath(folder)) in path.parents[1:] else None


def _attention(run: Run, film: Film, prediction: Prediction, path: pathlib.Path) -> None:
  clip = Clip(prediction.clip, prediction.shown, prediction.frames)
  strips = strips_of_point(run, clip, (len(clip.frames) // 2, 0.5, 0.5))
  strips = [strips[number] for number in spread(len(strips), MAPS).tolist()]
  save_strips(path, strips, f"attention of the marked point: {film.name}", label="weight")


def _timeline(run: Run, calibrated: bool) -> Draw:
  """Draws the scores of a film's windows over time; raises an InputError where the run reads no frames."""
  cut_of(run, WINDOW, EVERY)
  rule, side = rule_of(run, 1.0, 1.0, None, None, calibrated=calibrated), default_short_side(run)
  score = make_score(run, BATCH, calibrated)

  def draw(film: Film, prediction: Prediction, path: pathlib.Path) -> None:
    cut = cut_of(run, WINDOW, max(EVERY, film.seconds / WINDOWS))
    track = Track(probe(film.path).fps)
    for _ in follow_film(timed(film.path, side), track, cut, score, BATCH):
      pass
    if not track.rows:
      raise InputError(f"{film.name} lasts {track.seconds:.1f} seconds: a timeline takes {WINDOW:g} at least")
    times, scores, length = track.times, track.scores, track.seconds
    spans = find_spans(times, scores, rule, 0.0, length, max(cut.window, cut.every))
    level = smoothed(times, scores, rule.smooth)
    save_timeline(path, times, level, spans, run.class_names, length, rule, film.name)

  return draw


def _called(error: InputError, film: Film) -> str:
  """The message, with the film called by its name."""
  return str(error).replace(film.path, film.name)
