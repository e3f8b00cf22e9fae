"""What the page answers of a film: the likeliest classes, then pictures one after the other."""

import contextlib
import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from vidjax.analyse.film_representations import SHORT_SIDE, drawer
from vidjax.analyse.pictures import save_strips, spread
from vidjax.analyse.point import sites, strips_of_point
from vidjax.analyse.representations import trained_inputs
from vidjax.data import read_film
from vidjax.errors import InputError
from vidjax.predict.explain import check_explains, explain
from vidjax.predict.predictor import Prediction
from vidjax.run.films import Clip, check_reads_films
from vidjax.run.opened import Run

TOP = 5
MOST_RATE = 240
"""Frames a second. A film that has more than that many in all of its seconds' limit is too long."""
MAPS = 4
"""Attention maps that are drawn, spread over the network."""
Draw = Callable[[str, Prediction, pathlib.Path], None]
"""(film, its prediction, path of the picture) draws it."""


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
    film: name of its file.
    frames: how many it has.
    seconds: from its first frame to its last.
    best: the likeliest classes and their scores.
    pictures: PNG files by the titles of their tabs, or in words why there is none.
    next: title of the picture that is drawn now, "" at the end.
  """

  film: str
  frames: int
  seconds: float
  best: list[tuple[str, float]]
  pictures: dict[str, bytes | str]
  next: str = ""


def pictures_of(run: Run) -> list[Picture]:
  """The pictures that can be drawn of a run's films.

  Args:
    run: with its variables.

  Raises:
    InputError: the run reads no films.
  """
  check_reads_films(run)
  found: list[Picture] = []
  with contextlib.suppress(InputError):
    check_explains(run)
    says = "Grad-CAM: where the frames that the network has seen speak for the likeliest class."
    found.append(Picture("Evidence", says, lambda film, prediction, path: explain(path, [run], [prediction])))
  with contextlib.suppress(InputError):
    sites(run.network, run.clip_shape)
    says = "What the marked point, the middle of the middle frame, attends to."
    found.append(Picture("Attention", says, lambda film, prediction, path: _attention(run, film, prediction, path)))
  if "colour" in run.recipe.stream.gives:
    trained = trained_inputs(run.network, run.variables)
    side = run.crop_sizes.get("short_side", SHORT_SIDE) if trained else SHORT_SIDE
    draw = drawer(run.normalise, trained, side)
    says = "What can stand before a network in place of plain frames, for four parts of the film."
    found.append(Picture("Input representations", says, lambda film, prediction, path: draw(film, path)))
  return found


def check_film(path: str, name: str, limits: Limits) -> tuple[int, float]:
  """The number of frames of a film and the seconds from its first to its last, by decoding it.

  Args:
    path: of the file.
    name: what errors call it.
    limits: what it may have; what lies beyond is not decoded.

  Raises:
    InputError: it is no film, is damaged, or too large or too long.
  """
  size = pathlib.Path(path).stat().st_size / 1e6
  if size > limits.mb:
    raise InputError(f"{name} has {size:.1f} MB, and this page takes {limits.mb:g}: cut it, or make it smaller")
  count, first, since = 0, 0.0, 0.0
  for _, time in read_film.timed(path, 16, name=name):
    first = first if count else time
    since, count = time - first, count + 1
    if since > limits.seconds or count > MOST_RATE * limits.seconds:
      raise InputError(f"{name} is longer than {limits.seconds:g} seconds, which this page takes: cut it")
  return count, since


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
  count, seconds = check_film(path, name, limits)
  try:
    prediction = predict(path)
  except InputError as error:
    raise InputError(_called(error, path, name)) from error
  drawn: dict[str, bytes | str] = {}
  known = Answer(name, count, seconds, prediction.best(TOP), drawn)
  with tempfile.TemporaryDirectory(prefix="vidjax-demo-") as folder:
    target = pathlib.Path(folder) / "picture.png"
    for picture in pictures:
      yield dataclasses.replace(known, pictures=dict(drawn), next=picture.title)
      try:
        picture.draw(path, prediction, target)
        drawn[picture.title] = target.read_bytes()
      except InputError as error:
        drawn[picture.title] = _called(error, path, name)
  yield known


@contextlib.contextmanager
def uploaded(sent: Any, folder: pathlib.Path) -> Iterator[tuple[str, str]]:
  """The path of an uploaded film and its name; in the end the file is removed, and its folder if nothing else is there.

  Args:
    sent: what a browser says of the upload: its path, and its name as "orig_name".
    folder: below which uploads lie.

  Raises:
    InputError: the path is none of an upload.
  """
  told = sent if isinstance(sent, Mapping) else {}
  path = pathlib.Path(os.path.realpath(folder / str(told.get("path") or "")))
  if not path.is_relative_to(os.path.realpath(folder)) or not path.is_file():
    raise InputError("the film has not arrived: upload it again")
  try:
    yield str(path), str(told.get("orig_name") or path.name)
  finally:
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
      path.parent.rmdir()


def _attention(run: Run, film: str, prediction: Prediction, path: pathlib.Path) -> None:
  clip = Clip(prediction.clip, prediction.shown, prediction.frames)
  strips = strips_of_point(run, clip, (len(clip.frames) // 2, 0.5, 0.5))
  strips = [strips[number] for number in spread(len(strips), MAPS).tolist()]
  save_strips(path, strips, f"attention of the marked point: {pathlib.Path(film).name}", label="weight")


def _called(error: InputError, path: str, name: str) -> str:
  """The message, with the film called by its name."""
  return str(error).replace(path, name)
