"""`python -m vidjax.analyse attention`: where a point of a video looks, in one run or several above each other."""

import functools
import pathlib
from collections.abc import Sequence

import numpy as np
from absl import flags

from vidjax.analyse.modes import draw_each, workdirs
from vidjax.errors import InputError


def run(files: Sequence[str]) -> None:
  """One picture for each file."""
  values = flags.FLAGS
  point = _point(values.point)
  folders = workdirs()
  from vidjax.analyse.point import check_point, sites
  from vidjax.run.films import check_reads_films
  from vidjax.run.opened import open_run

  runs = [open_run(folder, values.checkpoint, trusted=values.trust) for folder in folders]
  for one in runs:
    check_reads_films(one)
    sites(one.network, one.clip_shape, values.at)
  check_point(point, runs[0].clip_shape)
  draw_each("attention", files, functools.partial(_draw, runs, point))


def _draw(runs: Sequence, point: tuple[int, float, float], file: str, path: pathlib.Path) -> None:
  from vidjax.analyse.pictures import Strip, save_strips
  from vidjax.analyse.point import strips_of_point
  from vidjax.run.films import read_clip

  values = flags.FLAGS
  strips: list[Strip] = []
  frame: int | None = None  # of the film
  for one in runs:
    clip = read_clip(one, file, values.short_side)
    frame = int(clip.numbers[point[0]]) if frame is None else frame
    point = int(np.abs(clip.numbers - frame).argmin()), *point[1:]  # the nearest that this run reads
    strips += strips_of_point(one, clip, point, values.at, one.workdir.name if len(runs) > 1 else "")
  save_strips(path, strips, f"attention of the marked point: {pathlib.Path(file).name}", label="weight")


def _point(text: Sequence[str] | None) -> tuple[int, float, float]:
  try:
    frame, y, x = text or [""]
    return int(frame), float(y), float(x)
  except ValueError:
    given = " is missing" if text is None else f"={','.join(text)}"
    raise InputError(
      f"--point{given}: must be FRAME,Y,X, as in --point=3,.5,.25: a frame of the clip, from 0 on, and shares of its"
      " height and width"
    ) from None
