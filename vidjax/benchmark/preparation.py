"""Preparing films against plain ffmpeg, and what each encoding costs in space and in time to sample from it."""

import functools
import pathlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from vidjax.benchmark.measure import Spread, say
from vidjax.errors import InputError

SHORT_SIDE = 256
COPIES = 16
"""Times each film is prepared in a run."""
WORKERS = (1, 2)
FRAMES = (8, 32)
ENCODINGS = ("jpeg", "h264", "video")


def measure_preparation(videos: pathlib.Path, runs: int) -> dict[str, Any]:
  """Films a second of `prepare folder` with one worker and two; after each run, of ffmpeg with as many processes.

  ffmpeg decodes the same films in one thread each, shrinks their frames to the same size and drops them. Preparation
  also starts its processes, encodes and stores; a single worker has a decoder thread for every core.

  Args:
    videos: folder with the films.
    runs: runs; numbers are medians over them.

  Raises:
    InputError: no film is there, or no ffmpeg.
  """
  films = _films(videos)
  ffmpeg = shutil.which("ffmpeg")
  if ffmpeg is None:
    raise InputError("preparation: there is no ffmpeg on the PATH, which is measured beside: install it")
  results: dict[str, Any] = {"films": f"{len(films)} x {COPIES}, short side {SHORT_SIDE}", "ffmpeg": _version(ffmpeg)}
  with tempfile.TemporaryDirectory() as scratch:
    links = _linked(films, pathlib.Path(scratch), COPIES)
    for workers in WORKERS:
      say(f"{runs} x ({len(links)} films with {workers} workers, then with {workers} ffmpeg)")
      times = []
      for run in range(runs + 1):
        ours = _timed(functools.partial(_prepare, scratch, f"{workers}_{run}", "jpeg", workers))
        theirs = _timed(functools.partial(_decode_all, ffmpeg, links, workers))
        times += [(ours, theirs)] * bool(run)  # the first run reads the films from the disk
      ours, theirs = np.transpose(times)
      results |= {
        f"films per second, {workers} workers": Spread.of((len(links) / ours).tolist()),
        f"films per second, {workers} ffmpeg": Spread.of((len(links) / theirs).tolist()),
        f"share of ffmpeg's speed, {workers}": Spread.of((theirs / ours).tolist()),
      }
  return results


def measure_encodings(videos: pathlib.Path, runs: int) -> dict[str, Any]:
  """Size of each encoding, and the milliseconds that frames spread over a film take, in one thread.

  Where decord is installed, it reads the same frames of the original files.

  Args:
    videos: folder with the films.
    runs: runs; numbers are medians over them.

  Raises:
    InputError: no film is there.
  """
  from vidjax.data.dataset import open_dataset
  from vidjax.data.schema import Record

  films = _films(videos)
  results: dict[str, Any] = {"films": f"{len(films)}, short side {SHORT_SIDE}"}
  samplers: dict[str, Callable[[int], object]] = {}
  with tempfile.TemporaryDirectory() as scratch:
    _linked(films, pathlib.Path(scratch), 1)
    for encoding in ENCODINGS:
      _prepare(scratch, encoding, encoding, 2)
      source = open_dataset(f"folder/{encoding}", scratch).source("train")
      records = [Record.parse(source[number]) for number in range(len(source))]
      results[f"{encoding}: MB"] = source.num_bytes / 1e6
      frames = sum(record.num_frames for record in records)
      results[f"{encoding}: bytes per frame"] = source.num_bytes / frames
      samplers[encoding] = functools.partial(_sample, records)
    if _decord() is not None:
      samplers["decord"] = functools.partial(_sample_by_decord, {film: _size(film) for film in films})
    for count in FRAMES:
      for name, sample in samplers.items():
        say(f"{name}: {runs} x {count} frames of {len(films)} films")
        sample(count)
        times = [1e3 * _timed(functools.partial(sample, count)) / len(films) for _ in range(runs)]
        results[f"{name}: ms for {count} frames"] = Spread.of(times)
  return results


def _films(videos: pathlib.Path) -> list[pathlib.Path]:
  films = sorted(path for path in videos.iterdir() if path.is_file()) if videos.is_dir() else []
  if not films:
    raise InputError(f"--videos={videos}: there is no file in it: name a folder with films")
  return films


def _linked(films: list[pathlib.Path], scratch: pathlib.Path, copies: int) -> list[pathlib.Path]:
  """Links to the films in one class folder."""
  folder = scratch / "videos" / "all"
  folder.mkdir(parents=True)
  links = [folder / f"{number}_{film.name}" for number in range(copies) for film in films]
  for number, link in enumerate(links):
    link.symlink_to(films[number % len(films)].absolute())
  return links


def _prepare(scratch: str, name: str, encoding: str, workers: int) -> None:
  from vidjax.data.read_film import Storage
  from vidjax.prepare.folder import prepare_folder

  root = pathlib.Path(scratch)
  storage = Storage(SHORT_SIDE, encoding)
  report = prepare_folder(root / "videos", name, root, fractions={"train": 1.0}, storage=storage, workers=workers)
  if report is None or report.refused:
    raise InputError(f"not all films of --videos could be read: {report and report.refused[0]}: remove those")


def _decode_all(ffmpeg: str, films: list[pathlib.Path], processes: int) -> None:
  size = f"scale='if(gt(iw,ih),-2,min({SHORT_SIDE},iw))':'if(gt(iw,ih),min({SHORT_SIDE},ih),-2)':flags=area"

  def decode(film: pathlib.Path) -> None:
    command = [ffmpeg, "-v", "error", "-nostdin", "-threads", "1", "-i", str(film), "-an", "-vf", size]
    command += ["-filter_threads", "1", "-pix_fmt", "rgb24", "-f", "rawvideo", "-y", "/dev/null"]
    subprocess.run(command, check=True)

  with ThreadPoolExecutor(processes) as pool:
    list(pool.map(decode, films))


def _spread(num_frames: int, count: int) -> np.ndarray:
  return np.linspace(0, num_frames - 1, count).astype(int)


def _sample(records: list[Any], count: int) -> None:
  for record in records:
    record.decode(_spread(record.num_frames, count))


def _sample_by_decord(films: dict[pathlib.Path, tuple[int, int]], count: int) -> None:
  decord = _decord()
  for film, (width, height) in films.items():
    reader = decord.VideoReader(str(film), num_threads=1, width=width, height=height)
    reader.get_batch(_spread(len(reader), count)).asnumpy()


def _size(film: pathlib.Path) -> tuple[int, int]:
  """Width and height of the stored frames."""
  from vidjax.data import video_file

  height, width, _ = next(iter(video_file.decode(film, SHORT_SIDE))).shape
  return width, height


def _decord() -> Any:
  try:
    import decord  # pyright: ignore[reportMissingImports]
  except ImportError:
    return None
  return decord


def _version(ffmpeg: str) -> str:
  return subprocess.run([ffmpeg, "-version"], capture_output=True, text=True, check=True).stdout.split()[2]


def _timed(function: Callable[[], Any]) -> float:
  start = time.perf_counter()
  function()
  return time.perf_counter() - start
