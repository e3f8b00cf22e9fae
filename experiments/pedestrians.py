"""A real two-class motion set from one film: pedestrians forwards and backwards, as small video files.

`python -m experiments.pedestrians --film=vtest.avi --out=DIR` writes DIR/{train,validation}/{forward,backward}/*.mp4
from disjoint parts of the film; then `python -m vidjax.prepare folder --videos=DIR --name=pedestrians`.
"""

import pathlib

import av
import numpy as np
from absl import flags

from vidjax.command import run_main
from vidjax.console import say
from vidjax.data.video_file import decode
from vidjax.errors import InputError


def write_video(path: pathlib.Path, frames: np.ndarray, fps: int = 10, x264: str = "") -> None:
  """Writes uint8 frames `[T, H, W, 3]` of even size as H.264.

  Args:
    path: of the file.
    frames: of the video.
    fps: frames a second.
    x264: further parameters, such as "cpu-independent=1".
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  with av.open(str(path), "w") as container:
    stream = container.add_stream("libx264", rate=fps, options={"crf": "18", "x264-params": x264})
    stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
    for frame in frames:
      container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
    container.mux(stream.encode(None))


def busiest(clip: np.ndarray, size: int, count: int) -> list[tuple[int, int]]:
  """Corners (row, column) of the `count` squares of a grid in which most moves: where the pedestrians are."""
  change = np.abs(np.diff(clip.mean(axis=-1), axis=0)).mean(axis=0)
  rows, columns = (n // size for n in change.shape)
  energy = change[: rows * size, : columns * size].reshape(rows, size, columns, size).mean(axis=(1, 3))
  return [tuple(size * int(n) for n in divmod(place, columns)) for place in np.argsort(-energy, axis=None)[:count]]


def make_clips(
  film: str, out: pathlib.Path, length: int = 24, stride: int = 8, size: int = 144, squares: int = 4, share: float = 0.7
) -> int:
  """Cuts a film into clips and their reversals; no frame is both in a training and a validation clip.

  Args:
    film: any video file.
    out: folder to write into; must not exist.
    length: frames of a clip.
    stride: frames between the starts of clips.
    size: side of the squares that are cut out, pixels.
    squares: clips from each window of time, of the squares in which most moves.
    share: of the film, from its start, that training clips come from.

  Returns:
    How many files were written.
  """
  if out.exists():
    raise InputError(f"{out} exists: name a new folder with --out")
  frames = np.stack(list(decode(film)))
  border = int(len(frames) * share)
  count = 0
  for split, first, last in (("train", 0, border), ("validation", border, len(frames))):
    for start in range(first, last - length + 1, stride):
      window = frames[start : start + length]
      for row, column in busiest(window, size, squares):
        clip = window[:, row : row + size, column : column + size]
        name = f"{start:05d}_{row}_{column}.mp4"
        write_video(out / split / "forward" / name, clip)
        write_video(out / split / "backward" / name, clip[::-1])
        count += 2
  return count


def main(argv: list[str]) -> None:
  """The command."""
  if not flags.FLAGS.film or not flags.FLAGS.out:
    raise InputError("--film=FILE and --out=DIR are needed")
  say(f"{make_clips(flags.FLAGS.film, pathlib.Path(flags.FLAGS.out))} clips in {flags.FLAGS.out}")


if __name__ == "__main__":
  flags.DEFINE_string("film", None, "The film.")
  flags.DEFINE_string("out", None, "New folder for the clips.")
  run_main(main)
