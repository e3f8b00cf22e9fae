"""What is known of video files before they are read: names, labels, splits and groups."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from vidjax.data.span import Span


@dataclasses.dataclass(frozen=True)
class Film:
  """One video: a file, or a folder of frames.

  Attributes:
    path: where it lies, a file or a folder of frames.
    name: its path as the folder or the list gives it, the stem of its video ids.
    label: name of its class, "" in a split without labels; the rarest of its classes where it may have several.
    labels: names of all of them, None where it has one.
    span: the part of the file that it is, None for all of it; its name then ends in "#" and the span.
    split: name of its split, "" where none is given.
    line: the line of a list that names it, as "list.csv, line 3"; "" in a folder.
    copy_of: name of the first film whose file has the same bytes, "" for that one and for all others.
    group: what the films that must stay in one split have in common; its own name where it is alone.
    size: bytes of its file or files, 0 where that is not known.
  """

  path: pathlib.Path
  name: str
  label: str
  split: str = ""
  line: str = ""
  copy_of: str = ""
  group: str = ""
  labels: tuple[str, ...] | None = None
  span: Span | None = None
  size: int = 0

  @property
  def file(self) -> str:
    """Its name without the span: the same for all parts of a file."""
    return self.name if self.span is None else self.name.removesuffix(f"#{self.span}")

  @property
  def classes(self) -> tuple[str, ...]:
    """The names of its classes, ("",) where they are not known."""
    return (self.label,) if self.labels is None else self.labels

  def __str__(self) -> str:
    """What messages call it."""
    return f"{self.line}: {self.name}" if self.line else self.name


@dataclasses.dataclass(frozen=True)
class Found:
  """What a folder or lists name.

  Attributes:
    films: in an order that depends on their names alone, the films of a group side by side.
    class_names: in the order of the labels.
    strays: names of the files of a folder that lie outside any class folder.
    notes: how a list was read, where that is not plain.
    warnings: what may make the splits worth less.
    missing: one sentence for every file that official lists name and that is not there.
    folds: fold -> name of a film -> its split there; all of them are stored once.
    official: of a published data set: what is stored of it beside the records; empty otherwise.
  """

  films: list[Film]
  class_names: list[str]
  strays: list[str] = dataclasses.field(default_factory=list)
  notes: list[str] = dataclasses.field(default_factory=list)
  warnings: list[str] = dataclasses.field(default_factory=list)
  missing: list[str] = dataclasses.field(default_factory=list)
  folds: Mapping[int, Mapping[str, str]] = dataclasses.field(default_factory=dict)
  official: Mapping[str, Any] = dataclasses.field(default_factory=dict)
