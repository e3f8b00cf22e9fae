"""Records to batches: the number of a batch gives its clips, sampled, decoded and transformed.

Batch i, its frames and its random transforms depend on the seed and i alone, in whatever order batches are asked for.
"""

import dataclasses
import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import numpy as np

from vidjax.data.augment import TestCrops
from vidjax.data.schema import DamagedRecord, Record
from vidjax.errors import InputError

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

  def train(self, num_frames: int, rng: np.random.Generator, times: np.ndarray | None = None, /) -> np.ndarray:
    """Frame numbers `[T]` of a random clip; `times` `[num_frames]` are the seconds of all frames, where known."""
    ...

  def test(self, num_frames: int, clips: int = 1, times: np.ndarray | None = None, /) -> np.ndarray:
    """Frame numbers `[clips, T]` of the test clips."""
    ...


Transform = Callable[[dict[str, Any], np.random.Generator], dict[str, Any]]
"""Maps a clip {"video": uint8 [T, H, W, 3], "label": int}, as in `vidjax.data.augment`."""


@dataclasses.dataclass(frozen=True, repr=False)
class TrainingBatches:
  """Number of a batch -> this process's share of it, the `share` clips from clip `first` of the batch on.

  Grain handles whole batches: its bookkeeping, shuffle and generators for each clip cost as much as decoding a clip of
  48 x 48 pixels.
  """

  records: "Records"
  sampler: Sampler
  transforms: tuple[Transform, ...]
  batch_size: int
  first: int
  share: int
  seed: int

  def __len__(self) -> int:
    return sys.maxsize // self.batch_size

  def __getitem__(self, index: int) -> dict[str, Any]:
    first = index * self.batch_size + self.first
    places = range(first, first + self.share)
    return _stack(map(self._sample, places, self._generators(places)), self.share)

  def _generators(self, places: range) -> Iterator[np.random.Generator]:
    """For every place in turn the one generator, set to draw from a stretch of 2**192 blocks of its own."""
    rng = np.random.Generator(np.random.Philox(self.seed))
    state = rng.bit_generator.state
    for place in places:
      state["state"]["counter"][3] = place
      rng.bit_generator.state = state
      yield rng

  def _sample(self, place: int, rng: np.random.Generator) -> dict[str, Any]:
    """The clip at a place in training; where its record is damaged, that of the next readable one."""
    length = len(self.records)
    epoch, position = divmod(place, length)
    wanted = int(_permutation(length, self.seed, epoch)[position])
    damage = ""
    for number in range(wanted, wanted + min(length, MAX_DAMAGED_IN_A_ROW)):
      try:
        record = self.records[number % length]
        frames = self.sampler.train(record.num_frames, rng, record.times)
        clip = {"video": record.decode(frames), "label": record.label}
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
class EvalBatches:
  """Number of a batch of the padded split -> this process's share of it, as `TrainingBatches`."""

  records: "Records"
  sampler: Sampler
  crops: TestCrops
  batch_size: int
  first: int
  share: int
  clips: int

  def __len__(self) -> int:
    return -(-len(self.records) // self.batch_size)

  def __getitem__(self, index: int) -> dict[str, Any]:
    first = index * self.batch_size + self.first
    return _stack(map(self._sample, range(first, first + self.share)), self.share)

  def _sample(self, index: int) -> dict[str, Any]:
    damage = ""
    if index < len(self.records):
      try:
        record = self.records[index]
        frames = self.sampler.test(record.num_frames, self.clips, record.times)
        video = record.decode(frames.reshape(-1))
      except DamagedRecord as error:
        damage = str(error)
      else:
        views = self.crops(video.reshape(*frames.shape, *video.shape[1:]))
        return _sample(views, record.label, index, np.repeat(frames, self.crops.crops, 0))
    shape = (self.clips * self.crops.crops, self.sampler.clip_length)
    nothing = np.zeros((*shape, self.crops.size, self.crops.size, 3), np.uint8)
    return _sample(nothing, 0, index if damage else 0, np.zeros(shape), damage, mask=False)


class Records:
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
      record = self._kept[index] = record.plain()
    return record

  def __reduce__(self) -> tuple[type["Records"], tuple[Any, ...]]:
    return Records, (self.source, self._num_classes, self.keep, self._flow)


def _sample(
  video: np.ndarray, label: int, index: int, frames: np.ndarray, damage: str = "", mask: bool = True
) -> dict[str, Any]:
  return {"video": video, "label": label, "mask": mask, "index": index, "frame_index": frames, "damage": damage}


_TYPES = {"label": np.int32, "mask": np.bool_, "index": np.int32, "frame_index": np.int32}


def _stack(samples: Iterable[dict[str, Any]], count: int) -> dict[str, Any]:
  """One batch of so many samples; each clip is copied, while the cache still holds it, and freed before the next.

  `damage`, which only the loader reads, maps the damaged records to what is wrong with them.
  """
  video, rest = np.empty(0), []
  for row, sample in enumerate(samples):
    clip = sample.pop("video")
    if not row:
      video = np.empty((count, *clip.shape), np.uint8)
    if clip.shape != video.shape[1:]:
      sizes = f"{video.shape[1:]} and {clip.shape}"
      raise InputError(f"the transforms leave clips of different sizes, such as {sizes}: end them with a crop")
    video[row] = clip
    rest.append(sample)
  batch = {key: np.array([sample[key] for sample in rest], kind) for key, kind in _TYPES.items()}
  damaged = np.array([sample["damage"] != "" for sample in rest])
  damage = {sample["index"]: sample["damage"] for sample in rest if sample["damage"]}
  return {"video": video, **batch, "damaged": damaged, "damage": damage}
