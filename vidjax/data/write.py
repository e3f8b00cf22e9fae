"""Writing data sets: TFDS folders of array_record files, filled all at once or not at all."""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from array_record.python.array_record_module import ArrayRecordWriter

from vidjax.data import schema
from vidjax.digests import of_files
from vidjax.errors import InputError, tidy_at_sigterm

VERSION = "1.0.0"
_RECORDS_PER_FILE = 256
_OPTIONS = "group_size:1,uncompressed"
"""JPEGs hardly compress, and uncompressed records are read twice as fast as with the zstd of TFDS's writer."""


def check_name(name: str) -> None:
  """Raises an InputError unless a name can be that of a data set and of its folder."""
  if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,99}", name, re.ASCII):
    raise InputError(
      f"--name={name[:100]}: use up to 100 letters, digits, '.', '-' and '_', and begin with a letter or a digit"
    )


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
  features = schema.features(list(class_names), optional, encoding, width)
  serialize = serializer(features)
  files: dict[str, list[RecordFile]] = {split: [] for split in splits}
  for split, example in examples:
    own = files[split]
    if not own or own[-1].records == _RECORDS_PER_FILE:
      for full in own[-1:]:
        full.close()
      own.append(RecordFile(record_path(folder, name, split, len(own))))
    own[-1].write(serialize(example), example)
  for own in files.values():
    for last in own[-1:]:
      last.close()
  describe(folder, name, features, {split: [file.written for file in own] for split, own in files.items() if own})


class Written(NamedTuple):
  """What a file of records holds.

  Attributes:
    records: their number.
    num_bytes: of all of them.
    digests: the SHA-256 of each example in hexadecimal, one after the other.
  """

  records: int
  num_bytes: int
  digests: str


class RecordFile:
  """A new file of records; `records` is their number so far."""

  def __init__(self, path: pathlib.Path):
    self._path = path
    self.records = 0
    self._num_bytes = 0
    self._digests: list[str] = []
    with _write_errors(path.parent):
      self._writer = ArrayRecordWriter(str(path), _OPTIONS)

  def write(self, record: bytes, example: Mapping[str, Any]) -> None:
    """Adds the record of an example.

    Args:
      record: as `serializer` makes it.
      example: what it was made of.
    """
    with _write_errors(self._path.parent):
      self._writer.write(record)
    self.records += 1
    self._num_bytes += len(record)
    digest = hashlib.sha256()
    for key, value in sorted(example.items()):  # not of the record: protobuf may write it otherwise one day
      for part in value if isinstance(value, list) else (value,):
        content = part if isinstance(part, bytes) else repr(np.asarray(part).tolist()).encode()
        digest.update(f"{key} {len(content)} ".encode() + content)
    self._digests.append(digest.hexdigest())

  def close(self) -> None:
    """Ends the file."""
    with _write_errors(self._path.parent):
      self._writer.close()

  @property
  def written(self) -> Written:
    """What it holds."""
    return Written(self.records, self._num_bytes, "".join(self._digests))


def serializer(features: Any) -> Callable[[Mapping[str, Any]], bytes]:
  """The function from an example to its record, the same bytes in every process; `features` are the data set's."""
  from tensorflow_datasets.core.example_serializer import ExampleSerializer

  serialize = ExampleSerializer(features.get_serialized_info()).serialize_example
  message = schema.example_message()

  def record(example: Mapping[str, Any]) -> bytes:
    made = serialize(features.encode_example(example))
    return message.FromString(made).SerializeToString(deterministic=True)  # TFDS leaves the order to the process

  return record


def record_path(folder: pathlib.Path, name: str, split: str, number: int) -> pathlib.Path:
  """Where TFDS looks for a file of records.

  Args:
    folder: of the data set.
    name: "DATA_SET/CONFIG".
    split: name of the split.
    number: of the file, from 0.
  """
  return pathlib.Path(_template(folder, name, split).sharded_filepath(shard_index=number, num_shards=None))


def describe(folder: pathlib.Path, name: str, features: Any, splits: Mapping[str, Sequence[Written]]) -> None:
  """Writes what TFDS and we read before the first record: the features, the splits' files and their digests.

  Args:
    folder: where the files of records lie, each at its `record_path`.
    name: "DATA_SET/CONFIG".
    features: of the data set.
    splits: split -> what each of its files holds.

  Raises:
    InputError: the disk is full.
  """
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core.dataset_info import DatasetIdentity
  from tensorflow_datasets.core.splits import SplitDict

  dataset, _, config = name.partition("/")
  identity = DatasetIdentity(dataset, tfds.core.Version(VERSION), str(folder), module_name=__name__, config_name=config)
  info = tfds.core.DatasetInfo(builder=identity, features=features)
  info.set_file_format("array_record")
  found, digests = [], {}
  for split, files in splits.items():
    size = sum(file.num_bytes for file in files)
    lengths = [file.records for file in files]
    found.append(tfds.core.SplitInfo(split, lengths, size, _template(folder, name, split)))
    digests[split] = hashlib.sha256("".join(file.digests for file in files).encode()).hexdigest()
  info.set_splits(SplitDict(found))
  with _write_errors(folder):
    info.write_to_directory(folder)
  described = of_files(folder, sorted(path.name for path in folder.iterdir() if path.suffix in (".json", ".txt")))
  text = json.dumps({**digests, schema.DESCRIBED: described})
  (folder / schema.DIGESTS).write_text(text + "\n", encoding="utf-8")


def _template(folder: pathlib.Path, name: str, split: str) -> Any:
  import tensorflow_datasets as tfds

  pattern = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_INDEX}"
  place: Any = folder
  return tfds.core.ShardedFileTemplate(place, pattern, name.partition("/")[0], split, "array_record")


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
  with lock(folder):
    if folder.is_dir() and not overwrite:
      return False
    replace_folder(folder, fill)
    return True


def replace_folder(folder: pathlib.Path, fill: Callable[[pathlib.Path], object]) -> None:
  """`fill_folder` for the one who holds its `lock`: replaces a folder that is there.

  Args:
    folder: where the result goes.
    fill: writes the contents.
  """
  partial, old = (folder.with_name(f".{folder.name}.{suffix}") for suffix in ("partial", "old"))
  try:
    for rest in (partial, old):
      shutil.rmtree(rest, ignore_errors=True)
    partial.mkdir()
    fill(partial)
    if folder.is_dir():
      folder.rename(old)
    partial.rename(folder)
  finally:
    for rest in (partial, old):
      shutil.rmtree(rest, ignore_errors=True)


def commit(partial: pathlib.Path, folder: pathlib.Path) -> None:
  """Gives a folder of files its name once all of it is on the disk, so that whatever has the name is whole.

  Args:
    partial: the folder, on the same disk.
    folder: its name, which no other has.
  """
  sync(partial)
  partial.rename(folder)
  _sync(folder.parent)


def sync(folder: pathlib.Path) -> None:
  """Waits until a folder and all in it are on the disk."""
  for path in (*folder.rglob("*"), folder):
    _sync(path)


def _sync(path: pathlib.Path) -> None:
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


@contextlib.contextmanager
def lock(folder: pathlib.Path, shared: bool = False) -> Iterator[None]:
  """Keeps others from filling a folder meanwhile; waits for those who do. SIGTERM then ends the block as Ctrl-C does.

  The lock is `flock` on a file beside the folder. Between machines it works where the file system passes it on: NFS
  from version 4, Lustre mounted with `flock`.

  Args:
    folder: to be filled; its parents are made.
    shared: let others in who ask for a shared lock, too.
  """
  folder.parent.mkdir(parents=True, exist_ok=True)
  with tidy_at_sigterm(), _lock(folder.with_name(f".{folder.name}.lock"), shared):
    yield


@contextlib.contextmanager
def _lock(path: pathlib.Path, shared: bool = False) -> Iterator[None]:
  """Holds a lock that lasts as long as its file: who waited for one that is gone by then makes the next."""
  while True:
    with path.open("w") as file:
      fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
      try:
        same = os.path.samestat(os.fstat(file.fileno()), path.stat())
      except FileNotFoundError:
        same = False
      if not same:
        continue
      try:
        yield
      finally:
        with contextlib.suppress(BlockingIOError):  # the last of those who share it removes it
          fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
          path.unlink(missing_ok=True)
      return
