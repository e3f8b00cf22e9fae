"""Records to batches: the number of a batch gives its clips, sampled, decoded and transformed.

Batch i, its frames and its random transforms depend on the seed and i alone, in whatever order batches are asked for.
"""

import dataclasses
import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import numpy as np

from vidjax.data.records import Records
from vidjax.data.schema import DamagedRecord
from vidjax.errors import InputError
from vidjax.types import Sampler

MAX_DAMAGED_IN_A_ROW = 100


Order = Callable[[int, int, int], np.ndarray]
"""Length, seed and number of an epoch -> the numbers of its records, int64 `[length]`."""
Transform = Callable[[dict[str, Any], np.random.Generator], dict[str, Any]]
"""Maps a clip {"video": uint8 [T, H, W, C], "label": int or bool [K]}, as in `vidjax.data.augment`."""


class Views(Protocol):
  """Cuts the views of a test, as `vidjax.data.augment.TestCrops`.

  Attributes:
    crops: views of a clip.
    size: side of a view in pixels.
  """

  @property
  def crops(self) -> int:
    """See above."""
    ...

  @property
  def size(self) -> int:
    """See above."""
    ...

  def __call__(self, video: np.ndarray, /) -> np.ndarray:
    """`[..., T, H, W, C]` -> `[views, T, size, size, C]`."""
    ...


@dataclasses.dataclass(frozen=True, repr=False)
class TrainingBatches:
  """Number of a batch -> this process's share of it, the `share` clips from clip `first` of the batch on.

  Grain handles whole batches: its bookkeeping, shuffle and generators for each clip cost as much as decoding a clip of
  48 x 48 pixels.

  Attributes:
    records: of the split.
    sampler: chooses the frames of a clip.
    transforms: change clips on the host, in this order.
    batch_size: clips of a batch, of all processes together.
    first: place in the batch where this process's share begins.
    share: clips of this process.
    seed: of the order of the records and of all that is drawn.
    order: of the records of an epoch.
    repeats: clips in a row of one record, the same frames transformed each in its own way (Hoffer et al., CVPR 2020).
  """

  records: Records
  sampler: Sampler
  transforms: tuple[Transform, ...]
  batch_size: int
  first: int
  share: int
  seed: int
  order: Order
  repeats: int = 1

  def __len__(self) -> int:
    return sys.maxsize // self.batch_size

  def __getitem__(self, index: int) -> dict[str, Any]:
    first = index * self.batch_size + self.first
    return _stack(self._samples(range(first, first + self.share)), self.share)

  def _samples(self, places: range) -> Iterator[dict[str, Any]]:
    """The clips at these places in training. Each place draws from a stretch of 2**192 blocks of its own."""
    rng = np.random.Generator(np.random.Philox(self.seed))
    state = rng.bit_generator.state

    def draw_for(place: int) -> None:
      state["state"]["counter"][3] = place
      rng.bit_generator.state = state

    sample: dict[str, Any] = {}
    for place in places:
      number, repeat = divmod(place, self.repeats)
      if not sample or not repeat:
        draw_for(place - repeat)
        sample = self._read(number, rng)
      if repeat:
        draw_for(place)
      clip = {"video": sample["video"], "label": sample["label"]}
      for transform in self.transforms:
        clip = transform(clip, rng)
      yield {**sample, **clip}

  def _read(self, number: int, rng: np.random.Generator) -> dict[str, Any]:
    """What is read as that record of training; where it is damaged, the next readable one stands in its place."""
    length = len(self.records)
    epoch, position = divmod(number, length)
    wanted = int(_ordered(self.order, length, self.seed, epoch)[position])
    damage = ""
    for number in range(wanted, wanted + min(length, MAX_DAMAGED_IN_A_ROW)):
      try:
        record, film = self.records[number % length]
        frames = self.sampler.train(film.num_frames, rng, film.times)
        video, label = film.decode(frames), self.records.label(record)
        break
      except DamagedRecord as error:
        damage = damage or str(error)
    else:
      raise InputError(f"no readable record in {self.records.source} from number {wanted} on: {damage}")
    return _sample(video, label, wanted, frames, damage) | self.records.of_frames(record, frames)


def shuffled(length: int, seed: int, epoch: int) -> np.ndarray:
  """The order in which each record comes once in an epoch.

  Args:
    length: number of records.
    seed: of the training.
    epoch: its number.
  """
  return np.random.default_rng((seed, epoch)).permutation(length)


@functools.lru_cache(maxsize=4)
def _ordered(order: Order, length: int, seed: int, epoch: int) -> np.ndarray:
  return order(length, seed, epoch)


@dataclasses.dataclass(frozen=True, repr=False)
class EvalBatches:
  """Number of a batch of the padded split -> this process's share of it, as `TrainingBatches`.

  Attributes:
    records: of the split; masked samples fill its last batch.
    sampler: chooses the frames of the test clips.
    crops: makes the views of a clip.
    batch_size: videos of a batch, of all processes together.
    first: place in the batch where this process's share begins.
    share: videos of this process.
    clips: test clips of a video; with the crops of each they give `V` views.
  """

  records: Records
  sampler: Sampler
  crops: Views
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
        record, film = self.records[index]
        frames = self.sampler.test(film.num_frames, self.clips, film.times)
        video = film.decode(frames.reshape(-1))
      except DamagedRecord as error:
        damage = str(error)
      else:
        views = self.crops(video.reshape(*frames.shape, *video.shape[1:]))
        frames = np.repeat(frames, self.crops.crops, 0)
        return _sample(views, self.records.label(record), index, frames) | self.records.of_frames(record, frames)
    stream, views = self.records.stream, self.clips * self.crops.crops
    frames = np.zeros((views, self.sampler.clip_length), np.int64)
    nothing = np.zeros((views, *stream.clip_shape(frames.shape[1], self.crops.size)), stream.dtype)
    label = self.records.label(None)
    return _sample(nothing, label, index if damage else 0, frames, damage, mask=False) | self.records.of_frames(
      None, frames
    )


def _sample(
  video: np.ndarray, label: int | np.ndarray, index: int, frames: np.ndarray, damage: str = "", mask: bool = True
) -> dict[str, Any]:
  return {"video": video, "label": label, "mask": mask, "index": index, "frame_index": frames, "damage": damage}


_TYPES = {"mask": np.bool_, "index": np.int32, "frame_index": np.int32}


def _stack(samples: Iterable[dict[str, Any]], count: int) -> dict[str, Any]:
  """One batch of that many samples; each clip is copied, while the cache still holds it, and freed before the next.

  `damage`, which only the loader reads, maps the damaged records to what is wrong with them.
  """
  video, rest = np.empty(0), []
  for row, sample in enumerate(samples):
    clip = sample.pop("video")
    if not row:
      video = np.empty((count, *clip.shape), clip.dtype)
    if clip.shape != video.shape[1:]:
      sizes = f"{video.shape[1:]} and {clip.shape}"
      raise InputError(f"the transforms leave clips of different sizes, such as {sizes}: end them with a crop")
    video[row] = clip
    rest.append(sample)
  batch = {key: np.array([sample[key] for sample in rest], _TYPES.get(key)) for key in rest[0] if key != "damage"}
  batch["label"] = batch["label"].astype(np.int32 if batch["label"].ndim == 1 else np.bool_)
  damaged = np.array([sample["damage"] != "" for sample in rest])
  damage = {sample["index"]: sample["damage"] for sample in rest if sample["damage"]}
  return {"video": video, **batch, "damaged": damaged, "damage": damage}
