"""Writing data sets: TFDS folders of array_record files, filled all at once or not at all."""

import contextlib
import fcntl
import itertools
import pathlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from vidjax.data import schema
from vidjax.errors import InputError

VERSION = "1.0.0"
_RECORDS_PER_FILE = 256


def write_records(
  folder: pathlib.Path,
  name: str,
  splits: Iterable[str],
  examples: Iterable[tuple[str, Mapping[str, Any]]],
  class_names: Iterable[str],
  optional: Iterable[str] = (),
  encoding: str = "jpeg",
) -> None:
  """Writes (split, example) pairs in their order; `tfds.builder_from_directory(folder)` reads them.

  Streams to disk, where the shuffling writer of a TFDS builder holds up to 1 GB in memory and then needs TensorFlow.

  Args:
    folder: where the files go, an empty folder.
    name: "DATA_SET/CONFIG".
    splits: names of the splits.
    examples: see `vidjax.data.schema.example`.
    class_names: see `vidjax.data.schema.features`, as the next two.
    optional: names of the optional features.
    encoding: "jpeg" or "video".

  Raises:
    InputError: the disk is full.
  """
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core.dataset_info import DatasetIdentity

  dataset, _, config = name.partition("/")
  identity = DatasetIdentity(dataset, tfds.core.Version(VERSION), str(folder), module_name=__name__, config_name=config)
  info = tfds.core.DatasetInfo(builder=identity, features=schema.features(list(class_names), optional, encoding))
  writer = tfds.core.SequentialWriter(info, _RECORDS_PER_FILE, file_format="array_record")
  writer.initialize_splits(list(splits))
  examples = iter(examples)
  while some := list(itertools.islice(examples, 16)):  # the writer renews the description after every call
    with _write_errors(folder):
      writer.add_examples({split: [example for s, example in some if s == split] for split, _ in some})
  with _write_errors(folder):
    writer.close_all()


@contextlib.contextmanager
def _write_errors(folder: pathlib.Path) -> Iterator[None]:
  """Turns what array_record raises on a full disk into an error that says so."""
  try:
    yield
  except RuntimeError as error:
    reason = str(error).partition(";")[0]
    raise InputError(f"cannot write to {folder} ({reason}): free some space or choose another folder") from error


def fill_folder(folder: pathlib.Path, fill: Callable[[pathlib.Path], object], overwrite: bool = False) -> bool:
  """Makes `folder` by calling `fill` with a temporary one and renaming that when it is complete.

  Nothing is done where the folder is there already, unless `overwrite`; the old one then stays until the new one is
  complete. A second process that wants the same folder waits for the first. What a killed process left is removed.

  Returns:
    Whether `fill` was called.
  """
  folder.parent.mkdir(parents=True, exist_ok=True)
  partial, old = (folder.with_name(f".{folder.name}.{suffix}") for suffix in ("partial", "old"))
  with open(folder.with_name(f".{folder.name}.lock"), "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    if folder.is_dir() and not overwrite:
      return False
    try:
      for rest in (partial, old):
        shutil.rmtree(rest, ignore_errors=True)
      partial.mkdir()
      fill(partial)
      if folder.is_dir():
        folder.rename(old)
      partial.rename(folder)
      return True
    finally:
      for rest in (partial, old):
        shutil.rmtree(rest, ignore_errors=True)
