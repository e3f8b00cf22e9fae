"""A data set as shards: runs of films that are read and written by themselves, each of them whole or not at all.

What makes a preparation survive, on one machine or many:

- The list of films decides all that is shared before the first one is read: their order, their splits
  (`splits.divide`) and the shard of each (`plan`). So a shard is a function of its films and the settings alone.
- A shard is a folder, `.NAME.shards/00012`: a file of records for each split, and `shard.json` with what became of
  every film. It is written under another name, synced and renamed. What has its name is complete, whoever wrote it.
- `.NAME.shards/settings/settings.json` says what all shards are made with; other settings are an error. Every shard
  names the digest of its settings. A shard of other settings, which a slow process may still write, does not count.
- Which films cannot be read is known in the end alone. Where they leave a split without a class, `splits.mend` moves a
  group: a function of the list and the refusals. Only the shards that hold it are made again.
- The set is closed (`vidjax.prepare.store`) once all shards are there: reports joined in their order, files of records
  linked to the names TFDS gives them, all under the set's own name by one renaming. Until then nothing opens.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import math
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import av
import cv2

from vidjax.data import schema, write
from vidjax.data.copies import digest_of
from vidjax.data.films import Film, Found
from vidjax.data.read_film import Kept, Storage
from vidjax.data.workers import NoSpace, Workers, in_order, spooled
from vidjax.errors import InputError

MOST = 512
"""Shards of a data set: a training holds a file of each open, and systems allow 1024."""
FEWEST_FILMS = 16
"""Films of a shard; what is killed loses one shard's."""
SETTINGS = "settings.json"
_LAYOUT = 1
_DONE = "shard.json"

Shard = tuple[int, tuple[Film, ...]]
"""Its number and its films."""
Tell = Callable[[Film, str], None]
"""Told of every film that is done, and why it was refused, "" where it was not."""


@dataclasses.dataclass(frozen=True)
class Work:
  """What all shards of a data set are made with.

  Attributes:
    folder: of the shards.
    name: "folder/NAME".
    settings: what may not differ between them, as messages call it.
    storage: how films are stored.
    class_names: in the order of the labels.
    optional: names of the optional features of records.
  """

  folder: pathlib.Path
  name: str
  settings: Mapping[str, str]
  storage: Storage
  class_names: tuple[str, ...]
  optional: tuple[str, ...]

  @property
  def digest(self) -> str:
    """SHA-256 of the settings."""
    return hashlib.sha256(json.dumps(dict(self.settings), sort_keys=True).encode()).hexdigest()

  @property
  def features(self) -> Any:
    """The TFDS features of the data set."""
    return schema.features(self.class_names, self.optional, self.storage.encoding)


@dataclasses.dataclass(frozen=True)
class Done:
  """What is known of a shard that is there.

  Attributes:
    kept: what the report says of every film that is in it, in their order.
    refused: name of every film that is not, and why.
    files: split -> what its file of records holds.
  """

  kept: list[dict[str, Any]]
  refused: dict[str, str]
  files: dict[str, write.Written]


def work_of(found: Found, target: pathlib.Path, storage: Storage, fractions: Mapping[str, float] | None = None) -> Work:
  """What the shards of the films are made with.

  Args:
    found: the films, divided.
    target: folder of the data set.
    storage: how films are stored.
    fractions: share of every split, where the films came without.
  """
  lines = [
    json.dumps([f.name, f.label, f.labels, f.split, f.group, f.copy_of, str(f.span or ""), f.size]) for f in found.films
  ]
  settings = {
    f"--{name}": f"{value:.12g}" if isinstance(value, float) else str(value)  # 18 and 18.0 are one setting
    for name, value in dataclasses.asdict(storage).items()
  }
  settings |= {
    "--split": ",".join(f"{split}:{share:g}" for split, share in (fractions or {}).items()) or "None",
    "the list of videos": _short(len(lines), [*lines, json.dumps([found.folds, found.official], sort_keys=True)]),
    "the classes": _short(len(found.class_names), found.class_names),
    "PyAV": av.__version__,
    "OpenCV": cv2.__version__,
    "the layout": str(_LAYOUT),
  }
  optional = ["times", *["flow"] * storage.flow, *["labels"] * any(film.labels is not None for film in found.films)]
  return Work(folder_of(target), f"folder/{target.name}", settings, storage, tuple(found.class_names), tuple(optional))


def folder_of(target: pathlib.Path) -> pathlib.Path:
  """Where the shards of a data set lie until it is closed."""
  return target.with_name(f".{target.name}.shards")


def _short(count: int, lines: Iterable[str]) -> str:
  digest = hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()
  return f"{count} with the digest {digest[:16]}"


def plan(films: Sequence[Film]) -> list[Shard]:
  """The shards of a data set: films side by side."""
  length = max(FEWEST_FILMS, math.ceil(len(films) / MOST))
  return [(number, tuple(films[start : start + length])) for number, start in enumerate(range(0, len(films), length))]


def begin(work: Work, overwrite: bool) -> None:
  """Makes the folder of the shards, or checks that those in it are made with the same settings.

  Args:
    work: what they are made with.
    overwrite: drop those of other settings.

  Raises:
    InputError: they are of other settings.
  """
  with write.lock(work.folder):
    there = settings_of(work.folder / "settings")
    if there == dict(work.settings):
      return
    if there and not overwrite:
      names = [name for name in {**there, **work.settings} if there.get(name) != work.settings.get(name)]
      differ = "; ".join(f"{name}: {there.get(name)} there, {work.settings.get(name)} here" for name in names)
      raise InputError(
        f"a preparation of {work.name} was begun with other settings ({differ}): repeat its command to resume it, pass"
        " --overwrite to drop it, or choose another --name"
      )
    shutil.rmtree(work.folder, ignore_errors=True)
    work.folder.mkdir()
    partial = pathlib.Path(tempfile.mkdtemp(prefix=".settings.", dir=work.folder))
    write_settings(work, partial)
    write.commit(partial, work.folder / "settings")


def write_settings(work: Work, folder: pathlib.Path) -> None:
  """Writes `SETTINGS`.

  Args:
    work: whose settings they are.
    folder: where the file goes.
  """
  (folder / SETTINGS).write_text(json.dumps(dict(work.settings), indent=1) + "\n", encoding="utf-8")


def settings_of(folder: pathlib.Path) -> dict[str, str] | None:
  """What the shards of a folder, or a data set, were made with; None where that is not known."""
  try:
    return json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
  except (FileNotFoundError, NotADirectoryError, ValueError):
    return None


def read(work: Work, number: int) -> Done | None:
  """The shard of that number; None where it is not there, or not of this work.

  Args:
    work: what it is made with.
    number: of the shard.
  """
  try:
    found = json.loads((_folder(work, number) / _DONE).read_text(encoding="utf-8"))
    if found.pop("settings") != work.digest:
      return None
    files = {split: write.Written(*written) for split, written in found["files"].items()}
    return Done(found["kept"], found["refused"], files)
  except (FileNotFoundError, ValueError, KeyError, TypeError):
    return None


def missing(work: Work, shards: Iterable[Shard]) -> list[Shard]:
  """Those of the shards that are not there.

  Args:
    work: what they are made with.
    shards: of the plan.
  """
  return [shard for shard in shards if read(work, shard[0]) is None]


def make(
  work: Work,
  shards: Sequence[Shard],
  timeout: float,
  workers: int = 1,
  threads: int = 1,
  tell: Tell = lambda film, reason: None,
) -> None:
  """Reads films in processes of their own and writes their shards, one after the other; those that are there stay.

  Args:
    work: what they are made with.
    shards: to be made.
    timeout: seconds a file may take from one frame to the next before it is refused.
    workers: number of files decoded at once.
    threads: decoder threads of each.
    tell: told of every film.

  Raises:
    InputError: they cannot be written.
  """
  serialize = write.serializer(work.features)
  with (
    tempfile.TemporaryDirectory(prefix=".films.", dir=work.folder, ignore_cleanup_errors=True) as spools,
    Workers(timeout, threads) as processes,
  ):

    def read_one(film: Film) -> tuple[Kept, str]:
      return processes.read(film, work.storage, spool(film)), digest_of(film.path).hex()

    def spool(film: Film) -> pathlib.Path:
      return pathlib.Path(spools) / hashlib.sha256(film.name.encode(errors="surrogateescape")).hexdigest()

    with contextlib.closing(in_order(read_one, (film for _, films in shards for film in films), workers)) as films:
      for number, own in shards:
        prefix = f".{number:05d}."
        with tempfile.TemporaryDirectory(prefix=prefix, dir=work.folder, ignore_cleanup_errors=True) as partial:
          folder = pathlib.Path(partial) / "shard"
          folder.mkdir()
          results = ((film, future, spool(film)) for film, future in itertools.islice(films, len(own)))
          _write(work, folder, results, serialize, tell)
          _name(work, number, folder)


def _write(
  work: Work,
  folder: pathlib.Path,
  results: Iterable[tuple[Film, Future[tuple[Kept, str]], pathlib.Path]],
  serialize: Callable[[Mapping[str, Any]], bytes],
  tell: Tell,
) -> None:
  """Fills the folder of a shard."""
  done = Done([], {}, {})
  files: dict[str, write.RecordFile] = {}
  for film, future, spool in results:
    try:
      kept, source = future.result()
    except NoSpace:
      raise
    except InputError as error:
      spool.unlink(missing_ok=True)
      done.refused[film.name] = f"{film.line}: {error}" if film.line else str(error)
    else:
      if film.split not in files:
        files[film.split] = write.RecordFile(_records(folder, film.split))
      for example in spooled(spool):
        files[film.split].write(serialize(example), example)
      names = [label for label in film.classes if label]
      entry = {"file": film.name, "split": film.split, "labels": names, "group": film.group, **vars(kept)}
      done.kept.append({**entry, "copy_of": film.copy_of, "source": source})
    tell(film, done.refused.get(film.name, ""))
  for split, file in files.items():
    file.close()
    done.files[split] = file.written
  text = json.dumps({"settings": work.digest, **dataclasses.asdict(done)})
  (folder / _DONE).write_text(text + "\n", encoding="utf-8")


def _name(work: Work, number: int, folder: pathlib.Path) -> None:
  """Gives a complete shard its name, unless another process was faster."""
  target = _folder(work, number)
  if read(work, number) is None:
    shutil.rmtree(target, ignore_errors=True)
    try:
      write.commit(folder, target)
    except OSError:
      if read(work, number) is None:
        raise


def drop(work: Work, number: int) -> None:
  """Removes a shard.

  Args:
    work: what it is made with.
    number: of the shard.
  """
  shutil.rmtree(_folder(work, number))


def link(work: Work, number: int, split: str, path: pathlib.Path) -> None:
  """Makes the records of a shard a file of the data set.

  Args:
    work: what it is made with.
    number: of the shard.
    split: one it has records of.
    path: the file; a copy where the file system has no links.
  """
  source = _records(_folder(work, number), split)
  try:
    path.hardlink_to(source)
  except OSError:
    shutil.copyfile(source, path)


def _folder(work: Work, number: int) -> pathlib.Path:
  return work.folder / f"{number:05d}"


def _records(folder: pathlib.Path, split: str) -> pathlib.Path:
  return folder / f"{split}.array_record"
