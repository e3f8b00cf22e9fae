"""The modes of `python -m vidjax.analyse`, one file each: its name is the mode's, and `run(files)` runs it."""

import pathlib
from collections.abc import Callable, Sequence

from absl import flags

from vidjax.console import say
from vidjax.errors import EXIT_BAD_INPUT, InputError


def out_folder() -> pathlib.Path:
  """The folder `--out` names, made."""
  if not flags.FLAGS.out:
    raise InputError("--out=DIR is missing: name a folder for the pictures")
  out = pathlib.Path(flags.FLAGS.out)
  try:
    out.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise InputError(f"--out={out} cannot be made ({error.strerror}): name a folder") from error
  return out


def out_picture() -> pathlib.Path:
  """The picture `--out` names, its folder made."""
  from vidjax.analyse.pictures import check_picture_path

  if not flags.FLAGS.out:
    raise InputError("--out=FILE is missing: name a picture, such as curves.png")
  out = check_picture_path(flags.FLAGS.out)
  try:
    out.parent.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise InputError(f"--out={out}: its folder cannot be made ({error.strerror}): name another") from error
  return out


def workdirs(least: int = 1, most: int | None = None) -> list[str]:
  """The folders that `--workdir` names.

  Args:
    least: of them.
    most: of them, or None.
  """
  found = flags.FLAGS.workdir or []
  if len(found) < least:
    raise InputError("--workdir=DIR is missing: name the folder of a training run")
  if most is not None and len(found) > most:
    raise InputError(f"--workdir names {len(found)} runs: name {most}")
  return found


def no_files(mode: str, files: Sequence[str]) -> None:
  """Raises an InputError where a mode that reads no videos is given any.

  Args:
    mode: its name.
    files: what is given.
  """
  if files:
    raise InputError(f"say what to analyse: {mode} takes flags alone; got {' '.join(files)}")


def draw_each(mode: str, files: Sequence[str], draw: Callable[[str, pathlib.Path], object]) -> None:
  """One picture for each file; broken ones are named on stderr, the others still drawn, and the exit code is 2.

  Args:
    mode: its name, and that of the pictures.
    files: videos.
    draw: (a video, path of its picture) draws it.
  """
  if not files:
    raise InputError(f"no video file is named: python -m vidjax.analyse {mode} FILE... --out=DIR")
  from vidjax.analyse.pictures import explain_paths

  paths = explain_paths(out_folder() / f"{mode}.png", [*files, files[0]])[: len(files)]
  failed = 0
  for file, path in zip(files, paths, strict=True):
    try:
      draw(file, path)
    except InputError as error:
      say(f"error: {error}", error=True)
      failed += 1
      continue
    say(f"wrote {path}")
  if failed:
    raise SystemExit(EXIT_BAD_INPUT)
