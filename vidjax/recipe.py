"""A config, built: everything of a training but its data. The only caller of `build`."""

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from vidjax.apply.device_augment import BatchTransform, OneOf
from vidjax.apply.parts import Part
from vidjax.bounds import Between, Count, Fraction, NonNegative, Positive, Whole
from vidjax.build import build, locate
from vidjax.checks import check_fields
from vidjax.errors import ConfigError, InputError
from vidjax.inputs.segments import check_segments
from vidjax.sections import DEFAULTS, check_places, check_sections
from vidjax.types import Array, Objective, Sampler, Stream, Task

if TYPE_CHECKING:  # the data stack, which the machine of a benchmark may lack
  from vidjax.data.batches import Transform, Views

BIAS_AND_BN = {"make": "vidjax.train.optimizer.Group", "match": "/(bias|scale)$", "decay": 0.0}
"""The groups of an optimizer that names none."""


@dataclasses.dataclass(frozen=True)
class DataSettings:
  """The `data` part of a config.

  Attributes:
    name: as `open_dataset` takes it.
    dir: folder of all data sets.
    train_split: the split to train on.
    validation_split: the split to validate on.
    unlabelled: clips added to each training batch without their labels, for losses that need none.
    unlabelled_split: the split they come from.
    num_threads: threads that decode batches.
    num_processes: worker processes in place of the threads.
    max_damaged: share of damaged training records that stops the run.
    skip_damaged: validate without damaged records, in place of an error.
    fraction: share of the training split that is used, the same of every class. The seed chooses it, and a smaller part
      lies in a larger one. Clips of `unlabelled` come from the whole split.
    balanced: draw every class equally often in training, however many records it has.
    repeats: clips that a record of a training batch gives: the same frames, transformed each in its own way (repeated
      augmentation, Hoffer et al., CVPR 2020). An epoch reads each record once, and so has that many times more clips.
    fold: of a data set that has folds, whose splits are then those of the fold.
    memory_mb: a training split of at most that many MB is held in memory once read (in each worker process).
  """

  name: str
  dir: str = "data"
  train_split: str = "train"
  validation_split: str = "validation"
  unlabelled: Whole = 0
  unlabelled_split: str = "train"
  num_threads: Whole = 2
  num_processes: Whole = 0
  max_damaged: NonNegative = 0.01
  skip_damaged: bool = False
  memory_mb: Whole = 1024
  fold: Count | None = None
  fraction: Fraction = 1.0
  balanced: bool = False
  repeats: Count = 1

  def __post_init__(self):
    check_fields(self)


@dataclasses.dataclass(frozen=True)
class Settings:
  """The `train` part of a config.

  Attributes:
    epochs: passes over the training split; the learning-rate schedules are given in the same epochs.
    steps: length in steps in place of epochs, or None.
    frozen: path prefixes of parameters that stay as they are, their running statistics included. BatchNorm still
      normalises by the batch there, unless the backbone's `frozen_bn` says otherwise.
    trained: in place of `frozen`: regular expressions searched in the paths of parameters; all others stay, such as
      ("Adapter", "classifier") for adapters in a backbone that stays.
    stop: ends the training early: called with the list of all validations so far, each a mapping of its numbers.
    refresh: a function (run, variables, loader) -> variables, called before the first step of every epoch, such as
      `train.clusters.Refresh`. It must depend on nothing else, so that a run that is resumed is the same.
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

  epochs: Positive
  batch_size: Count
  accumulate: Count = 1
  dtype: Literal["float32", "bfloat16"] = "float32"
  ema_decay: Between | None = None
  devices: Count | None = None
  fsdp: bool = False
  evaluate_every: Positive = 1
  checkpoint_every: Count | None = None
  keep_best: Count = 1
  log_every: Count = 10
  steps: Count | None = None
  frozen: tuple[str, ...] = ()
  trained: tuple[str, ...] = ()
  stop: Callable[[Sequence[Mapping[str, float]]], bool] | None = None
  refresh: Callable[..., Any] | None = None

  def __post_init__(self):
    check_fields(self)
    Part(self.frozen, self.trained)

  def validates(self, step: int, batches_per_epoch: int) -> bool:
    """Whether the state after a step is validated: those of `evaluate_every` and the last.

    Args:
      step: updates done.
      batches_per_epoch: of the loader.
    """
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
    stream: what clips are made of.
    network: built for K classes.
    sampler: chooses frames.
    clip_shape: `[T, H, W, C]` or `[T, F]`, of a clip as the network sees it.
    normalise: clips to normalised floats, on the device.
    device_transforms: of training batches, on the device.
    objectives: the losses.
    rule: of the blend, see `train.multitask.make_blend`.
  """

  config: Mapping[str, Any]
  class_names: Sequence[str]
  settings: Settings
  data: DataSettings
  task: Task
  stream: Stream
  network: nn.Module
  sampler: Sampler
  clip_shape: tuple[int, ...]
  normalise: Callable[[Array], jax.Array]
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
    optimizer = make_optimizer(self.config["optimizer"], schedule)
    return optimizer if self.plateau is None else locate("vidjax.train.plateau.scaled")(optimizer)

  @property
  def start(self) -> Callable[..., Any] | None:
    """`init.start`, what changes the variables before the first step, or None."""
    section = self.config["init"].get("start")
    start = build(section) if section else None
    if start is not None and not callable(start):
      raise ConfigError(f"init.start={section['make']}: makes no function (run, variables, loader) -> variables")
    return start

  @property
  def plateau(self) -> Any:
    """The `train.plateau.Plateau` by which the rate falls after validations, None for any other schedule."""
    section = self.config["schedule"]
    return build(section) if hasattr(locate(section["make"]), "scale") else None

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
  task, stream = (_optional(config, name, num_classes=len(class_names)) for name in ("task", "stream"))
  sampler, device_transforms = build(config["sampler"]), build(config["device_transforms"])
  normalise, objectives = build(config["normalise"]), build(config["losses"])
  check_needs((normalise,), stream, task, "set --config.normalise.make=vidjax.apply.device_augment.AsStored")
  check_needs(device_transforms, stream, task)
  _check_task(task, objectives)
  size = config["test"].get("size")
  if not isinstance(size, int) and "pixels" in stream.gives:
    raise ConfigError("config.test sets no size in pixels, the side of the clips: see configs/default.py")
  network = build(config["model"], num_classes=len(class_names))
  check_segments(network, sampler)
  return Recipe(
    config=config,
    class_names=class_names,
    settings=settings_of(config),
    data=data_of(config),
    task=task,
    stream=stream,
    network=network,
    sampler=sampler,
    clip_shape=stream.clip_shape(sampler.clip_length, size),
    normalise=normalise,
    device_transforms=device_transforms,
    objectives=objectives,
    rule=build(config["blend"]),
  )


def _check_task(task: Task, objectives: Sequence[Objective]) -> None:
  """Raises a ConfigError for a loss of one class where a video has several, or a metric that the task does not have."""
  single = [type(objective).__name__ for objective in objectives if getattr(objective, "one_class", False)]
  if getattr(task, "several", False) and single:
    raise ConfigError(
      f"config.losses: {single[0]} takes one class for each video, and {type(task).__name__} has several: use"
      " vidjax.losses.classification.BinaryCrossEntropy"
    )
  numbers, name = getattr(task, "numbers", None), task.metric.removeprefix("-")
  if numbers is not None and name not in numbers and not name.startswith("loss/"):
    known = ", ".join(numbers)
    raise ConfigError(f"task.metric={task.metric!r}: {type(task).__name__} has {known}, or -loss/NAME of a loss")


def make_views(recipe: Recipe) -> "tuple[Sequence[Transform], Views]":
  """The transforms of training clips on the host, and the views of evaluation; needs the data stack."""
  for name in ("transforms", "test"):
    check_places(name, recipe.config[name])
  transforms, test = build(recipe.config["transforms"]), build(recipe.config["test"])
  check_needs(transforms, recipe.stream, recipe.task)
  check_needs((test,), recipe.stream, recipe.task, "set --config.test.make=vidjax.data.augment.WholeClip")
  return transforms, test


def check_needs(parts: Sequence[Any], stream: Stream, task: Task, remedy: str = "leave it out") -> None:
  """Raises a ConfigError for a transform that needs what the clips of a stream and a task do not have.

  Args:
    parts: transforms, each with `needs` where it has any.
    stream: what clips are made of.
    task: whose targets are there.
    remedy: how the message ends.
  """
  for part in each_of(parts):
    lacking = sorted(getattr(part, "needs", frozenset()) - stream.gives - {*task.targets})
    if lacking:
      giver = "the task" if lacking == ["label"] else f"stream.make={type(stream).__name__}"
      raise ConfigError(f"{giver} gives no {' and no '.join(lacking)}, which {type(part).__name__} needs: {remedy}")


def each_of(parts: Sequence[Any]) -> list[Any]:
  """The transforms, and in place of a `OneOf` those that it chooses from."""
  return [one for part in parts for one in (each_of(part.transforms) if isinstance(part, OneOf) else [part])]


def _optional(config: Mapping[str, Any], name: str, **extra: Any) -> Any:
  """What a section that a config may leave out makes."""
  section = {"make": DEFAULTS[name], **dict(config.get(name, {}))}
  takes = inspect.signature(locate(section["make"])).parameters
  return build(section, **{key: value for key, value in extra.items() if key in takes})


def metric_of(config: Mapping[str, Any]) -> str:
  """The metric of a config's task, by which checkpoints are compared; "-" before one of which less is better."""
  return _optional(config, "task", num_classes=2).metric


def settings_of(config: Mapping[str, Any]) -> Settings:
  """The `train` section of a config."""
  return _settings("train", Settings, config)


def data_of(config: Mapping[str, Any]) -> DataSettings:
  """The `data` section of a config."""
  return _settings("data", DataSettings, config)


def _settings(section: str, kind: type, config: Mapping[str, Any]) -> Any:
  name = f"{kind.__module__}.{kind.__qualname__}"
  try:
    return build({"make": name, **dict(config[section])})
  except ConfigError as error:
    as_a_flag = re.sub(rf"{re.escape(name)}\((.*)\): must", rf"{section}.\1: must", str(error))
    raise ConfigError(as_a_flag.replace(name, f"config.{section}")) from None


def make_schedule(config: Mapping[str, Any], settings: Settings, batches_per_epoch: int) -> optax.Schedule:
  """The learning-rate schedule of a config; see `Recipe.schedule`.

  Args:
    config: plain nested dicts.
    settings: its `train` section.
    batches_per_epoch: of the loader.
  """
  if str(config["schedule"]["make"]).startswith("optax."):
    return build(config["schedule"])
  epochs = settings.epochs if settings.steps is None else settings.steps / batches_per_epoch
  try:
    return build(config["schedule"], epochs=epochs)(batches_per_epoch)
  except ConfigError as error:
    if settings.steps is None:
      raise
    length = f"train.steps={settings.steps} is {epochs:.4g} epochs of {batches_per_epoch} batches"
    raise ConfigError(f"{str(error).replace('--config.train.epochs', '--config.train.steps')}; {length}") from None


def make_optimizer(config: Mapping[str, Any], schedule: optax.Schedule) -> optax.GradientTransformation:
  """The optimizer a section of a config describes: `make_optimizer`, or any one of optax with groups and clipping.

  Args:
    config: the section `optimizer`.
    schedule: step -> learning rate.
  """
  if not str(config["make"]).startswith("optax."):
    return build(config, schedule=schedule)
  around = {key: config[key] for key in ("groups", "clip_norm") if key in config}
  inner = {key: value for key, value in config.items() if key not in around}

  def make(**options: Any) -> optax.GradientTransformation:
    return build(inner, learning_rate=schedule, **options)

  takes = inspect.signature(locate(config["make"])).parameters
  mask = next((name for name in ("mask", "weight_decay_mask") if name in takes), None)
  decays = any(inner.get(name) for name in ("weight_decay", "weight_decay_rate"))
  return locate("vidjax.train.optimizer.around")(make, mask=mask, decays=decays, **build(around))
