"""Batches for training and evaluation: Grain makes them in threads or processes, in one order for any of them.

Training batches are endless. Every epoch is a fresh permutation of the records (`order`) and batches run on across its
border, so each record is read once per epoch whatever the batch size; with `repeats` it gives several clips. Batch i
depends on the seed and i alone (see `vidjax.data.batches`): resuming is `batches(start=i)`. Changing the batch size or
the repeats redefines the batches.
"""

import contextlib
import dataclasses
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

import cv2
import grain
import numpy as np

from vidjax.data.batches import EvalBatches, Order, TrainingBatches, Transform, Views, shuffled
from vidjax.data.records import Records, Source
from vidjax.data.schema import DamagedRecord, Record
from vidjax.errors import InputError
from vidjax.types import Sampler

logger = logging.getLogger(__name__)


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

  def names(self, batch: Mapping[str, np.ndarray]) -> list[str]:
    """The videos of a batch by their ids; reads its `index`."""
    return [video_id(self.source, int(number)) for number in batch["index"]]

  def batches(self, start: int = 0) -> Generator[dict[str, np.ndarray], None, None]:
    """Yields `types.Batch` from batch `start` on; close the generator to stop the workers at once.

    A damaged record is logged once, and the next readable one stands in its place under `index` of the damaged one.

    Raises:
      InputError: more than `max_damaged` of the records are damaged.
    """
    damaged: set[int] = set()
    with _workers(self.dataset[start:], self.num_threads, self.num_processes) as iterator:
      for batch in iterator:
        for index, reason in batch.pop("damage").items():
          if index not in damaged:
            damaged.add(index)
            logger.warning("training record %d is replaced by the next: %s", index, reason)
          if len(damaged) > self.max_damaged * len(self.source):
            raise InputError(
              f"at least {len(damaged)} of {len(self.source)} training records are damaged, more than the "
              f"{self.max_damaged:.3g} allowed by data.max_damaged (last: {reason}): replace them, or allow a larger"
              " share by --config.data.max_damaged"
            )
        yield batch


def train_loader(
  records: Records,
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
  order: Order = shuffled,
  repeats: int = 1,
) -> TrainLoader:
  """Makes the loader of training batches.

  Args:
    records: of the split.
    sampler: draws the frames of a clip.
    transforms: applied in turn to each clip; the last must leave clips of one size.
    batch_size: clips in a batch over all processes.
    seed: of the order, the frames and the transforms; in `[0, 2**32)`.
    num_threads: threads that each make a batch (default: the CPU cores, at most 16); 0 reads in the caller's thread.
    num_processes: worker processes to use in place of threads.
    process_index: number of this process among `process_count` that train together; each reads its share of every
      batch, and the shares in the order of the processes are the batch that one process alone would read.
    process_count: number of processes that train together.
    max_damaged: share of the records that may be damaged before training stops.
    order: of the records of an epoch, such as a `vidjax.data.balance.Balanced`.
    repeats: clips of each record in a batch, each transformed in its own way; an epoch still reads each record once.

  Raises:
    InputError: sizes that do not fit each other.
  """
  share = _share(batch_size, process_index, process_count)
  if not 0 <= seed < 2**32:
    raise InputError(f"seed={seed} is outside 0 to 2**32 - 1")
  if batch_size % repeats:
    raise InputError(f"train.batch_size={batch_size} must be a multiple of data.repeats={repeats}: change one of them")
  if repeats * len(records) < batch_size:
    times = f" {repeats} times" * (repeats > 1)
    raise InputError(
      f"{len(records)} training records{times} do not fill a batch of {batch_size}: lower train.batch_size"
    )
  first = process_index * share
  batches = TrainingBatches(records, sampler, tuple(transforms), batch_size, first, share, seed, order, repeats)
  dataset = grain.MapDataset.source(batches)
  threads = _default_threads() if num_threads is None else num_threads
  per_epoch = repeats * len(records) // batch_size
  return TrainLoader(dataset, records.source, per_epoch, threads, num_processes, max_damaged)


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
    """Yields `types.Batch` with views: video `[B, V, T, H, W, C]`, clip by clip and within it crop by crop.

    Every record comes once. `mask` is False on the padding of the last batch and on damaged records.

    Raises:
      InputError: a record is damaged and `skip_damaged` is not set.
    """
    self.damaged.clear()
    with _workers(self._dataset, self._num_threads) as iterator:
      for batch in iterator:
        damage = batch.pop("damage")
        if damage and not self._skip_damaged:
          remedy = "--skip_damaged, or in training --config.data.skip_damaged=True, evaluates without such records"
          raise InputError(f"{next(iter(damage.values()))} ({remedy})")
        self.damaged.update(damage)
        yield batch


def eval_loader(
  records: Records,
  sampler: Sampler,
  crops: Views,
  batch_size: int,
  *,
  clips: int = 1,
  num_threads: int | None = None,
  process_index: int = 0,
  process_count: int = 1,
  skip_damaged: bool = False,
) -> EvalLoader:
  """Makes the loader of one pass over a split, in its order.

  Args:
    records: of the split.
    sampler: chooses the frames of each clip.
    crops: cuts each clip into spatial views.
    batch_size: records in a batch over all processes; the last batch is padded.
    clips: clips of each video.
    num_threads: threads that each make a batch (default: the CPU cores, at most 16); 0 reads in the caller's thread.
    process_index: number of this process among `process_count`, which share every batch as in training.
    process_count: number of processes that evaluate together.
    skip_damaged: leave damaged records out (`mask` False) in place of an error.

  Raises:
    InputError: sizes that do not fit each other.
  """
  share = _share(batch_size, process_index, process_count)
  if clips < 1:
    raise InputError(f"clips={clips}: evaluation needs at least one clip of each video")
  if not len(records):
    raise InputError("there are no records to evaluate: choose another split")
  first = process_index * share
  batches = EvalBatches(records, sampler, crops, batch_size, first, share, clips)
  dataset = grain.MapDataset.source(batches)
  return EvalLoader(dataset, len(records), _default_threads() if num_threads is None else num_threads, skip_damaged)


def video_id(source: Source, index: int) -> str:
  """The video of a record, or its number where that cannot be read.

  Args:
    source: the serialised records.
    index: position of the record.
  """
  try:
    return Record.parse(source[index]).video_id
  except DamagedRecord:
    return f"record {index}"


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
  for number in (signal.SIGINT, signal.SIGTERM):  # the trainer's to handle, which needs batches until it has saved
    signal.signal(number, signal.SIG_IGN)
  threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
  """Ends a worker whose trainer was killed (PR_SET_PDEATHSIG would act when Grain's starting thread ends)."""
  parent = multiprocessing.parent_process()
  if parent is not None:
    parent.join()
    os._exit(1)
