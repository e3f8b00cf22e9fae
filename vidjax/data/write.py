"""Writing data sets: TFDS folders of array_record files, filled all at once or not at all."""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from array_record.python.array_record_module import ArrayRecordWriter

from vidjax.data import schema
from vidjax.digests import of_files
from vidjax.errors import InputError, tidy_at_sigterm

VERSION = "1.0.0"
_RECORDS_PER_FILE = 256
_OPTIONS = "group_size:1,uncompressed"
"""JPEGs hardly compress, and uncompressed records are read twice as fast as with the zstd of TFDS's writer."""


def write_records(
  folder: pathlib.Path,
  name: str,
  splits: Iterable[str],
  examples: Iterable[tuple[str, Mapping[str, Any]]],
  class_names: Iterable[str],
  optional: Iterable[str] = (),
  encoding: str = "jpeg",
  width: int = 0,
) -> None:
  """Writes (split, example) pairs in their order; `tfds.builder_from_directory(folder)` reads them.

  The same examples make the same files, byte by byte. The digests of the splits go to `schema.DIGESTS`. Streams to
  disk, where the shuffling writer of a TFDS builder holds up to 1 GB in memory and then needs TensorFlow; and not
  compressed, as TFDS's other writer, the sequential one, would.

  Args:
    folder: where the files go, an empty folder.
    name: "DATA_SET/CONFIG".
    splits: names of the splits; one without an example is left out.
    examples: see `vidjax.data.schema.example`.
    class_names: see `vidjax.data.schema.features`, as the next two.
    optional: names of the optional features.
    encoding: "jpeg", "video" or "features".
    width: numbers of each feature.

  Raises:
    InputError: the disk is full.
  """
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core.dataset_info import DatasetIdentity
  from tensorflow_datasets.core.example_serializer import ExampleSerializer
  from tensorflow_datasets.core.splits import SplitDict

  dataset, _, config = name.partition("/")
  identity = DatasetIdentity(dataset, tfds.core.Version(VERSION), str(folder), module_name=__name__, config_name=config)
  features: Any = schema.features(list(class_names), optional, encoding, width)
  info = tfds.core.DatasetInfo(builder=identity, features=features)
  info.set_file_format("array_record")
  serializer = ExampleSerializer(features.get_serialized_info())
  message = schema.example_message()
  files = {split: _Files(folder, dataset, split) for split in splits}
  for split, example in examples:
    record = serializer.serialize_example(features.encode_example(example))
    record = message.FromString(record).SerializeToString(deterministic=True)  # TFDS leaves the order to the process
    with _write_errors(folder):
      files[split].write(record, example)
  with _write_errors(folder):
    filled = {split: one for split, one in files.items() if one.filled}
    info.set_splits(SplitDict([one.close() for one in filled.values()]))
    info.write_to_directory(folder)
    digests = {split: one.digest.hexdigest() for split, one in filled.items()}
    described = of_files(folder, sorted(path.name for path in folder.iterdir() if path.suffix in (".json", ".txt")))
    text = json.dumps({**digests, schema.DESCRIBED: described})
    (folder / schema.DIGESTS).write_text(text + "\n", encoding="utf-8")


def seal(folder: pathlib.Path, names: Iterable[str]) -> None:
  """Adds digests of files, their paths from the records' folder, to those that are checked when the set is opened.

  Args:
    folder: of the records.
    names: the files, their paths from that folder.
  """
  path = folder / schema.DIGESTS
  found = json.loads(path.read_text(encoding="utf-8"))
  found[schema.DESCRIBED] |= of_files(folder, names)
  path.write_text(json.dumps(found) + "\n", encoding="utf-8")


class _Files:
  """The record files of one split."""

  def __init__(self, folder: Any, dataset: str, split: str):
    import tensorflow_datasets as tfds

    pattern = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_INDEX}"
    self._name = tfds.core.ShardedFileTemplate(folder, pattern, dataset, split, "array_record")
    self._split = split
    self._lengths: list[int] = []
    self._num_bytes = 0
    self._writer: Any = None
    self.digest = hashlib.sha256()

  @property
  def filled(self) -> bool:
    """Whether it holds a record."""
    return bool(self._lengths)

  def write(self, record: bytes, example: Mapping[str, Any]) -> None:
    """Adds the record of an example, in a new file where the last one is full."""
    if not self._lengths or self._lengths[-1] == _RECORDS_PER_FILE:
      self._end_file()
      path = self._name.sharded_filepath(shard_index=len(self._lengths), num_shards=None)
      self._writer = ArrayRecordWriter(str(path), _OPTIONS)
      self._lengths.append(0)
    self._writer.write(record)
    self._lengths[-1] += 1
    self._num_bytes += len(record)
    for key, value in sorted(example.items()):  # not of the record: protobuf may write it otherwise one day
      for part in value if isinstance(value, list) else (value,):
        content = part if isinstance(part, bytes) else repr(np.asarray(part).tolist()).encode()
        self.digest.update(f"{key} {len(content)} ".encode() + content)

  def close(self) -> Any:
    """Ends the last file and returns the `tfds.core.SplitInfo`."""
    import tensorflow_datasets as tfds

    self._end_file()
    return tfds.core.SplitInfo(self._split, self._lengths, self._num_bytes, self._name)

  def _end_file(self) -> None:
    if self._writer is not None:
      self._writer.close()
    self._writer = None


@contextlib.contextmanager
def _write_errors(folder: pathlib.Path) -> Iterator[None]:
  """Turns what array_record raises on a full disk into an error that says so."""
  try:
    yield
  except RuntimeError as error:
    reason = str(error).partition(";")[0]
    raise InputError(f"cannot write to {folder} ({reason}): free some space or choose another folder") from error


def fill_folder(folder: pathlib.Path, fill: Callable[[pathlib.Path], object], overwrite: bool = False) -> bool:
  """Makes a folder by calling `fill` with a temporary one and renaming that when it is complete.

  Nothing is done where the folder is there already, unless `overwrite`; the old one then stays until the new one is
  complete. A second process that asks for the same folder waits for the first. What a killed process left is removed,
  and so is the lock file in the end.

  Args:
    folder: where the result goes; its parents are made.
    fill: writes the contents into the empty folder that it is given.
    overwrite: replace a folder that is there.

  Returns:
    Whether `fill` was called.
  """
  folder.parent.mkdir(parents=True, exist_ok=True)
  partial, old = (folder.with_name(f".{folder.name}.{suffix}") for suffix in ("partial", "old"))
  with tidy_at_sigterm(), _lock(folder.with_name(f".{folder.name}.lock")):
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


@contextlib.contextmanager
def _lock(path: pathlib.Path) -> Iterator[None]:
  """Holds a lock that lasts as long as its file: who waited for one that is gone by then makes the next."""
  while True:
    with path.open("w") as file:
      fcntl.flock(file, fcntl.LOCK_EX)
      try:
        same = os.path.samestat(os.fstat(file.fileno()), path.stat())
      except FileNotFoundError:
        same = False
      if not same:
        continue
      try:
        yield
      finally:
        path.unlink(missing_ok=True)
      return
