"""A run: what a config describes, built; and the folder of a run, opened again for evaluation or prediction."""

import dataclasses
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidjax import digests, trust
from vidjax.build import build, locate, nearest
from vidjax.data import class_words, identity
from vidjax.data.augment import Flip, TestCrops
from vidjax.data.batches import Sampler, Transform
from vidjax.data.dataset import Dataset, open_dataset
from vidjax.data.loader import EvalLoader, TrainLoader, eval_loader, train_loader
from vidjax.data.unlabelled import WithUnlabelled
from vidjax.errors import ConfigError, InputError
from vidjax.train.checkpoint import check_shapes, load_variables, shapes
from vidjax.train.device_augment import Normalise
from vidjax.train.loop import Settings
from vidjax.types import Tree

MADE = ("sampler", "test", "normalise", "model", "blend", "optimizer", "schedule")
PLAIN = ("data", "init", "train")
LISTS = ("transforms", "device_transforms", "losses")
SECTIONS = ("seed", *MADE, *PLAIN, *LISTS)
ROOMS = {
  "vidjax.data.sampling.": "sampler",
  "vidjax.data.augment.": "transforms",
  "vidjax.data.rand_augment.RandAugment": "transforms",
  "vidjax.data.augment.TestCrops": "test",
  "vidjax.train.device_augment.": "device_transforms",
  "vidjax.train.device_augment.Normalise": "normalise",
  "vidjax.networks.": "model",
  "vidjax.losses.": "losses",
  "vidjax.train.multitask.": "blend",
  "vidjax.train.optimizer.make_optimizer": "optimizer",
  "vidjax.train.schedules.": "schedule",
}
"""Where vidjax keeps what a section makes; of several that fit the longest counts."""

Contents = dict[str, dict[str, Any]]
"""Split -> {"records", "sha256"} of a data set."""

FREE = (
  "data.dir",
  "data.num_threads",
  "data.num_processes",
  "data.memory_mb",
  "data.skip_damaged",
  "train.log_every",
  "train.checkpoint_every",
)
FREE += ("train.devices", "train.fsdp", "train.keep_best")
"""Keys that may change when a run goes on: they change nothing that is computed."""


@dataclasses.dataclass(frozen=True)
class DataSettings:
  """The `data` part of a config.

  Attributes:
    name: as `open_dataset` takes it.
    dir: folder of all data sets.
    stream: "video" makes clips of frames; "flow" of the stored flow images, one fewer, for `vidjax.inputs.stored_flow`.
    train_split: the split to train on.
    validation_split: the split to validate on.
    unlabelled: clips added to each training batch without their labels, for losses that need none.
    unlabelled_split: the split they come from.
    num_threads: threads that decode batches.
    num_processes: worker processes in place of the threads.
    max_damaged: share of damaged training records that stops the run.
    skip_damaged: validate without damaged records, in place of an error.
    memory_mb: a training split of at most so many MB is held in memory once read (in each worker process).
  """

  name: str
  dir: str = "data"
  stream: str = "video"
  train_split: str = "train"
  validation_split: str = "validation"
  unlabelled: int = 0
  unlabelled_split: str = "train"
  num_threads: int = 2
  num_processes: int = 0
  max_damaged: float = 0.01
  skip_damaged: bool = False
  memory_mb: int = 1024

  def __post_init__(self):
    for name in ("unlabelled", "num_threads", "num_processes", "max_damaged", "memory_mb"):
      if not getattr(self, name) >= 0:
        raise ConfigError(f"data.{name}={getattr(self, name)}: must not be negative")
    if self.stream not in ("video", "flow"):
      raise ConfigError(f"data.stream={self.stream!r} is neither 'video' nor 'flow'")


def section(config: Mapping[str, Any], name: str, make: str, **extra: Any) -> Any:
  """Builds a section of a config whose class is given (`data`, `train`)."""
  return build({"make": make, **dict(config[name])}, **extra)


def check_sections(config: Mapping[str, Any]) -> None:
  """Raises ConfigError unless the config has every section and no other, and lists where lists are wanted."""
  for name in config:
    if name not in SECTIONS:
      raise ConfigError(f"config has no section {name!r}{nearest(name, SECTIONS)}")
  missing = [name for name in SECTIONS if name not in config]
  if missing:
    raise ConfigError(f"config lacks {', '.join(missing)}: start from configs/default.py")
  for name in MADE:
    if not isinstance(config[name], Mapping) or "make" not in config[name]:
      raise ConfigError(f"config.{name}={config[name]!r}: must be a mapping with the key 'make'")
  for name in PLAIN:
    if not isinstance(config[name], Mapping):
      raise ConfigError(f"config.{name}={config[name]!r}: must be a mapping, as in configs/default.py")
  for name in LISTS:
    parts = config[name]
    if not isinstance(parts, (list, tuple)) or not all(isinstance(part, Mapping) and "make" in part for part in parts):
      raise ConfigError(f"config.{name}={parts!r}: must be a tuple of mappings with the key 'make'")
  for name in (*MADE, *LISTS):
    for part in config[name] if name in LISTS else (config[name],):
      _check_room(name, part["make"])


def _check_room(section: str, make: Any) -> None:
  """Raises ConfigError where something of vidjax is made in a section that it does not belong to."""
  if not str(make).startswith("vidjax."):
    return
  homes = [room for room in ROOMS if make.startswith(room)]
  if not homes:
    if not callable(locate(make)):  # these and misspelt names have messages of their own
      return
    rooms = " or ".join(room.rstrip(".") for room, name in ROOMS.items() if name == section)
    raise ConfigError(f"config.{section}: {make} does not belong there; choose from {rooms}")
  home = ROOMS[max(homes, key=len)]
  if home != section:
    raise ConfigError(f"config.{section}: {make} belongs to config.{home}")


class Run:
  """What a config describes.

  Attributes:
    config: plain nested dicts.
    settings: the `train` section.
    data: the `data` section.
    flow: whether clips are of stored flow images.
    class_names: K names in the order of the labels.
    network: built for K classes.
    sampler: chooses frames.
    transforms: of the clips of the training, without those that would change a label.
    notes: sentences about what was left out, for the user.
    test_crops: cuts the views of evaluation.
    normalise: uint8 clips to normalised floats, on the device.
    dtype: of the computation.
    trained_data: name of the data set of the training, `data.name` unless `open_run` was given another.
    workdir: the run's folder, where it has one.
    variables: `{"params", "batch_stats"}`, where a checkpoint was opened.
    step: of that checkpoint.
  """

  def __init__(self, config: Mapping[str, Any], class_names: list[str] | None = None):
    """Builds everything but the data; `class_names` are those of the data set unless given."""
    check_sections(config)
    self.config = config
    self.settings: Settings = section(config, "train", "vidjax.train.loop.Settings")
    self.data: DataSettings = section(config, "data", "vidjax.run.DataSettings")
    self.flow = self.data.stream == "flow"
    if self.flow and self._changes_colours():
      raise ConfigError(
        f"data.stream=flow: {self._changes_colours()} would change the motion in flow images: leave it out"
      )
    self._dataset: Dataset | None = None
    self.class_names = class_names or self.dataset.class_names
    self.network: nn.Module = build(config["model"], num_classes=len(self.class_names))
    self.sampler: Sampler = build(config["sampler"])
    self.transforms, self.notes = self._fit_to_classes(build(config["transforms"]))
    test = build(config["test"])
    if not isinstance(test, TestCrops):
      raise ConfigError(f"config.test.make={config['test']['make']!r}: must be vidjax.data.augment.TestCrops")
    self.test_crops = dataclasses.replace(test, flow=self.flow)
    self.normalise: Normalise = build(config["normalise"])
    self.dtype = jnp.dtype(self.settings.dtype)
    self.trained_data = self.data.name
    self.workdir: pathlib.Path | None = None
    self.variables: Mapping[str, Tree] = {}
    self.step = 0

  def _fit_to_classes(self, transforms: Sequence[Transform]) -> tuple[list[Transform], list[str]]:
    """The transforms as they suit the class names, and what was done in words."""
    fitted: list[Transform] = []
    notes: list[str] = []
    for number, part in enumerate(transforms):
      if not isinstance(part, Flip):
        fitted.append(part)
        continue
      swap = class_words.numbered(part.swap, self.class_names)
      swapped = {self.class_names[label] for pair in swap for label in pair}
      left = [name for name in class_words.directed(self.class_names, vertical=not swap) if name not in swapped]
      if part.probability and left and not part.whatever_names:
        notes.append(
          f"no mirror flips: class names tell left from right ({_some(left)}). --config.transforms[{number}].swap="
          "\"(('A','B'),)\" flips and exchanges the labels A and B; .whatever_names=True flips all the same"
        )
      else:
        fitted.append(dataclasses.replace(part, swap=swap, flow=self.flow))
    coloured = class_words.coloured(self.class_names)
    if coloured and self._changes_colours():
      notes.append(
        f"warning: {self._changes_colours()} changes colours, and class names differ in them ({_some(coloured)})"
      )
    return fitted, notes

  def _changes_colours(self) -> str:
    """The first transform of the config that changes colours, "" without one."""
    found = re.search("RandAugment|ColorJitter", str((self.config["transforms"], self.config["device_transforms"])))
    return found[0] if found else ""

  def crops(self, count: int) -> TestCrops:
    """The crops of a test with `count` views of each clip.

    Raises:
      InputError: ten views, five of them mirrored, where class names tell left from right.
    """
    directed = class_words.directed(self.class_names)
    if count == 10 and directed:
      raise InputError(
        f"10 crops hold 5 mirrored ones, and class names tell left from right ({_some(directed)}): take 5"
      )
    return dataclasses.replace(self.test_crops, crops=count)

  @property
  def dataset(self) -> Dataset:
    """The data set, opened (synthetic ones: made) on first use."""
    if self._dataset is None:
      dataset = open_dataset(self.data.name, self.data.dir)
      if self.flow and not dataset.has_flow:
        raise InputError(
          f"data.stream=flow: {self.data.name} holds no flow, which python -m vidjax.prepare folder --flow stores"
        )
      self._dataset = dataset
    return self._dataset

  @property
  def contents(self) -> Contents:
    """What tells the data set from another preparation of it."""
    splits, digests = self.dataset.splits, self.dataset.digests
    return {split: {"records": records, "sha256": digests.get(split, "")} for split, records in splits.items()}

  @property
  def trained_on(self) -> identity.Trained:
    """The files of the training split, by which a video that was trained on is known again."""
    films = self.dataset.films(self.data.train_split) if self.data.train_split in self.dataset.splits else {}
    return {self.data.name: films} if films else {}

  def overlap(self, split: str) -> str:
    """A sentence where videos of a split are ones the run was trained on, or where that cannot be told; else ""."""
    trained, path = identity.read(self.workdir or ""), (self.workdir or pathlib.Path()) / "data.json"
    films = self.dataset.films(split)
    shared = identity.overlap(trained or {}, self.data.name, films)
    if shared:
      return (
        f"{len(shared)} of the {len(films)} videos of split {split!r} are ones that {self.workdir} was trained on (such"
        f" as {shared[0]}): the accuracy on them says nothing about other videos"
      )
    if self.data.name != self.trained_data:
      return ""
    if split == self.data.train_split and not films:
      return f"{self.workdir} was trained on split {split!r}: the accuracy says nothing about other videos"
    then = json.loads(path.read_text(encoding="utf-8")) if path.is_file() and not (trained and films) else {}
    if then and then != self.contents:
      return (
        f"{self.data.name} was prepared again since {self.workdir} was trained on it, and not with the same videos in"
        " every split: some of these may be ones it was trained on"
      )
    return ""

  def labels_here(self) -> np.ndarray:
    """The run's number of every label of the data set, int `[K']`, found by the class names.

    Raises:
      InputError: the data set has a class that the run does not know.
    """
    there, trained = self.dataset.class_names, self.class_names
    odd = [name for name in there if name not in trained]
    if odd:
      raise InputError(
        f"{self.data.name} has {len(there)} classes, and this run, trained with {len(trained)}, does not know"
        f" {len(odd)} of them (such as {', '.join(odd[:3])}): evaluate on classes it knows, or train again"
      )
    return np.array([trained.index(name) for name in there], np.int64)

  def check_labels(self, split: str) -> None:
    """Raises an InputError where the videos of a split have no labels."""
    if split in self.dataset.splits and not self.dataset.has_labels(split):
      raise InputError(
        f"split {split!r} of {self.data.name} has no labels: choose another one, or"
        " python -m vidjax.evaluate --submission=OUT.csv to have it scored elsewhere"
      )

  @property
  def clip_shape(self) -> tuple[int, int, int, int]:
    """`[T, H, W, C]` of a clip as the network sees it."""
    return self.sampler.clip_length, self.test_crops.size, self.test_crops.size, 3

  def train_loader(self, batch_size: int) -> TrainLoader:
    """Batches of the training split, this process's share."""
    return self._train_loader(self.data.train_split, batch_size, self.config["seed"])

  def training_loader(self, batch_size: int) -> TrainLoader | WithUnlabelled:
    """`train_loader`, with `data.unlabelled` more clips a batch where asked for."""
    labelled = self.train_loader(batch_size)
    if not self.data.unlabelled:
      return labelled
    mixing = [part["make"] for part in self.config["device_transforms"] if part["make"].endswith(("Mixup", "CutMix"))]
    if mixing:
      raise ConfigError(f"data.unlabelled={self.data.unlabelled}: {mixing[0]} would mix in clips without a label")
    seed = (self.config["seed"] + 1) % 2**32  # another order than that of the same records with their labels
    return WithUnlabelled(labelled, self._train_loader(self.data.unlabelled_split, self.data.unlabelled, seed, False))

  def _train_loader(self, split: str, batch_size: int, seed: int, labelled: bool = True) -> TrainLoader:
    source = self.dataset.source(split)
    return train_loader(
      source,
      self.sampler,
      self.transforms,
      batch_size,
      seed,
      num_threads=self.data.num_threads,
      num_processes=self.data.num_processes,
      max_damaged=self.data.max_damaged,
      num_classes=len(self.class_names) if labelled else None,
      keep_records=source.num_bytes <= 1e6 * self.data.memory_mb,
      flow=self.flow,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
    )

  def eval_loader(
    self,
    split: str | None = None,
    batch_size: int = 32,
    *,
    clips: int = 1,
    crops: int = 1,
    skip_damaged: bool = False,
    labelled: bool = True,
  ) -> EvalLoader:
    """One pass over a split (the validation split unless named), this process's share.

    Labels are those of the data set, see `labels_here`. Raises InputError where the data set has classes that the run
    does not know, or is not there, or the split has no labels unless `labelled` is False.
    """
    if labelled:
      self.check_labels(split or self.data.validation_split)
    self.labels_here()
    return eval_loader(
      self.dataset.source(split or self.data.validation_split),
      self.sampler,
      self.crops(crops),
      batch_size,
      clips=clips,
      num_threads=self.data.num_threads,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
      skip_damaged=skip_damaged,
      num_classes=len(self.dataset.class_names) if labelled else None,
      flow=self.flow,
    )


def _some(names: Sequence[str]) -> str:
  """The first names of a list."""
  return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")


def open_run(
  workdir: str | pathlib.Path,
  checkpoint: str | int = "best",
  data_dir: str | None = None,
  data: str | None = None,
  size: int | None = None,
  short_side: int | None = None,
  trusted: bool = False,
) -> Run:
  """Opens a run's folder with the variables of one of its checkpoints.

  Args:
    workdir: the folder.
    checkpoint: "best", "last" or a step.
    data_dir: where the data sets lie now, if not where they lay in training.
    data: another data set than that of the training, of the same classes or some of them.
    size: side of the test crop in pixels, in place of the config's.
    short_side: to which frames are resized before that crop, in place of the config's.
    trusted: lets the config make anything, see `vidjax.trust`.
  """
  workdir = pathlib.Path(workdir)
  config, class_names = read_folder(workdir)
  trust.check(config, workdir / "config.json", trusted)
  check_sections(config)
  trained_data, trained_size = config["data"]["name"], config["test"].get("size")
  config["data"] |= {key: value for key, value in (("dir", data_dir), ("name", data)) if value is not None}
  config["test"] |= {key: value for key, value in (("size", size), ("short_side", short_side)) if value is not None}
  try:
    run = Run(config, class_names)
  except ConfigError as error:
    raise ConfigError(f"{workdir / 'config.json'}: {error}") from error
  run.workdir, run.trained_data = workdir, trained_data
  run.variables, run.step = load_variables(workdir, checkpoint)
  fresh = jax.eval_shape(lambda: run.network.init(jax.random.key(0), jnp.zeros((1, *run.clip_shape)), False))
  wanted = {"params": fresh["params"], "batch_stats": fresh.get("batch_stats", {})}
  remedy = f"; config.json or class_names.txt in {workdir} is not that of the training: put it back"
  if run.test_crops.size != trained_size:
    remedy = f"; its parameters depend on the size of the crops: leave out size={size}, it has {trained_size}"
  check_shapes(shapes(run.variables), shapes(wanted), f"the checkpoint of step {run.step}", remedy)
  return run


def make_folder(workdir: pathlib.Path) -> None:
  """Makes a run's folder; raises InputError where there can be none."""
  if workdir.is_file():
    raise InputError(f"{workdir} is a file: choose another --workdir")
  if set("[\\") & set(str(workdir.absolute())):  # it takes them for a pattern and finds nothing
    raise InputError(f"{workdir}: Orbax cannot read from a path with '[' or a backslash: choose another --workdir")
  workdir.mkdir(parents=True, exist_ok=True)


def write_folder(
  workdir: pathlib.Path, config: Mapping[str, Any], class_names: list[str], contents: Contents | None = None
) -> None:
  """Writes `config.json`, `class_names.txt` and, where the contents of the data set are given, `data.json`."""
  make_folder(workdir)
  (workdir / "class_names.txt").write_text("".join(f"{name}\n" for name in class_names), encoding="utf-8")
  if contents:
    (workdir / "data.json").write_text(json.dumps(contents) + "\n", encoding="utf-8")
  write_config(workdir, config)


def write_config(workdir: pathlib.Path, config: Mapping[str, Any]) -> None:
  """Writes `config.json` and the digests beside it; a kill between the two leaves a config without a digest."""
  trust.remember(config)
  partial, names = workdir / ".config.json", digests.of_files(workdir, ["class_names.txt"])
  partial.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
  digests.write(workdir, names)
  partial.rename(workdir / "config.json")  # at once: a folder with a config is complete
  digests.write(workdir, names | digests.of_files(workdir, ["config.json"]))


def read_folder(workdir: pathlib.Path) -> tuple[dict[str, Any], list[str]]:
  """Reads what `write_folder` wrote; raises InputError where it is not there or damaged."""
  if not (workdir / "config.json").is_file():
    raise InputError(f"{workdir} is not a run's folder (no config.json): name the --workdir of a training run")
  try:
    digests.check(workdir, digests.read(workdir) or {})
    config = json.loads((workdir / "config.json").read_text(encoding="utf-8"))
    class_names = (workdir / "class_names.txt").read_text(encoding="utf-8").splitlines()
    if not isinstance(config, dict) or not class_names:
      raise ValueError(f"{'class_names.txt' if isinstance(config, dict) else 'config.json'} holds something else")
    return config, class_names
  except (ValueError, FileNotFoundError) as error:
    raise InputError(
      f"{workdir} is damaged ({error}): put the file back as it was, or train again in a new --workdir"
    ) from error


def check_same(
  workdir: pathlib.Path,
  config: Mapping[str, Any],
  class_names: list[str],
  contents: Contents | None = None,
  free: Sequence[str] = (),
) -> None:
  """Raises InputError naming in what a config, `free` keys aside, or a data set differs from that of the training."""
  before, names_before = read_folder(workdir)
  chosen = {"data.stream": "video", "sampler.by": "frame"}  # older runs could not choose
  old, new = (chosen | flatten(given) for given in (before, config))
  changed = [key for key in {**old, **new} if old.get(key) != new.get(key) and not key.startswith((*FREE, *free))]
  if names_before != class_names:
    old, new = old | {"class names": ", ".join(names_before)}, new | {"class names": ", ".join(class_names)}
    changed.append("class names")
  if changed:
    more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
    shown = "; ".join(f"{key}: {_told(old, key)} there, {_told(new, key)} here" for key in changed[:5])
    raise InputError(f"{workdir} was trained with another config ({shown}{more}): choose another --workdir")
  path = workdir / "data.json"
  if not contents or not path.is_file():
    return
  try:
    then = json.loads(path.read_text(encoding="utf-8"))
  except ValueError as error:
    raise InputError(f"{path} is damaged ({error}): remove it, and the same command goes on") from error
  if then != contents:
    raise InputError(
      f"{config['data']['name']} was prepared anew since {workdir} was trained on it (now {contents}, then {then}): "
      f"prepare it as it was, choose another --workdir, or remove {path} to go on regardless"
    )


def _told(flat: Mapping[str, Any], key: str) -> str:
  return str(flat[key]) if key in flat else "not set"


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
  """A config as dotted key -> value, as flags name them: "transforms[0].size"."""
  if isinstance(value, Mapping):
    items = ((f"{prefix}.{key}" if prefix else key, v) for key, v in value.items())
  elif isinstance(value, (list, tuple)):
    items = ((f"{prefix}[{i}]", v) for i, v in enumerate(value))
  else:
    return {prefix: value}
  return {key: leaf for path, v in items for key, leaf in flatten(v, path).items()}
