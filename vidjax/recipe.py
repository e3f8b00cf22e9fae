"""A config, built: everything of a training but its data. The only caller of `build`."""

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax.numpy as jnp
import optax

from vidjax.apply.device_augment import BatchTransform, Normalise
from vidjax.build import build, locate, nearest
from vidjax.errors import ConfigError, InputError
from vidjax.types import Objective, Task

if TYPE_CHECKING:  # the data stack, which the machine of a benchmark may lack
  from vidjax.data.augment import TestCrops
  from vidjax.data.batches import Sampler, Transform

MADE = ("sampler", "test", "normalise", "model", "blend", "optimizer", "schedule")
PLAIN = ("data", "init", "train")
OPTIONAL = ("phases", "task")
CLASSIFICATION = "vidjax.tasks.classification.Classification"
LISTS = ("transforms", "device_transforms", "losses")
BIAS_AND_BN = {"make": "vidjax.train.optimizer.Group", "match": "/(bias|scale)$", "decay": 0.0}
"""The groups of an optimizer that names none."""
SECTIONS = ("seed", *MADE, *PLAIN, *LISTS)
ROOMS = {
  "vidjax.data.sampling.": "sampler",
  "vidjax.data.augment.": "transforms",
  "vidjax.data.rand_augment.RandAugment": "transforms",
  "vidjax.data.augment.TestCrops": "test",
  "vidjax.apply.device_augment.": "device_transforms",
  "vidjax.apply.device_augment.Normalise": "normalise",
  "vidjax.networks.": "model",
  "vidjax.losses.": "losses",
  "vidjax.train.multitask.": "blend",
  "vidjax.train.optimizer.make_optimizer": "optimizer",
  "vidjax.train.schedules.": "schedule",
  "vidjax.tasks.": "task",
}
"""Where vidjax keeps what a section makes; of several that fit the longest counts."""


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
    memory_mb: a training split of at most that many MB is held in memory once read (in each worker process).
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


@dataclasses.dataclass(frozen=True)
class Settings:
  """The `train` part of a config.

  Attributes:
    epochs: passes over the training split; the learning-rate schedules are given in the same epochs.
    steps: length in steps in place of epochs, or None.
    frozen: path prefixes of parameters that stay as they are, their running statistics included. BatchNorm still
      normalises by the batch there, unless the backbone's `frozen_bn` says otherwise.
    stop: ends the training early: called with the list of all validations so far, each a mapping of its numbers.
    batch_size: clips in a batch over all devices and processes.
    accumulate: parts a batch is cut into where it does not fit the memory at once.
    dtype: "float32" or "bfloat16", of the computation; parameters and statistics are float32.
    ema_decay: of the averaged parameters used in evaluation, or None.
    devices: how many to use, None for all.
    fsdp: split parameters and optimizer state over the devices.
    evaluate_every: epochs between validations, each followed by a checkpoint; the last epoch always has both.
    checkpoint_every: steps between further checkpoints, or None.
    keep_best: checkpoints kept for their validation top-1, beside the last one.
    log_every: steps between lines of metrics.
  """

  epochs: float
  batch_size: int
  accumulate: int = 1
  dtype: str = "float32"
  ema_decay: float | None = None
  devices: int | None = None
  fsdp: bool = False
  evaluate_every: float = 1
  checkpoint_every: int | None = None
  keep_best: int = 1
  log_every: int = 10
  steps: int | None = None
  frozen: tuple[str, ...] = ()
  stop: Callable[[Sequence[Mapping[str, float]]], bool] | None = None

  def __post_init__(self):
    positive = ("epochs", "batch_size", "accumulate", "evaluate_every", "log_every", "keep_best")
    for name in positive:
      if not getattr(self, name) > 0:
        raise ConfigError(f"train.{name}={getattr(self, name)}: must be positive")
    if math.isinf(self.evaluate_every):
      raise ConfigError(f"train.evaluate_every={self.evaluate_every}: must be a number; train.epochs means at the end")
    for name in ("devices", "checkpoint_every", "steps"):
      if getattr(self, name) is not None and not getattr(self, name) > 0:
        raise ConfigError(f"train.{name}={getattr(self, name)}: must be positive, or None")
    if self.dtype not in ("float32", "bfloat16"):
      raise ConfigError(f"train.dtype={self.dtype!r}: must be 'float32' or 'bfloat16'")
    if self.ema_decay is not None and not 0 < self.ema_decay < 1:
      raise ConfigError(f"train.ema_decay={self.ema_decay}: must lie between 0 and 1, or be None")

  def validates(self, step: int, batches_per_epoch: int) -> bool:
    """Whether the state after a step is validated: those of `evaluate_every` and the last."""
    every = max(round(self.evaluate_every * batches_per_epoch), 1)
    return step % every == 0 or step == self.total(batches_per_epoch)

  def total(self, batches_per_epoch: int) -> int:
    """Steps of the whole training, at least one."""
    steps = self.epochs * batches_per_epoch if self.steps is None else self.steps
    if not 0.5 < steps < 2**31:
      raise InputError(
        f"train.epochs={self.epochs} of {batches_per_epoch} batches each: there must be 1 to 2**31 - 1 steps"
      )
    return round(steps)


@dataclasses.dataclass(frozen=True, eq=False)
class Recipe:
  """What a config describes, built, but for its data.

  Attributes:
    config: plain nested dicts.
    class_names: K names in the order of the labels.
    settings: the `train` section.
    data: the `data` section.
    task: what is learnt.
    network: built for K classes.
    sampler: chooses frames.
    clip_shape: `[T, H, W, C]` of a clip as the network sees it.
    normalise: uint8 clips to normalised floats, on the device.
    device_transforms: of training batches, on the device.
    objectives: the losses.
    rule: of the blend, see `train.multitask.make_blend`.
  """

  config: Mapping[str, Any]
  class_names: Sequence[str]
  settings: Settings
  data: DataSettings
  task: Task
  network: nn.Module
  sampler: "Sampler"
  clip_shape: tuple[int, int, int, int]
  normalise: Normalise
  device_transforms: Sequence[BatchTransform]
  objectives: Sequence[Objective]
  rule: Callable[..., Any]

  @property
  def dtype(self) -> Any:
    """Of the computation."""
    return jnp.dtype(self.settings.dtype)

  def schedule(self, batches_per_epoch: int) -> optax.Schedule:
    """Step -> learning rate. One of optax counts steps; those of `train.schedules` count epochs."""
    return make_schedule(self.config, self.settings, batches_per_epoch)

  def optimizer(self, schedule: optax.Schedule) -> optax.GradientTransformation:
    """The optimizer of a learning-rate schedule."""
    return make_optimizer(self.config["optimizer"], schedule)

  def groups(self) -> Sequence[Any]:
    """The optimizer's groups of parameters."""
    return build(self.config["optimizer"].get("groups", (BIAS_AND_BN,)))

  def network_of(self, num_classes: int) -> nn.Module:
    """The network for another number of classes."""
    return build(self.config["model"], num_classes=num_classes)


def make_recipe(config: Mapping[str, Any], class_names: Sequence[str]) -> Recipe:
  """Builds everything of a config but its data, and checks it.

  Args:
    config: plain nested dicts, as `configs/default.py`.
    class_names: K names in the order of the labels.

  Raises:
    ConfigError: a section or a key is missing, misspelt, of another type or in the wrong place.
  """
  check_sections(config)
  sampler, size = build(config["sampler"]), config["test"].get("size")
  if not isinstance(size, int):
    raise ConfigError("config.test sets no size in pixels, the side of the clips: see configs/default.py")
  return Recipe(
    config=config,
    class_names=class_names,
    settings=settings_of(config),
    data=data_of(config),
    task=build({"make": CLASSIFICATION, **dict(config.get("task", {}))}, num_classes=len(class_names)),
    network=build(config["model"], num_classes=len(class_names)),
    sampler=sampler,
    clip_shape=(sampler.clip_length, size, size, 3),
    normalise=build(config["normalise"]),
    device_transforms=build(config["device_transforms"]),
    objectives=build(config["losses"]),
    rule=build(config["blend"]),
  )


def make_views(config: Mapping[str, Any]) -> "tuple[Sequence[Transform], TestCrops]":
  """The transforms of training clips on the host, and the crops of evaluation."""
  from vidjax.data.augment import TestCrops

  transforms, test = build(config["transforms"]), build(config["test"])
  if not isinstance(test, TestCrops):
    raise ConfigError(f"config.test.make={config['test']['make']!r}: must be vidjax.data.augment.TestCrops")
  return transforms, test


def settings_of(config: Mapping[str, Any]) -> Settings:
  """The `train` section of a config."""
  return build({"make": "vidjax.recipe.Settings", **dict(config["train"])})


def data_of(config: Mapping[str, Any]) -> DataSettings:
  """The `data` section of a config."""
  return build({"make": "vidjax.recipe.DataSettings", **dict(config["data"])})


def make_schedule(config: Mapping[str, Any], settings: Settings, batches_per_epoch: int) -> optax.Schedule:
  """The learning-rate schedule of a config; see `Recipe.schedule`."""
  if str(config["schedule"]["make"]).startswith("optax."):
    return build(config["schedule"])
  epochs = settings.epochs if settings.steps is None else settings.steps / batches_per_epoch
  return build(config["schedule"], epochs=epochs)(batches_per_epoch)


def make_optimizer(config: Mapping[str, Any], schedule: optax.Schedule) -> optax.GradientTransformation:
  """The optimizer a section of a config describes: `make_optimizer`, or any one of optax with groups and clipping."""
  if not str(config["make"]).startswith("optax."):
    return build(config, schedule=schedule)
  around = {key: config[key] for key in ("groups", "clip_norm") if key in config}
  inner = {key: value for key, value in config.items() if key not in around}

  def make(**options: Any) -> optax.GradientTransformation:
    return build(inner, learning_rate=schedule, **options)

  takes_mask = "mask" in inspect.signature(locate(config["make"])).parameters
  return locate("vidjax.train.optimizer.around")(make, takes_mask=takes_mask, **build(around))


def check_sections(config: Mapping[str, Any]) -> None:
  """Raises ConfigError unless the config has every section and no other, and lists where lists are wanted."""
  for name in config:
    if name not in (*SECTIONS, *OPTIONAL):
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
  if not isinstance(config.get("task", {}), Mapping):
    raise ConfigError(f"config.task={config['task']!r}: must be a mapping, as in configs/default.py")
  _check_room("task", config.get("task", {}).get("make", CLASSIFICATION))
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
