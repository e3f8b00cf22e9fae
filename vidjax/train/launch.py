"""What is built and checked of a training before anything of it is written."""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from vidjax.apply import processes
from vidjax.apply.sharding import check_batch_size, make_mesh
from vidjax.data.loader import TrainLoader
from vidjax.data.unlabelled import WithUnlabelled
from vidjax.errors import InputError
from vidjax.run.folder import flatten
from vidjax.run.opened import Run
from vidjax.train.parts import Parts, check_origin, noted
from vidjax.train.start import check_features, check_init
from vidjax.train.trainer import Trainer, make_trainer


class Launched(NamedTuple):
  """A training that could begin.

  Attributes:
    run: what its config describes.
    loader: of its batches.
    trainer: of its network.
    parts: of its network.
  """

  run: Run
  loader: TrainLoader | WithUnlabelled
  trainer: Trainer
  parts: Parts


def launch(config: Mapping[str, Any], workdir: pathlib.Path) -> Launched:
  """Builds everything a config describes, and checks what can be checked before the training.

  Args:
    config: plain nested dicts.
    workdir: the run's folder, which need not be there.

  Raises:
    InputError: the config does not fit itself, the data set, the devices or the other processes.
  """
  with processes.together():
    run = Run(config)
    recipe, data = run.recipe, run.data
    if data.unlabelled:
      mesh = make_mesh(recipe.settings.devices)
      check_batch_size(data.unlabelled, mesh, recipe.settings.accumulate, "data.unlabelled")
    loader = run.training_loader(recipe.settings.batch_size)
    check_validation_split(run)
    for part in (recipe.start, recipe.settings.refresh):
      if hasattr(part, "check"):
        part.check(run)  # pyright: ignore[reportOptionalMemberAccess, reportFunctionMemberAccess]
  processes.check_agreement(flatten(config), [run.class_names, run.contents])
  check_init(config["init"])
  check_features(run, workdir)
  with noted() as parts:
    trainer = make_trainer(recipe, loader.batches_per_epoch)
  check_origin(recipe, parts, workdir)
  return Launched(run, loader, trainer, parts)


def check_validation_split(run: Run) -> None:
  """A validation split that is not there or cannot be read shows now, not after an epoch."""
  split, splits = run.data.validation_split, run.dataset.splits
  if split not in splits:
    again = "prepare it again with --split=train:.8,validation:.2 (every class needs two videos)"
    remedies = [again] * (run.data.name.startswith("folder/") and not run.dataset.official)
    remedies += [f"add --config.data.validation_split={name}" for name in splits if name != run.data.train_split][:1]
    remedy = " or ".join(remedies) or "give it one"
    raise InputError(
      f"{run.data.name} has no split {split!r} to validate on; it has {', '.join(splits)}: {remedy} (accuracy on"
      f" {run.data.train_split} says nothing about other videos)"
    )
  if "label" in run.recipe.task.targets:
    run.check_labels(run.data.train_split)
  run.eval_loader(batch_size=run.recipe.settings.batch_size)
