"""Opening a data set by its name: `open_dataset("synthetic_actions/order", "data")`.

A data set is a TFDS folder whose records follow `vidjax.data.schema`; synthetic ones are generated on first use.
"""

import contextlib
import dataclasses
import importlib.util
import json
import pathlib
import re
import tempfile
import threading
from typing import Any

from vidjax.build import locate
from vidjax.data import balance, folds, tfds_videos
from vidjax.data.schema import DESCRIBED, DIGESTS, NO_LABEL, DamagedRecord, Record
from vidjax.digests import check
from vidjax.errors import ConfigError, InputError

BACKBONE = "backbone.json"
"""The file of a data set of features with the SHA-256 of the backbone that made them."""
OFFICIAL = "official.json"
"""The file of a published data set with what is officially known of it."""
REPORT = "report.json"
"""The file of a data set with what became of every file."""
_MAKES = "has a function prepare(variant, data_dir) -> folder"


class Source:
  """Random access to the serialised records of one split; safe to share between threads, cheap to pickle.

  Attributes:
    shards: path and number of records of every file.
    numbers: of the records that the split has, None for all of the files.
    plain: they are completed, see `vidjax.data.tfds_videos`.
  """

  def __init__(self, shards: tuple[tuple[str, int], ...], numbers: tuple[int, ...] | None = None, plain: bool = False):
    self.shards = shards
    self.numbers = numbers
    self.plain = plain
    self._stored = sum(length for _, length in shards)
    self._length = self._stored if numbers is None else len(numbers)
    self._lock = threading.Lock()
    self._reader: Any = None

  def __len__(self) -> int:
    return self._length

  def __getitem__(self, index: int) -> bytes:
    """The record at `index`.

    Raises:
      DamagedRecord: the file is gone or damaged at this place.
    """
    if not 0 <= index < self._length:
      raise IndexError(f"record {index} of a split of {self._length}")
    index = index if self.numbers is None else self.numbers[index]
    try:
      raw = (self._open() if self._reader is None else self._reader)[index]
      return tfds_videos.complete(raw) if self.plain else raw
    except (RuntimeError, ValueError, IndexError, OSError) as error:
      raise DamagedRecord(
        f"record {index} cannot be read from {self._path(index)} ({error}): prepare the data set again"
      ) from error

  def part(self, numbers: tuple[int, ...]) -> "Source":
    """The records of these numbers."""
    chosen = numbers if self.numbers is None else tuple(self.numbers[number] for number in numbers)
    return Source(self.shards, chosen, self.plain)

  @property
  def num_bytes(self) -> int:
    """Size of the files, of a part of their records the same part of it."""
    size = sum(pathlib.Path(path).stat().st_size for path, _ in self.shards)
    return size if self.numbers is None else round(size * self._length / self._stored)

  def __repr__(self) -> str:
    return f"Source({len(self)} records in {pathlib.Path(self.shards[0][0]).parent})"

  def __reduce__(self) -> tuple[type["Source"], tuple[Any, ...]]:
    return Source, (self.shards, self.numbers, self.plain)

  def _open(self) -> Any:
    with self._lock:
      if self._reader is None:
        from array_record.python.array_record_data_source import ArrayRecordDataSource
        from array_record.python.array_record_module import ArrayRecordReader

        for path, length in self.shards:
          held = length
          with contextlib.suppress(RuntimeError, ValueError, OSError):  # damaged: its records tell when they are read
            held = ArrayRecordReader(path).num_records()
          if held and held != length:
            raise ValueError(f"{path} holds {held} records, and the data set's description says {length}")
        self._reader = ArrayRecordDataSource([f"{path}[0:{length}]" for path, length in self.shards])
    return self._reader

  def _path(self, index: int) -> str:
    for path, length in self.shards:
      if index < length:
        return path
      index -= length
    raise IndexError(index)


@dataclasses.dataclass(frozen=True)
class Dataset:
  """What a data set offers.

  Attributes:
    name: the name it was opened by.
    class_names: name of every label, in their order.
    splits: number of records of every split.
    shards: path and number of records of the files of every split.
    holds: the names of what its records hold, each with its shape.
    digests: SHA-256 of what every split holds; empty where it was prepared before there were any.
    report: the report.json of its preparation, None for a data set without one.
    backbone: SHA-256 of the backbone that made its features, "" for a data set of frames.
    fold: the fold whose splits these are, None for a data set without folds.
    numbers: numbers of the stored records of every split of a fold, empty without folds.
    official: what is officially known of a published data set, empty for any other: `source`, its name; `classes`,
      their number; `expected`, videos of every split; `mirrored`, pairs of classes that change places in a mirror.
    plain: it is one of TFDS's own, see `vidjax.data.tfds_videos`.
  """

  name: str
  class_names: list[str]
  splits: dict[str, int]
  shards: dict[str, tuple[tuple[str, int], ...]] = dataclasses.field(repr=False)
  holds: dict[str, tuple[int | None, ...]] = dataclasses.field(default_factory=dict)
  digests: dict[str, str] = dataclasses.field(default_factory=dict)
  report: pathlib.Path | None = dataclasses.field(default=None, repr=False)
  backbone: str = ""
  fold: int | None = None
  numbers: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=dict, repr=False)
  official: dict[str, Any] = dataclasses.field(default_factory=dict, repr=False)
  plain: bool = False

  def films(self, split: str) -> dict[str, str]:
    """The files a split was made of: name -> SHA-256, "" where it was prepared before that was stored.

    Empty for a data set without a report, such as synthetic ones.
    """
    return {entry["file"]: entry.get("source", "") for entry in self.kept(split)}

  def kept(self, split: str) -> list[dict[str, Any]]:
    """What the report says of the files a split was made of; nothing for a data set without one."""
    if self.report is None:
      return []
    try:
      kept = json.loads(self.report.read_text(encoding="utf-8"))["kept"]
      if self.fold is not None:
        kept = [{**entry, "split": entry["folds"].get(str(self.fold))} for entry in kept]
      found = [entry for entry in kept if entry["split"] == split]
      if not all(entry["file"] for entry in found):
        raise ValueError("a file has no name")
      return found
    except (ValueError, KeyError, TypeError) as error:
      raise InputError(f"{self.report} is damaged ({error}): prepare {self.name} again") from error

  def has_labels(self, split: str) -> bool:
    """Whether the videos of a split have labels; preparation gives all of them one or none."""
    try:
      return "labels" in self.holds or Record.parse(self.source(split)[0]).label != NO_LABEL
    except DamagedRecord:
      return True

  def labels(self, split: str) -> balance.Labels:
    """The classes of every record of a split; kept in a file beside the records, once they are read."""
    digest = self.digests.get(split)
    folder = pathlib.Path(self.shards[split][0][0]).parent
    source: Any = self.source(split)
    return balance.read_labels(source, folder / f"labels_{digest[:16]}.json" if digest else None)

  def source(self, split: str) -> Source:
    """The records of a split.

    Raises:
      InputError: there is no such split.
    """
    if split not in self.splits:
      raise InputError(f"{self.name} has no split {split!r}; it has {', '.join(self.splits)}")
    return Source(self.shards[split], self.numbers.get(split), self.plain)


def open_dataset(name: str, data_dir: str, fold: int | None = None) -> Dataset:
  """Opens a data set, generating synthetic ones on first use.

  Args:
    name: "synthetic_actions/order", "synthetic_actions/scene:SHARE", "folder/NAME" and "features/NAME" as prepared by
      `python -m vidjax.prepare`, or the folder of any other TFDS data set of our schema under `data_dir`, or of TFDS's
      own videos ("ucf101/ucf101_1_256"), stored as array_record. One with a
      dot, "my_package.my_source/VARIANT", is a module with `prepare(variant, data_dir) -> folder`, as
      `vidjax.data.synthetic_actions`, which makes the data set on first use.
    data_dir: where prepared data sets lie.
    fold: of a data set that has folds; its splits are those of the fold.

  Raises:
    InputError: no data set of that name, one that vidjax cannot read, or no such fold.
  """
  family, _, variant = name.partition("/")
  if family == "synthetic_actions":
    from vidjax.data import synthetic_actions

    return _of_fold(_read(name, synthetic_actions.prepare(variant, data_dir)), fold)
  if "." in family and not family.startswith("."):
    try:
      prepare = locate(f"{family}.prepare")
    except ConfigError as error:
      reason = re.sub(r"^make=\S+:? ", "", str(error))
      raise InputError(f"data.name={name}: {reason}; a module that makes a data set {_MAKES}") from error
    return _of_fold(_read(name, prepare(variant, data_dir)), fold)
  folder = pathlib.Path(data_dir) / name
  versions = [folder, *folder.glob("*")] if name and not name.startswith((".", "/")) else []
  versions = [version for version in versions if (version / "dataset_info.json").is_file()]
  if not versions:
    raise InputError(_missing(name, data_dir))
  chosen = max(versions, key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)])
  return _of_fold(_read(name, chosen), fold, chosen)


def folds_of(name: str, data_dir: str) -> list[int]:
  """The folds of a prepared data set, none for one without.

  Args:
    name: of the data set.
    data_dir: where prepared data sets lie.
  """
  paths = [*(pathlib.Path(data_dir) / name).glob(folds.FILE), *(pathlib.Path(data_dir) / name).glob(f"*/{folds.FILE}")]
  return sorted(int(fold) for path in paths for fold in folds.read(path.parent))


def _of_fold(dataset: Dataset, fold: int | None, folder: pathlib.Path | None = None) -> Dataset:
  """The data set with the splits of a fold, where it has folds."""
  given = folds.choose(dataset.name, folds.read(folder) if folder else {}, fold)
  if not given:
    return dataset
  (stored, shards), *_ = dataset.shards.items()
  whole = dataset.digests.get(stored, "")
  return dataclasses.replace(
    dataset,
    fold=fold,
    splits={split: len(numbers) for split, numbers in given.items()},
    shards=dict.fromkeys(given, shards),
    numbers={split: tuple(numbers) for split, numbers in given.items()},
    digests={split: folds.digest(whole, numbers) for split, numbers in given.items()},
  )


def _read(name: str, folder: pathlib.Path) -> Dataset:
  """Reads the description of a TFDS data set."""
  import tensorflow_datasets as tfds

  try:
    path = folder / DIGESTS
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    check(folder, found.pop(DESCRIBED, {}))  # older data sets have none
    _check_features(json.loads((folder / "features.json").read_text(encoding="utf-8")))
    with tempfile.TemporaryDirectory() as plainly:
      tfds_videos.copy_description(folder, pathlib.Path(plainly))
      info = tfds.builder_from_directory(plainly).info
    features: Any = info.features
    if info.file_format and info.file_format.value != "array_record":
      raise ValueError(
        f"it is stored as {info.file_format.value}, not array_record, for which `tfds build` has --file_format"
      )
    splits = {
      split: tuple(
        (str(folder / pathlib.Path(path).name), length)
        for path, length in zip(details.filepaths, details.shard_lengths, strict=True)
      )
      for split, details in info.splits.items()
    }
  except Exception as error:  # whatever TFDS or the parsers it uses raise on a damaged description
    raise InputError(f"{folder} is no readable TFDS data set ({error}): remove it and prepare {name} again") from error
  keys = set(features)
  labelled = "label" in keys or "labels" in keys
  content = {"video", "encoded", "features", "packets"}
  plain = tfds_videos.recognised(keys)
  if not plain and (not labelled or not keys >= tfds_videos.OURS or not keys & content):
    raise InputError(f"{folder} does not follow the vidjax record schema (see vidjax.data.schema)")
  gone = [path for shards in splits.values() for path, _ in shards if not pathlib.Path(path).is_file()]
  if gone:
    raise InputError(f"{gone[0]} is missing: remove {folder} and prepare {name} again")
  lengths = {split: sum(length for _, length in shards) for split, shards in splits.items()}
  report = next((path for path in (folder / REPORT, folder.parent / REPORT) if path.is_file()), None)
  holds = {key: tuple(feature.shape or ()) for key, feature in features.items()}
  classes = features["label"] if "label" in keys else features["labels"].feature
  made = folder / BACKBONE
  backbone = json.loads(made.read_text(encoding="utf-8"))["sha256"] if made.is_file() else ""
  path = folder / OFFICIAL
  official = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
  return Dataset(
    name, list(classes.names), lengths, splits, holds, found, report, backbone, official=official, plain=plain
  )


def _check_features(described: Any) -> None:
  """Raises a ValueError where a description names other classes than TFDS's own features: TFDS would import them."""
  if isinstance(described, dict):
    name = described.get("pythonClassName", "")
    if name and not str(name).startswith("tensorflow_datasets.core.features."):
      raise ValueError(f"features.json names {name}, which is none of TFDS's own features")
    described = list(described.values())
  if isinstance(described, list):
    for part in described:
      _check_features(part)


def _missing(name: str, data_dir: str) -> str:
  root, family = pathlib.Path(data_dir), name.partition("/")[0]
  own = family in ("folder", "features") or not family.isidentifier() or (root / family).is_dir()
  if not own and importlib.util.find_spec(family):
    return (
      f"data.name={name}: {root.absolute()} has no folder {family}, and a module that makes a data set lies in a"
      f" package, as in my_package.{family}/VARIANT, and {_MAKES}"
    )
  infos = [*root.glob("*/*/dataset_info.json"), *root.glob("*/*/*/dataset_info.json")]
  prepared = sorted({info.parent.parent.relative_to(root).as_posix() for info in infos})
  synthetic = "synthetic_actions/{order,order:48,scene:.5,scene:.7,scene:.9,sparse,repeat}"
  found = [prefix for prefix in prepared if not prefix.startswith("synthetic_actions/")]
  begun = (root / name).with_name(f".{pathlib.PurePath(name).name}.shards")
  if name.startswith("folder/") and begun.is_dir():
    return f"a preparation of {name!r} was begun in {root.absolute()} and is not complete: repeat its command"
  message = f"there is no data set {name!r} in {root.absolute()} (run from the repository root, or give"
  message += f" --config.data.dir; --data_dir to evaluate); there is {', '.join([*found, synthetic])}"
  if name.startswith("folder/"):
    target = name.removeprefix("folder/") or "NAME"
    what = f"folder --videos=DIR --name={target}"
    if (pathlib.Path(__file__).parent / "sources" / f"{target}.py").is_file():
      what = f"{target} --source=DIR"
    message += f". Prepare it with: python -m vidjax.prepare {what} --data_dir={data_dir}"
  if name.startswith("features/"):
    what = f"features --workdir=RUN --data=DATA --name={name.removeprefix('features/') or 'NAME'}"
    message += f". Prepare it with: python -m vidjax.prepare {what} --data_dir={data_dir} (--help has the rest)"
  return message
