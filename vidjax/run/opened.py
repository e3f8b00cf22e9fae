"""A run: what a config describes, built; and the folder of a run, opened again for evaluation or prediction."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidjax import trust
from vidjax.data import class_words, identity
from vidjax.data.augment import Flip, TestCrops
from vidjax.data.batches import Transform, Views, shuffled
from vidjax.data.dataset import Dataset, Source, open_dataset
from vidjax.data.loader import EvalLoader, TrainLoader, eval_loader, train_loader
from vidjax.data.records import Records
from vidjax.data.unlabelled import WithUnlabelled
from vidjax.errors import ConfigError, InputError
from vidjax.recipe import DataSettings, Recipe, data_of, each_of, make_recipe, make_views
from vidjax.run.checkpoint import load_variables
from vidjax.run.folder import Contents, read_contents, read_folder, run_folder
from vidjax.run.training_split import TrainingSplit
from vidjax.run.transfer import check_shapes, shapes
from vidjax.sections import check_sections
from vidjax.types import FRAMEWISE, Array, Batch, Tree


class Run:
  """What a config describes.

  Attributes:
    config: plain nested dicts.
    recipe: what it describes, built.
    data: the `data` section.
    class_names: K names in the order of the labels.
    transforms: of the clips of the training, without those that would change a label.
    notes: sentences about what was left out, for the user.
    test_crops: cuts the views of evaluation.
    trained_data: name of the data set of the training, `data.name` unless `open_run` was given another.
    workdir: the run's folder, where it has one.
    variables: `{"params", "batch_stats"}`, where a checkpoint was opened.
    step: of that checkpoint.
  """

  def __init__(self, config: Mapping[str, Any], class_names: list[str] | None = None):
    """Builds everything but the data; `class_names` are those of the data set unless given, [] for no classes."""
    check_sections(config)
    self.config = config
    self.data: DataSettings = data_of(config)
    self.trained_data = self.data.name
    self.workdir: pathlib.Path | None = None
    self.variables: Mapping[str, Tree] = {}
    self.step = 0
    self._dataset: Dataset | None = None
    self.class_names = self._open().class_names if class_names is None else class_names
    self.recipe: Recipe = make_recipe(config, self.class_names)
    if self._dataset is not None:
      self._check_dataset(self._dataset)
      objectives = self.training_split.weighed(self.recipe.objectives, len(self.class_names))
      self.recipe = dataclasses.replace(self.recipe, objectives=objectives)
    transforms, test = make_views(self.recipe)
    self.transforms, self.notes = self._fit_to_classes(transforms)
    self.test_crops: Views = self._signed(test)

  @property
  def called(self) -> str:
    """What messages call it: its folder, or the name of a released model."""
    return str(self.workdir or self.data.name)

  @functools.cached_property
  def training_split(self) -> TrainingSplit:
    """The records that are trained on."""
    return TrainingSplit(self.dataset, self.data, self.config["seed"])

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
          + self._mirrored()
        )
      else:
        fitted.append(self._signed(dataclasses.replace(part, swap=swap)))
    coloured = class_words.coloured(self.class_names)
    changing = self._that_need("colour", transforms)
    if coloured and changing:
      notes.append(f"warning: {changing} changes colours, and class names differ in them ({_some(coloured)})")
    return fitted, notes

  def _mirrored(self) -> str:
    """What to give as `swap`, where the data set names the pairs."""
    pairs = self._dataset.official.get("mirrored", []) if self._dataset else []
    numbers = tuple((self.class_names.index(one), self.class_names.index(other)) for one, other in pairs)
    return f". The data set's own pairs are swap={str(numbers).replace(' ', '')}" if numbers else ""

  def _that_need(self, what: str, transforms: Sequence[Any]) -> str:
    """The name of the first transform, of these or those on the device, that needs something; "" without one."""
    parts = each_of((*transforms, *self.recipe.device_transforms))
    found = [type(part).__name__ for part in parts if what in getattr(part, "needs", ())]
    return found[0] if found else ""

  def _signed(self, part: Any) -> Any:
    """A transform that mirrors, told which channels of the stream are signed."""
    return dataclasses.replace(part, signed=self.recipe.stream.signed) if hasattr(part, "signed") else part

  @property
  def crop_sizes(self) -> dict[str, int]:
    """`size` and `short_side` of the test crops; empty for clips without pixels."""
    test = self.test_crops
    return {"size": test.size, "short_side": test.short_side or test.size} if isinstance(test, TestCrops) else {}

  def crops(self, count: int) -> Views:
    """The crops of a test with `count` views of each clip.

    Raises:
      InputError: ten views, five of them mirrored, where class names tell left from right.
    """
    if count > 1 and "pixels" not in self.recipe.stream.gives:
      raise InputError(f"{count} crops of clips without pixels: take 1, as in --views=2x1")
    directed = class_words.directed(self.class_names)
    if count == 10 and directed:
      raise InputError(
        f"10 crops hold 5 mirrored ones, and class names tell left from right ({_some(directed)}): take 5"
      )
    views: Any = self.test_crops
    return dataclasses.replace(views, crops=count)

  @property
  def dataset(self) -> Dataset:
    """The data set, opened (synthetic ones: made) on first use."""
    if self._dataset is None:
      self._check_dataset(self._open())
    return self._open()

  def _open(self) -> Dataset:
    if self._dataset is None:
      self._dataset = open_dataset(self.data.name, self.data.dir, self.data.fold)
    return self._dataset

  def _check_dataset(self, dataset: Dataset) -> None:
    """Raises an InputError where the data set lacks what the stream or the task reads."""
    then = (read_contents(self.workdir) if dataset.backbone and self.workdir else None) or {}
    if then.get("/backbone", {}).get("sha256", dataset.backbone) != dataset.backbone:
      raise InputError(
        f"the features of {self.data.name} are of another backbone than those {self.workdir} was trained on: choose"
        " another data set"
      )
    self.recipe.stream.check(self.data.name, dataset.holds)
    several, task = "labels" in dataset.holds, self.recipe.task
    if "label" in task.targets and getattr(task, "several", several) != several:
      remedy = "train with configs/multilabel.py (its task and losses), or --config=configs/probe.py:multilabel"
      if not several:
        remedy = "take vidjax.tasks.classification.Classification, or prepare a list with a column `labels`"
      how = "any number of labels" if several else "one label"
      raise InputError(f"a video of {self.data.name} has {how}, which {type(task).__name__} does not take: {remedy}")
    lacking = [name for name in self.recipe.task.targets if name in FRAMEWISE and name not in dataset.holds]
    if lacking:
      raise InputError(
        f"{self.data.name} holds no {lacking[0]}, which {type(self.recipe.task).__name__} asks for: choose another data"
        f" set or task{getattr(self.recipe.task, 'without', {}).get(lacking[0], '')}"
      )

  def blank(self, clips: int) -> Batch:
    """Zeros in place of the task's targets of that many clips."""
    several = "labels" in self.dataset.holds
    shapes: dict[str, tuple[int, ...]] = {name: (clips, self.clip_shape[0]) for name in FRAMEWISE}
    shapes |= {"label": (clips, len(self.class_names))} if several else {}
    kinds = {"mask": bool, "key_frames": bool} | ({"label": bool} if several else {})
    return {x: np.zeros(shapes.get(x, (clips,)), kinds.get(x, np.int32)) for x in self.recipe.task.targets}

  @property
  def contents(self) -> Contents:
    """What tells the data set from another preparation of it."""
    splits, digests = self.dataset.splits, self.dataset.digests
    found = {split: {"records": records, "sha256": digests.get(split, "")} for split, records in splits.items()}
    return found | ({"/backbone": {"sha256": self.dataset.backbone}} if self.dataset.backbone else {})

  @property
  def trained_on(self) -> identity.Trained:
    """The files of the training split, by which a video that was trained on is known again."""
    films = self.dataset.films(self.data.train_split) if self.data.train_split in self.dataset.splits else {}
    return {self.data.name: films} if films else {}

  def overlap(self, split: str) -> str:
    """A sentence where videos of a split are ones the run was trained on, or where that cannot be told; else ""."""
    trained = identity.read(self.workdir or "")
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
    then = read_contents(self.workdir or pathlib.Path()) if not (trained and films) else None
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
  def network(self) -> nn.Module:
    """Built for K classes."""
    return self.recipe.network

  @property
  def normalise(self) -> Callable[[Array], jax.Array]:
    """Clips to normalised floats, on the device."""
    return self.recipe.normalise

  @property
  def clip_shape(self) -> tuple[int, ...]:
    """`[T, H, W, C]` or `[T, F]`, of a clip as the network sees it."""
    return self.recipe.clip_shape

  def train_loader(self, batch_size: int) -> TrainLoader:
    """Batches of the training split, this process's share."""
    return self._train_loader(self.data.train_split, batch_size, self.config["seed"])

  def training_loader(self, batch_size: int) -> TrainLoader | WithUnlabelled:
    """`train_loader`, with `data.unlabelled` more clips a batch where asked for."""
    labelled = self.train_loader(batch_size)
    if not self.data.unlabelled:
      return labelled
    mixing = self._that_need("label", ())
    if mixing:
      raise ConfigError(f"data.unlabelled={self.data.unlabelled}: {mixing} would mix in clips without a label")
    seed = (self.config["seed"] + 1) % 2**32  # another order than that of the same records with their labels
    return WithUnlabelled(labelled, self._train_loader(self.data.unlabelled_split, self.data.unlabelled, seed, False))

  def _train_loader(self, split: str, batch_size: int, seed: int, labelled: bool = True) -> TrainLoader:
    source, order = self.dataset.source(split), shuffled
    if labelled:
      source, order = self.training_split.source, self.training_split.order
    keep = source.num_bytes <= 1e6 * self.data.memory_mb
    return train_loader(
      self._records(source, labelled, keep),
      self.recipe.sampler,
      self.transforms,
      batch_size,
      seed,
      num_threads=self.data.num_threads,
      num_processes=self.data.num_processes,
      max_damaged=self.data.max_damaged,
      order=order,
      repeats=self.data.repeats if labelled else 1,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
    )

  def _records(self, source: Source, labelled: bool, keep: bool = False) -> Records:
    return Records(
      source,
      self.recipe.stream,
      num_classes=len(self.dataset.class_names),
      several="labels" in self.dataset.holds,
      labelled=labelled and "label" in self.recipe.task.targets,
      wanted=self.recipe.task.targets,
      keep=keep,
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
    trained: bool = False,
  ) -> EvalLoader:
    """One pass over a split, this process's share.

    Labels are those of the data set, see `labels_here`. Raises InputError where the data set has classes that the run
    does not know, or is not there, or the split has no labels unless `labelled` is False.

    Args:
      split: its name (default: the validation split).
      batch_size: videos of a batch, of all processes together.
      clips: test clips of a video.
      crops: of each clip: 1, 3, 5 or 10.
      skip_damaged: mask damaged records; else they raise an error.
      labelled: read and check the labels.
      trained: of the training split the records that are trained on, numbered as in training.
    """
    if labelled and "label" in self.recipe.task.targets:
      self.check_labels(split or self.data.validation_split)
    self.labels_here()
    source = self.training_split.source if trained else self.dataset.source(split or self.data.validation_split)
    return eval_loader(
      self._records(source, labelled),
      self.recipe.sampler,
      self.crops(crops),
      batch_size,
      clips=clips,
      num_threads=self.data.num_threads,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
      skip_damaged=skip_damaged,
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
  fold: int | None = None,
) -> Run:
  """Opens a run's folder with the variables of one of its checkpoints.

  Args:
    workdir: the folder; of a training in phases, its last phase is opened.
    checkpoint: "best", "last" or a step.
    data_dir: where the data sets lie now, if not where they lay in training.
    data: another data set than that of the training, of the same classes or some of them.
    size: side of the test crop in pixels, in place of the config's.
    short_side: to which frames are resized before that crop, in place of the config's.
    trusted: lets the config make anything, see `vidjax.trust`.
    fold: of `data`, where that is another data set and has folds; a run keeps the fold of its own.
  """
  workdir = run_folder(workdir)
  config, class_names = read_folder(workdir)
  trust.check(config, workdir / "config.json", trusted)
  check_sections(config)
  own = config["data"].get("fold")
  if data in (None, config["data"]["name"]):
    if fold not in (None, own):
      raise InputError(f"{workdir} was trained on {f'fold {own}' if own else 'no fold'}: leave --fold={fold} out")
  else:
    config["data"]["fold"] = fold
  trained_data, trained_size = config["data"]["name"], config["test"].get("size")
  config["data"] |= {key: value for key, value in (("dir", data_dir), ("name", data)) if value is not None}
  config["test"] |= {key: value for key, value in (("size", size), ("short_side", short_side)) if value is not None}
  if (size or short_side) and "make" in config["test"] and config["test"]["make"].endswith(".WholeClip"):
    raise InputError(f"{workdir} reads clips without pixels: leave --size and --short_side out")
  try:
    run = Run(config, class_names)
  except ConfigError as error:
    raise ConfigError(f"{workdir / 'config.json'}: {error}") from error
  run.workdir, run.trained_data = workdir, trained_data
  run.variables, run.step = load_variables(workdir, checkpoint)
  fresh = jax.eval_shape(lambda: run.network.init(jax.random.key(0), jnp.zeros((1, *run.clip_shape)), False))
  wanted = {"params": fresh["params"], "batch_stats": fresh.get("batch_stats", {})}
  remedy = f"; config.json or class_names.txt in {workdir} is not that of the training: put it back"
  if run.test_crops.size != trained_size and trained_size is not None:
    remedy = f"; its parameters depend on the size of the crops: leave out size={size}, it has {trained_size}"
  check_shapes(shapes(run.variables), shapes(wanted), f"the checkpoint of step {run.step}", remedy)
  return run
