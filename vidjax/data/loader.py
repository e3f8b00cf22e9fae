"""Records to batches: Grain samples, decodes and transforms in threads or processes, in one order for any of them.

Training batches are endless. Every epoch is a fresh permutation of the records and batches run on across its border,
so each record is read once per epoch whatever the batch size. Batch i, its frames and its random transforms depend on
the seed and i alone: resuming is `batches(start=i)`. Changing the batch size redefines the batches.
"""

import contextlib
import dataclasses
import functools
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, Protocol

import cv2
import grain
import numpy as np

from vidjax.data.augment import Frames, TestCrops
from vidjax.data.schema import DamagedRecord, Record
from vidjax.errors import InputError

logger = logging.getLogger(__name__)

MAX_DAMAGED_IN_A_ROW = 100


class Source(Protocol):
  """Random access to serialised records."""

  def __len__(self) -> int: ...

  def __getitem__(self, index: int, /) -> bytes: ...


class Sampler(Protocol):
  """Chooses frame numbers, as in `vidjax.data.sampling`."""

  @property
  def clip_length(self) -> int:
    """Frames in a clip, T."""
    ...

  def train(self, num_frames: int, rng: np.random.Generator, /) -> np.ndarray:
    """Frame numbers `[T]` of a random clip."""
    ...

  def test(self, num_frames: int, /, clips: int = 1) -> np.ndarray:
    """Frame numbers `[clips, T]` of the test clips."""
    ...


Transform = Callable[[dict[str, Any], np.random.Generator], dict[str, Any]]
"""Maps a clip {"video": T frames, "label": int}, as in `vidjax.data.augment`."""


@dataclasses.dataclass(frozen=True)
class TrainLoader:
  """This process's share of the training batches; made by `train_loader`.

  Attributes:
    dataset: Grain's endless sequence of batches.
    source: the records.
    batches_per_epoch: whole batches in an epoch.
    num_threads: threads that make batches.
    num_processes: worker processes in place of the threads, 0 for none.
    max_damaged: share of the records that may be damaged.
  """

  dataset: grain.MapDataset
  source: Source
  batches_per_epoch: int
  num_threads: int
  num_processes: int
  max_damaged: float

  def batches(self, start: int = 0) -> Generator[dict[str, np.ndarray], None, None]:
    """Yields `types.Batch` from batch `start` on; close the generator to stop the workers at once.

    A damaged record is logged once, and the next readable one stands in its place under `index` of the wanted one.

    Raises:
      InputError: more than `max_damaged` of the records are damaged.
    """
    damaged: set[int] = set()
    with _workers(self.dataset[start:], self.num_threads, self.num_processes) as iterator:
      for batch in iterator:
        for index, reason in _pop_damage(batch).items():
          if index not in damaged:
            damaged.add(index)
            logger.warning("training record %d is replaced by the next: %s", index, reason)
          if len(damaged) > self.max_damaged * len(self.source):
            raise InputError(
              f"at least {len(damaged)} of {len(self.source)} training records are damaged, more than the "
              f"{self.max_damaged:.3g} allowed by max_damaged (last: {reason})"
            )
        yield batch


def train_loader(
  source: Source,
  sampler: Sampler,
  transforms: Sequence[Transform],
  batch_size: int,
  seed: int,
  *,
  num_threads: int | None = None,
  num_processes: int = 0,
  process_index: int = 0,
  process_count: int = 1,
  max_damaged: float = 0.01,
  num_classes: int | None = None,
  keep_records: bool = False,
  flow: bool = False,
) -> TrainLoader:
  """Makes the loader of training batches.

  Args:
    source: the records of the split.
    sampler: draws the frames of a clip.
    transforms: applied in turn to each clip; the last must leave clips of one size.
    batch_size: records in a batch over all processes.
    seed: of the order, the frames and the transforms; in `[0, 2**32)`.
    num_threads: threads that each make a batch (default: the CPU cores, at most 16); 0 reads in the caller's thread.
    num_processes: worker processes to use in place of threads.
    process_index: number of this process among `process_count` that train together; each reads its share of every
      batch, and the shares in the order of the processes are the batch that one process alone would read.
    process_count: number of processes that train together.
    max_damaged: share of the records that may be damaged before training stops.
    num_classes: a record with a label outside 0 to `num_classes - 1` counts as damaged (default: not checked).
    keep_records: hold the serialised records in memory from their first reading on, in every worker process.
    flow: make clips of the stored flow images in place of the frames; a record without them counts as damaged.

  Raises:
    InputError: sizes that do not fit each other.
  """
  share = _share(batch_size, process_index, process_count)
  if not 0 <= seed < 2**32:
    raise InputError(f"seed={seed} is outside 0 to 2**32 - 1")
  if len(source) < batch_size:
    raise InputError(f"{len(source)} training records do not fill a batch of {batch_size}: lower train.batch_size")
  first = process_index * share
  records = _Records(source, num_classes, keep_records, flow)
  batches = _TrainingBatches(records, sampler, tuple(transforms), batch_size, first, share, seed)
  dataset = grain.MapDataset.source(batches)
  threads = _default_threads() if num_threads is None else num_threads
  return TrainLoader(dataset, source, len(source) // batch_size, threads, num_processes, max_damaged)


class EvalLoader:
  """This process's share of one pass over a split; made by `eval_loader`.

  Attributes:
    num_records: records of the split.
    num_batches: batches of the pass, the same in every process.
    damaged: record -> what is wrong with it, of the records met so far; only with `skip_damaged`.
  """

  def __init__(self, dataset: grain.MapDataset, num_records: int, num_threads: int, skip_damaged: bool):
    self.num_records = num_records
    self.num_batches = len(dataset)
    self.damaged: dict[int, str] = {}
    self._dataset = dataset
    self._num_threads = num_threads
    self._skip_damaged = skip_damaged

  def batches(self) -> Iterator[dict[str, np.ndarray]]:
    """Yields `types.Batch` with views: video `[B, V, T, H, W, 3]`, clip by clip and within it crop by crop.

    Every record comes once. `mask` is False on the padding of the last batch and on damaged records.

    Raises:
      InputError: a record is damaged and `skip_damaged` is not set.
    """
    self.damaged.clear()
    with _workers(self._dataset, self._num_threads) as iterator:
      for batch in iterator:
        damage = _pop_damage(batch)
        if damage and not self._skip_damaged:
          raise InputError(f"{next(iter(damage.values()))} (--skip_damaged evaluates without such records)")
        self.damaged.update(damage)
        yield batch


def eval_loader(
  source: Source,
  sampler: Sampler,
  crops: TestCrops,
  batch_size: int,
  *,
  clips: int = 1,
  num_threads: int | None = None,
  process_index: int = 0,
  process_count: int = 1,
  skip_damaged: bool = False,
  num_classes: int | None = None,
  flow: bool = False,
) -> EvalLoader:
  """Makes the loader of one pass over a split, in its order.

  Args:
    source: the records of the split.
    sampler: chooses the frames of each clip.
    crops: cuts each clip into spatial views.
    batch_size: records in a batch over all processes; the last batch is padded.
    clips: clips of each video.
    num_threads: threads that each make a batch (default: the CPU cores, at most 16); 0 reads in the caller's thread.
    process_index: number of this process among `process_count`, which share every batch as in training.
    process_count: number of processes that evaluate together.
    skip_damaged: leave damaged records out (`mask` False) in place of an error.
    num_classes: as in `train_loader`.
    flow: as in `train_loader`.

  Raises:
    InputError: sizes that do not fit each other.
  """
  share = _share(batch_size, process_index, process_count)
  if clips < 1:
    raise InputError(f"clips={clips}: evaluation needs at least one clip of each video")
  if not len(source):
    raise InputError("there are no records to evaluate: choose another split")
  first = process_index * share
  records = _Records(source, num_classes, flow=flow)
  batches = _EvalBatches(records, sampler, crops, batch_size, first, share, clips)
  dataset = grain.MapDataset.source(batches)
  return EvalLoader(dataset, len(source), _default_threads() if num_threads is None else num_threads, skip_damaged)


@dataclasses.dataclass(frozen=True, repr=False)
class _TrainingBatches:
  """Number of a batch -> this process's share of it, the `share` clips from clip `first` of the batch on.

  Grain handles whole batches: its bookkeeping, shuffle and generators for each clip cost as much as decoding a clip of
  48 x 48 pixels.
  """

  records: "_Records"
  sampler: Sampler
  transforms: tuple[Transform, ...]
  batch_size: int
  first: int
  share: int
  seed: int

  def __len__(self) -> int:
    return sys.maxsize // self.batch_size

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    first = index * self.batch_size + self.first
    places = range(first, first + self.share)
    wanted = [self._wanted(place) for place in places]
    # To read all and then decode all leaves the code of each in the processor's caches: in turn takes 12% longer.
    chosen = [self._choose(number, rng) for number, rng in zip(wanted, self._generators(places, 0), strict=True)]
    clips = zip(wanted, chosen, self._generators(places, 1), strict=True)
    return _stack((self._sample(*clip) for clip in clips), self.share)

  def _wanted(self, place: int) -> int:
    """Number of the record at a place in training."""
    epoch, position = divmod(place, len(self.records))
    return int(_permutation(len(self.records), self.seed, epoch)[position])

  def _generators(self, places: range, part: int) -> Iterator[np.random.Generator]:
    """For every place in turn the one generator, set to draw from a stretch of 2**128 blocks of its own."""
    rng = np.random.Generator(np.random.Philox(self.seed))
    state = rng.bit_generator.state
    for place in places:
      state["state"]["counter"][2:] = part, place
      rng.bit_generator.state = state
      yield rng

  def _choose(self, number: int, rng: np.random.Generator) -> tuple[Record, np.ndarray] | DamagedRecord:
    """A record and the frames to decode, or what is wrong with it."""
    try:
      record = self.records[number % len(self.records)]
      frames = self.sampler.train(record.num_frames, rng)
      return record if self.records.keep else record.only(frames), frames
    except DamagedRecord as error:
      return error

  def _sample(
    self, wanted: int, choice: tuple[Record, np.ndarray] | DamagedRecord, rng: np.random.Generator
  ) -> dict[str, Any]:
    damage = ""
    for number in range(wanted, wanted + min(len(self.records), MAX_DAMAGED_IN_A_ROW)):
      try:
        record, frames = _readable(choice if number == wanted else self._choose(number, rng))
        clip = {"video": record.images(frames), "label": record.label}
        break
      except DamagedRecord as error:
        damage = damage or str(error)
    else:
      raise InputError(f"no readable record in {self.records.source} from number {wanted} on: {damage}")
    for transform in self.transforms:
      clip = transform(clip, rng)
    return _sample(clip["video"], clip["label"], wanted, frames, damage)


@functools.lru_cache(maxsize=4)
def _permutation(num_records: int, seed: int, epoch: int) -> np.ndarray:
  return np.random.default_rng((seed, epoch)).permutation(num_records)


@dataclasses.dataclass(frozen=True, repr=False)
class _EvalBatches:
  """Number of a batch of the padded split -> this process's share of it, as `_TrainingBatches`."""

  records: "_Records"
  sampler: Sampler
  crops: TestCrops
  batch_size: int
  first: int
  share: int
  clips: int

  def __len__(self) -> int:
    return -(-len(self.records) // self.batch_size)

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    first = index * self.batch_size + self.first
    return _stack(map(self._sample, range(first, first + self.share)), self.share)

  def _sample(self, index: int) -> dict[str, Any]:
    damage = ""
    if index < len(self.records):
      try:
        record = self.records[index]
        frames = self.sampler.test(record.num_frames, self.clips)
        video = record.decode(frames.reshape(-1))
      except DamagedRecord as error:
        damage = str(error)
      else:
        views = self.crops(video.reshape(*frames.shape, *video.shape[1:]))
        return _sample(views, record.label, index, np.repeat(frames, self.crops.crops, 0))
    shape = (self.clips * self.crops.crops, self.sampler.clip_length)
    nothing = np.zeros((*shape, self.crops.size, self.crops.size, 3), np.uint8)
    return _sample(nothing, 0, index if damage else 0, np.zeros(shape), damage, mask=False)


def _readable(choice: tuple[Record, np.ndarray] | DamagedRecord) -> tuple[Record, np.ndarray]:
  if isinstance(choice, DamagedRecord):
    raise choice
  return choice


class _Records:
  """The parsed records of a source.

  Attributes:
    source: of the serialised records.
    keep: whether every record is held in memory once it is read; a pickle leaves them out.
  """

  def __init__(self, source: Source, num_classes: int | None, keep: bool = False, flow: bool = False):
    self.source = source
    self._num_classes = num_classes
    self.keep = keep
    self._flow = flow
    self._kept: dict[int, Record] = {}

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, index: int) -> Record:
    kept = self._kept.get(index)
    if kept is not None:
      return kept
    record = Record.parse(self.source[index])
    if self._num_classes is not None and not 0 <= record.label < self._num_classes:
      raise DamagedRecord(
        f"the record of {record.video_id} has the label {record.label}, but there are {self._num_classes} classes: "
        "prepare the data set again"
      )
    if self._flow:
      record = record.of_flow()
    if self.keep:
      record = self._kept[index] = record.only(np.arange(record.num_frames))  # and so without flow that nobody reads
    return record

  def __reduce__(self) -> tuple[type["_Records"], tuple[Any, ...]]:
    return _Records, (self.source, self._num_classes, self.keep, self._flow)


def _sample(
  video: Frames, label: int, index: int, frames: np.ndarray, damage: str = "", mask: bool = True
) -> dict[str, Any]:
  return {"video": video, "label": label, "mask": mask, "index": index, "frame_index": frames, "damage": damage}


_TYPES = {"label": np.int32, "mask": np.bool_, "index": np.int32, "frame_index": np.int32, "damage": np.str_}


def _stack(samples: Iterable[dict[str, Any]], count: int) -> dict[str, np.ndarray]:
  """One batch of so many samples; each clip is copied, while the cache still holds it, and freed before the next."""
  video, rest = np.empty(0), []
  for row, sample in enumerate(samples):
    clip = sample.pop("video")
    shape = (len(clip), *clip[0].shape)
    if not row:
      video = np.empty((count, *shape), np.uint8)
    if shape != video.shape[1:]:
      sizes = f"{video.shape[1:]} and {shape}"
      raise InputError(f"the transforms leave clips of different sizes, such as {sizes}: end them with a crop")
    np.concatenate(clip, out=video[row].reshape(-1, *shape[2:]))  # np.stack takes twice as long for small frames
    rest.append(sample)
  batch = {key: np.array([sample[key] for sample in rest], kind) for key, kind in _TYPES.items()}
  return {"video": video, **batch, "damaged": batch["damage"] != ""}


def _pop_damage(batch: dict[str, np.ndarray]) -> dict[int, str]:
  """Takes "damage", which only the loader reads, out of the batch: record -> what is wrong with it."""
  damage = batch.pop("damage")
  return {int(batch["index"][i]): str(damage[i]) for i in np.flatnonzero(batch["damaged"])}


def _share(batch_size: int, process_index: int, process_count: int) -> int:
  if not 0 <= process_index < process_count:
    raise InputError(f"process_index={process_index} is not one of {process_count} processes")
  if batch_size < 1 or batch_size % process_count:
    raise InputError(f"batch_size={batch_size} must be a positive multiple of the {process_count} processes")
  return batch_size // process_count


def _default_threads() -> int:
  return min(os.cpu_count() or 1, 16)


@contextlib.contextmanager
def _workers(dataset: grain.MapDataset, num_threads: int, num_processes: int = 0) -> Iterator[Iterator[Any]]:
  """An iterator over a data set that reads ahead, and stops doing so on leaving."""
  cv2.setNumThreads(0)
  threads = 0 if num_processes else num_threads
  ahead = dataset.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads))
  if num_processes:
    options = grain.MultiprocessingOptions(num_workers=num_processes, per_worker_buffer_size=2)
    ahead = ahead.mp_prefetch(options, worker_init_fn=_start_worker)
  iterator = iter(ahead)
  try:
    yield iterator
  finally:
    iterator.close()


def _start_worker(_index: int, _count: int) -> None:
  cv2.setNumThreads(0)
  signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the trainer's to handle
  threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
  """Ends a worker whose trainer was killed (PR_SET_PDEATHSIG would act when Grain's starting thread ends)."""
  parent = multiprocessing.parent_process()
  if parent is not None:
    parent.join()
    os._exit(1)
