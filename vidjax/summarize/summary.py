"""A film's summary: which frames are its keyframes, and the files that show them."""

import contextlib
import dataclasses
import json
import os
import pathlib
import re

import cv2
import numpy as np

from vidjax.analyse.pictures import spread
from vidjax.console import clock
from vidjax.data.schema import encode_frames
from vidjax.files import whole, write_text
from vidjax.recurrent import OPEN
from vidjax.summarize import choosers
from vidjax.summarize.descriptors import SIMILAR_COLOURS
from vidjax.summarize.film import Candidates, fetch
from vidjax.summarize.pictures import MOST, save_curve, save_sheet

REPORT = "summary.json"
THUMBNAIL = 320
"""Pixels of the long side of a frame in the contact sheet."""


@dataclasses.dataclass(frozen=True, eq=False)
class Summary:
  """The keyframes of a film, K of them.

  Attributes:
    candidates: the frames they were chosen from.
    places: int `[K]`, ascending, of the keyframes among the candidates.
    method: how they were chosen.
    notes: sentences for the user.
  """

  candidates: Candidates
  places: np.ndarray
  method: str
  notes: tuple[str, ...] = ()

  @property
  def numbers(self) -> np.ndarray:
    """0-based numbers of the keyframes in the film, int `[K]`."""
    return self.candidates.numbers[self.places]

  @property
  def times(self) -> np.ndarray:
    """Seconds at which they are shown, float `[K]`."""
    return self.candidates.times[self.places]

  @property
  def line(self) -> str:
    """The numbers in words."""
    count, frames = len(self.places), self.candidates.frames
    return f"{count} keyframe{'s' * (count != 1)} of {frames} frame{'s' * (frames != 1)}"


def choose(
  candidates: Candidates,
  method: str,
  count: int | None = None,
  similar: float = SIMILAR_COLOURS,
  gap: float = 0.0,
  seed: int = 0,
  plain: bool = False,
) -> Summary:
  """Chooses keyframes.

  Args:
    candidates: the frames to choose from; those that show nothing are left out.
    method: "attention", which candidates of a run have, or a name of `choosers.METHODS`.
    count: of keyframes, at most.
    similar: L1 distance below which the second of two frames is left out.
    gap: of the method "attention": seconds between keyframes at least.
    seed: of the method "random".
    plain: the methods "uniform", "random" and "ranktracing" leave similar frames in, as the baselines that they are.
  """
  shown, notes = candidates.shown, [*candidates.notes]
  if candidates.blank.all():
    notes.append("every frame is of one colour")
  descriptors = candidates.descriptors[shown]
  if method == "attention" and candidates.attention is not None:
    attention = candidates.attention[shown]
    kept = choosers.attended(descriptors, candidates.times[shown], attention, similar, gap, count)
    if attention.max() <= OPEN:
      notes.append(f"no frame has an attention above {OPEN}: the highest, {attention.max():.2g}, is taken")
  else:
    options = {"seed": seed} if method == "random" else {}
    kept = choosers.METHODS[method](descriptors, count, similar, **options)
    kept = kept if plain else choosers.apart(descriptors, kept, similar)
  return Summary(candidates, shown[kept], method, tuple(notes))


def write(summary: Summary, out: str | os.PathLike, max_corrupt: int = 0) -> None:
  """Writes keyframes as JPEG, a contact sheet, the curve and `summary.json` into a folder.

  Keyframes that an earlier summary there lists are removed.

  Args:
    summary: of a film, which is read again for the keyframes.
    out: the folder, which is made.
    max_corrupt: as the film was read before.
  """
  out = pathlib.Path(out)
  out.mkdir(parents=True, exist_ok=True)
  _remove_old(out)
  film, name = summary.candidates, pathlib.Path(summary.candidates.file).name
  files = [f"Frame{number:06d}.jpeg" for number in summary.numbers.tolist()]
  shown = spread(len(files), MOST).tolist()
  thumbnails: list[np.ndarray] = []
  for place, image in enumerate(fetch(film.file, summary.numbers, max_corrupt)):
    with whole(out / files[place]) as partial:
      partial.write_bytes(encode_frames([image])[0])
    if place in shown:
      thumbnails.append(_shrink(image))
  save_sheet(
    out / "sheet.png",
    thumbnails,
    [f"{clock(float(summary.times[place]))}  frame {summary.numbers[place]}" for place in shown],
    name,
    summary.line + f", {len(shown)} of them here" * (len(shown) < len(files)),
  )
  label = "change" if film.attention is None else "attention score"
  save_curve(out / "curve.png", film.times, film.curve, summary.times, label, name)
  report = {
    "film": film.file,
    "frames": film.frames,
    "seconds": film.seconds,
    "damaged": film.damaged,
    "method": summary.method,
    "notes": summary.notes,
    "keyframes": [
      {"frame": number, "seconds": seconds, "image": file}
      for number, seconds, file in zip(summary.numbers.tolist(), summary.times.tolist(), files, strict=True)
    ],
    "curve": {"of": label, "frame": film.numbers.tolist(), "seconds": film.times.tolist(), label: film.curve.tolist()},
  }
  if film.attention is not None:
    report["curve"]["attention"] = film.attention.tolist()
  write_text(out / REPORT, json.dumps(report, indent=1) + "\n")


def _remove_old(out: pathlib.Path) -> None:
  """Removes the keyframes that an earlier report lists, and the report."""
  with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
    for keyframe in json.loads((out / REPORT).read_text(encoding="utf-8"))["keyframes"]:
      if re.fullmatch(r"Frame\d{6,}\.jpeg", keyframe["image"]):
        (out / keyframe["image"]).unlink(missing_ok=True)
    (out / REPORT).unlink()


def _shrink(image: np.ndarray) -> np.ndarray:
  height, width = image.shape[:2]
  scale = THUMBNAIL / max(height, width)
  size = max(1, round(width * scale)), max(1, round(height * scale))
  return cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
