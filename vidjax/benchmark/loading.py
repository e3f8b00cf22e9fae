"""Speed of the training loader against decoding the frames it samples and nothing else."""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from vidjax.benchmark.measure import Spread, say
from vidjax.types import Film, Stream

Task = Callable[[], object]
"""Decodes one frame of a JPEG record, or the frames of a record that holds the original file."""


def measure_data(config: Mapping[str, Any], steps: int, warmup: int, runs: int) -> dict[str, Any]:
  """Times the loader a config describes; after each run, the bare decoding of the same frames of the same records.

  One loader serves all runs, as in training; what it read ahead meanwhile is passed over before the next. Decoding
  alone takes JPEG bytes that lie in memory and throws the images away, in as many threads as the loader has.
  CPU time is that of all threads; of worker processes it is not known.

  Args:
    config: plain nested dicts, as `configs/default.py`.
    steps: batches in a run.
    warmup: batches before each run, at least those that may lie ready.
    runs: runs; every number comes as the median over them, with the smallest and the largest.

  Raises:
    InputError: the config does not fit, or its data set is not there.
  """
  import cv2

  from vidjax.run.opened import Run

  run = Run(config)
  loader = run.train_loader(config["train"]["batch_size"])
  workers = loader.num_processes or loader.num_threads
  cv2.setNumThreads(0)
  warmup = max(warmup, 3 * workers)  # two batches for each worker lie ready, and one is in its hands
  say(f"{runs} x ({warmup} + {steps} batches from the loader, then decoding the frames of the {steps} alone)")
  loading, decoding = [], []
  with contextlib.closing(loader.batches()) as batches:
    for _ in range(runs):
      for _ in itertools.islice(batches, warmup):
        pass
      with _Clock() as clock:
        taken = [(batch["index"], batch["frame_index"]) for batch in itertools.islice(batches, steps)]
      clips = sum(len(index) for index, _ in taken)
      loading.append(clock.times / clips)
      taken = [(index[:: run.data.repeats], frames[:: run.data.repeats]) for index, frames in taken]  # decoded once
      tasks = [_tasks(loader.source, *batch, run.recipe.stream) for batch in taken]
      decoding.append(_decode(tasks, workers) / clips)
  (wall, cpu), (bare_wall, bare_cpu) = np.transpose(loading), np.transpose(decoding)
  results = {
    "batch size": config["train"]["batch_size"],
    "workers": f"{loader.num_processes} processes" if loader.num_processes else f"{loader.num_threads} threads",
    "loader clips per second": _spread(1 / wall),
    "decoding alone clips per second": _spread(1 / bare_wall),
    "loader ms per clip": _spread(1e3 * wall),
    "decoding alone ms per clip": _spread(1e3 * bare_wall),
    "share of the speed of decoding alone": _spread(bare_wall / wall),
  }
  if not loader.num_processes:
    results |= {
      "loader CPU ms per clip": _spread(1e3 * cpu),
      "decoding alone CPU ms per clip": _spread(1e3 * bare_cpu),
      "share of the CPU time that is decoding": _spread(bare_cpu / cpu),
    }
  return results


class _Clock:
  """`times` is (wall clock, CPU time of the process) in seconds, once the block is left."""

  def __enter__(self) -> "_Clock":
    self._start = np.array([time.perf_counter(), time.process_time()])
    return self

  def __exit__(self, *_: Any) -> None:
    self.times = np.array([time.perf_counter(), time.process_time()]) - self._start


def _tasks(source: Any, index: np.ndarray, frame_index: np.ndarray, stream: Stream) -> list[Task]:
  """What one batch has to decode: each distinct frame once."""
  import simplejpeg

  from vidjax.data.schema import DamagedRecord, Record

  def jpeg(content: bytes) -> Task:
    return lambda: simplejpeg.decode_jpeg(content)

  def whole(film: Film, frames: np.ndarray) -> Task:
    return lambda: film.decode(frames)

  tasks: list[Task] = []
  for number, frames in zip(index.tolist(), frame_index, strict=True):
    with contextlib.suppress(DamagedRecord):  # the loader took another one in its place
      film = stream.of(Record.parse(source[number]))
      if isinstance(film, Record) and film.encoded is None and film.gop is None:
        tasks += [jpeg(film.frames[frame]) for frame in np.unique(frames)]
      else:
        tasks.append(whole(film, frames))
  return tasks


def _decode(batches: Sequence[Iterable[Task]], workers: int) -> np.ndarray:
  """Runs the tasks, a batch at a time in each thread as the loader does; (wall clock, CPU time) in seconds."""

  def work(tasks: Iterable[Task]) -> None:
    for task in tasks:
      task()

  with _Clock() as clock:
    if workers:
      with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, batches))
    else:
      list(map(work, batches))
  return clock.times


def _spread(values: np.ndarray) -> Spread:
  return Spread.of(values.tolist())
