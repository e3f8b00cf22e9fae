"""The training split as the `data` section asks for it: which records, in which order, and the weights of classes."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

from vidjax.data import balance
from vidjax.data.batches import Order, shuffled
from vidjax.data.dataset import Dataset, Source
from vidjax.recipe import DataSettings


class TrainingSplit:
  """What is trained on; labels are read where they are needed and not before."""

  def __init__(self, dataset: Dataset, data: DataSettings, seed: int):
    """Opens nothing yet.

    Args:
      dataset: the data set.
      data: the section.
      seed: of the run.
    """
    self._dataset, self._data, self._seed = dataset, data, seed

  @functools.cached_property
  def numbers(self) -> tuple[int, ...] | None:
    """Of the records of the split that `data.fraction` takes, None for all."""
    if self._data.fraction == 1:
      return None
    return balance.part(self._labels, self._data.fraction, self._seed)

  @functools.cached_property
  def labels(self) -> balance.Labels:
    """The classes of these records."""
    return self._labels if self.numbers is None else [self._labels[number] for number in self.numbers]

  @functools.cached_property
  def _labels(self) -> balance.Labels:
    """The classes of the whole split."""
    return self._dataset.labels(self._data.train_split)

  @property
  def source(self) -> Source:
    """These records."""
    source = self._dataset.source(self._data.train_split)
    return source if self.numbers is None else source.part(self.numbers)

  @property
  def order(self) -> Order:
    """Of an epoch."""
    return balance.Balanced(balance.one_each(self.labels, "data.balanced")) if self._data.balanced else shuffled

  def weighed(self, objectives: Sequence[Any], num_classes: int) -> tuple[Any, ...]:
    """The losses; those with weights="frequency" get the weights.

    Args:
      objectives: the losses.
      num_classes: K.

    Raises:
      InputError: a record has several classes.
    """
    if not any(getattr(loss, "weights", None) == "frequency" for loss in objectives):
      return tuple(objectives)
    each = balance.weights(balance.one_each(self.labels, "weights='frequency'"), num_classes)
    return tuple(
      dataclasses.replace(loss, weights=each) if getattr(loss, "weights", None) == "frequency" else loss
      for loss in objectives
    )
