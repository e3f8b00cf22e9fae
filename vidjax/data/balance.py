"""Sets whose classes are not equally frequent: epochs that draw classes evenly, weights, and parts that keep shares."""

import contextlib
import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Sequence

import numpy as np

from vidjax.console import say
from vidjax.data.schema import NO_LABEL, DamagedRecord, Record
from vidjax.errors import InputError
from vidjax.files import write_text

MANY = 5000
"""Records from which on the user is told that their labels are read."""

Labels = Sequence[Sequence[int]]
"""The classes of each record: one, any number of them, or none."""


@dataclasses.dataclass(frozen=True, eq=False)
class Balanced:
  """Orders epochs in which every class comes equally often, in place of `vidjax.data.batches.shuffled`.

  An epoch is as long as the split. Of a class with few records each comes several times, of one with many some do not
  come; which, and the order, depends on seed and epoch alone.

  Attributes:
    labels: int `[N]`, the class of every record. A record below 0 has none, such as a damaged one, and never comes.
  """

  labels: np.ndarray

  def __call__(self, length: int, seed: int, epoch: int) -> np.ndarray:
    """Numbers of records, int64 `[length]`.

    Args:
      length: of an epoch.
      seed: of the training.
      epoch: its number.
    """
    rng = np.random.default_rng((seed, epoch))
    classes = np.unique(self.labels[self.labels >= 0])
    share, rest = divmod(length, len(classes))
    longer = set(rng.permutation(classes)[:rest].tolist())
    chosen: list[np.ndarray] = []
    for label in classes.tolist():
      numbers = np.flatnonzero(self.labels == label)
      wanted = share + (label in longer)
      rounds = [rng.permutation(numbers) for _ in range(-(-wanted // len(numbers)))]
      chosen.append(np.concatenate([numbers[:0], *rounds])[:wanted])
    return rng.permutation(np.concatenate(chosen))


def read_labels(source: Sequence[bytes], kept: pathlib.Path | None = None) -> Labels:
  """The classes of every record; reads all of them, unless `kept` holds what was found before.

  A record that is damaged has none.

  Args:
    source: the serialised records.
    kept: a file beside the records, which is written if that is allowed and no record is damaged.
  """
  if kept is not None and kept.is_file():
    with contextlib.suppress(ValueError, OSError, KeyError, TypeError):
      stored = json.loads(kept.read_text(encoding="utf-8"))
      if len(stored["labels"]) == len(source) and stored["sha256"] == _digest(stored["labels"]):
        return stored["labels"]
  if len(source) >= MANY:
    say(f"reading the labels of {len(source):,} records")
  found, whole = [], True
  for number in range(len(source)):
    try:
      record = Record.parse(source[number])
      found.append([record.label] if record.labels is None else record.labels.tolist())
    except DamagedRecord:
      found.append([])
      whole = False
  if kept is not None and whole:
    with contextlib.suppress(OSError):  # a folder that is read only
      write_text(kept, json.dumps({"labels": found, "sha256": _digest(found)}) + "\n")
  return found


def _digest(labels: Labels) -> str:
  return hashlib.sha256(json.dumps(labels).encode()).hexdigest()


def part(labels: Labels, fraction: float, seed: int) -> tuple[int, ...]:
  """The records of a part that keeps the shares of the classes, ascending; a smaller part lies in a larger one.

  Of each class it holds the fraction, rounded, and at least one record. One with several classes counts for the rarest.
  Damaged records, which have no label at all, are in no part of a split.

  Args:
    labels: of every record.
    fraction: above 0, up to 1.
    seed: chooses the records.
  """
  rarest, sound = _rarest(labels), np.array([len(own) > 0 for own in labels])
  found: list[int] = []
  for label in np.unique(rarest[sound]).tolist():
    numbers = np.flatnonzero((rarest == label) & sound)
    order = np.random.default_rng((seed, label + 1)).permutation(numbers)  # NO_LABEL is -1
    found += order[: max(int(fraction * len(numbers) + 0.5), 1)].tolist()
  return tuple(sorted(found))


def one_each(labels: Labels, what: str) -> np.ndarray:
  """The class of every record, int64 `[N]`.

  Args:
    labels: of every record.
    what: begins the message.

  Raises:
    InputError: a record has several classes, or none has any.
  """
  if any(len(own) > 1 for own in labels):
    raise InputError(f"{what} takes one class a video, and here one has several: leave it out")
  found = np.array([own[0] if own else NO_LABEL for own in labels], np.int64)
  if not (found >= 0).any():
    raise InputError(f"{what}: the training split has no labels: leave it out")
  return found


def weights(labels: np.ndarray, num_classes: int) -> tuple[float, ...]:
  """Of every class, in inverse proportion to its records; the mean over records is 1. A class without any has 1.

  Args:
    labels: int `[N]`, the class of every record; those below 0 do not count.
    num_classes: K.
  """
  counts = np.bincount(labels[labels >= 0], minlength=num_classes)
  there = counts > 0
  each = counts.sum() / (there.sum() * np.maximum(counts, 1))
  return tuple(np.where(there, each, 1.0).tolist())


def _rarest(labels: Labels) -> np.ndarray:
  """The class of every record, of several that with the fewest records, int64 `[N]`."""
  counts: dict[int, int] = {}
  for own in labels:
    for label in own:
      counts[label] = counts.get(label, 0) + 1
  return np.array([min(own, key=lambda x: (counts[x], x)) if own else NO_LABEL for own in labels], np.int64)
