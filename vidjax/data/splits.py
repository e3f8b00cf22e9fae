"""Splits: the names that folders and lists give them, and which split a video goes to.

Videos of one group (clips of one recording, copies of one file) stay in one split.
"""

import collections
import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from vidjax.data import classes
from vidjax.data.films import Film
from vidjax.errors import InputError

DEFAULT_FRACTIONS = {"train": 0.8, "validation": 0.2}
_NAMES = {
  "train": ("train", "training", "trainset", "trainval"),
  "validation": ("validation", "valid", "val", "validate", "validating", "valset", "eval", "evaluation", "dev"),
  "test": ("test", "testing", "testset"),
}
_KNOWN = {name: split for split, names in _NAMES.items() for name in names}
_FILLERS = {"video", "videos", "set", "split", "data", "dataset", "clip", "clips", "frames", "rawframes", "list"}


def known_split(name: str) -> str:
  """The split that a usual name of one stands for, as "Train" or "val_videos"; "" for any other name."""
  words = [word for word in _words(name) if word not in _FILLERS and not word.isdecimal()]
  return _KNOWN.get(words[0], "") if len(words) == 1 else ""


def split_in_name(name: str) -> str:
  """The one split that a longer name has among its words, as "something-something-v2-train"; "" without one."""
  found = {_KNOWN[word] for word in _words(name) if word in _KNOWN}
  return found.pop() if len(found) == 1 else ""


def _words(name: str) -> list[str]:
  return re.findall(r"[a-z]+|\d+", name.casefold())


def parse_fractions(text: str) -> dict[str, float]:
  """Reads "train:.8,validation:.2".

  Raises:
    InputError: it does not follow the pattern, or the fractions do not sum to 1.
  """
  fractions = {}
  for part in text.split(","):
    name, _, value = part.strip().partition(":")
    if not re.fullmatch(r"[a-z]\w*", name) or name in fractions or not re.fullmatch(r"\d*\.?\d+|\d+\.", value):
      raise InputError(f"--split={text}: {part!r} does not read NAME:FRACTION, as in train:.8,validation:.2")
    fractions[name] = float(value)
  if not all(fractions.values()) or abs(sum(fractions.values()) - 1) > 1e-6:
    raise InputError(f"--split={text}: the fractions must be positive and sum to 1")
  return fractions


def check_classes(pairs: Collection[tuple[str, str]], labels: Collection[str], giver: str) -> list[str]:
  """Warnings of the classes that a split lacks.

  Args:
    pairs: split and label of every video; splits without labels have "".
    labels: that every split should have.
    giver: what messages begin with, as "list.csv gives".

  Raises:
    InputError: the split train lacks a class.
  """
  warnings = []
  for split in dict.fromkeys(split for split, _ in pairs):
    own = {label for other, label in pairs if other == split}
    lacking = classes.order(set(labels) - own - {""})
    if not lacking or own == {""}:
      continue
    names = ", ".join(map(repr, lacking[:5])) + (", ..." if len(lacking) > 5 else "")
    text = f"{giver} split {split!r} no video of {len(lacking)} of {len(set(labels) - {''})} classes ({names})"
    if split == "train":
      raise InputError(f"{text}, which cannot be learnt: add some, or remove the classes")
    warnings.append(text)
  return warnings


class Divider:
  """Chooses the split of one video after the other.

  One group of each class is kept for train, where there is such a split: as few groups in all as do. Each other group
  goes to a split that has no video of the class, then to the split that is furthest behind its share of the class.

  Attributes:
    splits: split of every group so far.
  """

  def __init__(self, videos: Iterable[tuple[str, str]], fractions: Mapping[str, float] | None = None):
    """Expects these videos, of which none has a split yet.

    Args:
      videos: (label, group) of all that will come.
      fractions: split -> its share of the videos (default: DEFAULT_FRACTIONS).
    """
    self._fractions = fractions or DEFAULT_FRACTIONS
    self._counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    self._coming: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for label, group in videos:
      self._coming[label][group] += 1
    self.splits: dict[str, str] = {}
    self._kept = self._keep_for_train()

  def choose(self, label: str, group: str) -> str:
    """Counts a video of a class and returns its split.

    Args:
      label: its class.
      group: videos of one group share a split.
    """
    counts = self._counts[label]
    if group not in self.splits:
      total = counts.total() + 1
      served = not self._kept.isdisjoint(self._coming[label])

      def lag(split: str) -> tuple[bool, float]:
        empty = counts[split] == 0 and not (split == "train" and served)
        return empty, self._fractions[split] * total - counts[split]

      self.splits[group] = "train" if group in self._kept else max(self._fractions, key=lag)
    counts[self.splits[group]] += 1
    return self.splits[group]

  def _keep_for_train(self) -> set[str]:
    """Groups that have a video of every class; of a class with several the largest."""
    kept = {group for group, split in self.splits.items() if split == "train"}
    for groups in sorted(self._coming.values(), key=len) if "train" in self._fractions else ():
      free = [group for group, _ in groups.most_common() if group not in self.splits]
      if free and not kept & set(groups):
        kept.add(free[0])
    return kept


def divide(films: Sequence[Film], fractions: Mapping[str, float] | None = None) -> list[Film]:
  """The films, those without a split in the one that `Divider` chooses.

  Args:
    films: the list, which alone decides.
    fractions: split -> its share of the videos (default: DEFAULT_FRACTIONS).
  """
  divider = Divider(((film.label, film.group) for film in films), fractions)
  return [
    film if film.split else dataclasses.replace(film, split=divider.choose(film.label, film.group)) for film in films
  ]


def mend(films: Sequence[Film], refused: Collection[str]) -> list[Film]:
  """Divided films, with a group in another split wherever refused films left a split without a class it was to have.

  Such a split gets a group, the smallest, from one that has another of each of its classes. For train any will do.
  What no refusal touches stays where it is.

  Args:
    films: of `divide`.
    refused: names of those that could not be read.
  """
  splits = {film.group: film.split for film in films}
  labels: dict[str, set[str]] = collections.defaultdict(set)
  groups: dict[str, dict[str, None]] = {film.label: {} for film in films}
  for film in films:
    if film.name not in refused:
      groups[film.label][film.group] = None
      labels[film.group].add(film.label)

  def spare(group: str) -> bool:
    """Whether the split of a group has another of each of its classes."""
    return all(any(splits[x] == splits[group] for x in groups[label] if x != group) for label in labels[group])

  planned = dict.fromkeys((film.split, film.label) for film in films)
  for split, label in sorted(planned, key=lambda pair: pair[0] != "train"):
    if not any(splits[group] == split for group in groups[label]):
      free = [group for group in groups[label] if spare(group)] or list(groups[label]) * (split == "train")
      splits |= dict.fromkeys(free[-1:], split)
  return [dataclasses.replace(film, split=splits[film.group]) for film in films]
