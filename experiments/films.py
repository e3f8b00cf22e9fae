"""A by-film set: the class of a clip is the film it was cut from; training and validation clips share no frame.

`python -m experiments.films --out=DIR FILM...` writes DIR/{train,validation}/<film>/*.mp4; then
`python -m vidjax.prepare folder --videos=DIR --name=films`.
"""

import pathlib
from collections.abc import Sequence

import numpy as np
from absl import flags

from experiments.pedestrians import write_video
from vidjax.command import run_main
from vidjax.console import say
from vidjax.data.video_file import decode
from vidjax.errors import InputError


def make_clips(films: Sequence[str], out: pathlib.Path, length: int = 16, stride: int = 4, share: float = 0.7) -> int:
  """Cuts films into clips of `length` frames, the first `share` of each film for training; returns their number."""
  if out.exists():
    raise InputError(f"{out} exists: name a new folder with --out")
  count = 0
  for film in films:
    frames = np.stack(list(decode(film, short_side=96)))
    frames = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]
    border = int(len(frames) * share)
    for split, first, last in (("train", 0, border), ("validation", border, len(frames))):
      for start in range(first, last - length + 1, stride):
        write_video(out / split / pathlib.Path(film).stem / f"{start:05d}.mp4", frames[start : start + length])
        count += 1
  return count


def main(argv: list[str]) -> None:
  """The command."""
  if not flags.FLAGS.out or len(argv) < 3:
    raise InputError("--out=DIR and at least two films are needed")
  say(f"{make_clips(argv[1:], pathlib.Path(flags.FLAGS.out))} clips in {flags.FLAGS.out}")


if __name__ == "__main__":
  flags.DEFINE_string("out", None, "New folder for the clips.")
  run_main(main, arguments=True)
