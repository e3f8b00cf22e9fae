"""The records of a split as the clips of a batch need them: parsed, checked, and shown by a stream."""

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from vidjax.data.schema import DamagedRecord, Record
from vidjax.data.streams import Frames
from vidjax.errors import InputError
from vidjax.types import FRAMEWISE, Film, Stream


class Source(Protocol):
  """Random access to serialised records."""

  def __len__(self) -> int: ...

  def __getitem__(self, index: int, /) -> bytes: ...


class Records:
  """The records of a source, and the film that a stream makes of each; `records[i]` is both.

  Attributes:
    source: of the serialised records.
    stream: what clips are made of.
  """

  def __init__(
    self,
    source: Source,
    stream: Stream | None = None,
    *,
    num_classes: int | None = None,
    several: bool = False,
    labelled: bool = True,
    wanted: Iterable[str] = (),
    keep: bool = False,
  ):
    """Opens nothing yet.

    Args:
      source: of the serialised records.
      stream: what clips are made of (default: frames).
      num_classes: a record with a label outside 0 to `num_classes - 1` counts as damaged (default: not checked).
      several: a video has any number of labels; they take a row of `num_classes`.
      labelled: whether labels are read and checked at all.
      wanted: those of FRAMEWISE that batches hold, too.
      keep: hold every record in memory once it is read; a pickle leaves them out.
    """
    self.source = source
    self.stream: Stream = stream or Frames()
    self._options: dict[str, Any] = {
      "num_classes": num_classes, "several": several, "labelled": labelled, "wanted": tuple(wanted), "keep": keep
    }  # fmt: skip
    self._num_classes = num_classes
    self._several = several
    self._labelled = labelled
    self._wanted = [name for name in wanted if name in FRAMEWISE]
    self._keep = keep
    self._kept: dict[int, tuple[Record, Film]] = {}

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, index: int) -> tuple[Record, Film]:
    kept = self._kept.get(index)
    if kept is not None:
      return kept
    record = Record.parse(self.source[index])
    self._check(record)
    film = self.stream.of(record)
    if isinstance(film, Record):  # what the clips do not need is let go
      record = film = film.plain() if self._keep else film
    if self._keep:
      self._kept[index] = record, film
    return record, film

  def __reduce__(self) -> tuple[Any, ...]:
    return _again, (self.source, self.stream, self._options)

  def label(self, record: Record | None) -> int | np.ndarray:
    """The label of a record, or which of the K classes it has, bool `[K]`; None for padding."""
    if not self._several:
      return record.label if record else 0
    row = np.zeros(self._num_classes or 0, bool)
    if record is not None and record.labels is not None:
      row[record.labels] = True
    return row

  def of_frames(self, record: Record | None, frames: np.ndarray) -> dict[str, np.ndarray]:
    """What the task asks of each frame that was read, in the shape of `frames`.

    Args:
      record: the record, None for padding.
      frames: numbers of the frames, int `[...]`.
    """
    found: dict[str, np.ndarray] = {}
    for name in self._wanted:
      values = getattr(record, name) if record else np.zeros(1, np.int64)
      if values is None:
        raise InputError(f"{record and record.video_id} holds no {name}, which the task asks for")
      if name == "key_frames":
        found[name] = np.isin(frames, values) & (record is not None)
      else:
        found[name] = values[frames].astype(np.int32)
    return found

  def _check(self, record: Record) -> None:
    """Raises a DamagedRecord for labels that there cannot be."""
    if self._num_classes is None or not self._labelled:
      return
    labels = [record.label] if record.labels is None else record.labels.tolist()
    wrong = [label for label in labels if not 0 <= label < self._num_classes]
    if wrong:
      raise DamagedRecord(
        f"the record of {record.video_id} has the label {wrong[0]}, but there are {self._num_classes} classes: "
        "prepare the data set again"
      )


def _again(source: Source, stream: Stream, options: dict[str, Any]) -> Records:
  return Records(source, stream, **options)
