"""The sections of a config, and what belongs into each: found by what a thing is, by its members and annotations."""

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax

from vidjax.build import locate, nearest
from vidjax.errors import ConfigError
from vidjax.types import Array, Batch, Output, Pullback

MADE = ("sampler", "test", "normalise", "model", "blend", "optimizer", "schedule")
PLAIN = ("data", "init", "train")
OPTIONAL = ("phases", "task", "stream")
LISTS = ("transforms", "device_transforms", "losses")
SECTIONS = ("seed", *MADE, *PLAIN, *LISTS)

DEFAULTS = {"task": "vidjax.tasks.classification.Classification", "stream": "vidjax.data.streams.Frames"}
"""What the optional sections make where a config does not say."""

EXAMPLES = {
  "sampler": "vidjax.data.sampling.UniformSegments",
  "transforms": "vidjax.data.augment.Flip",
  "device_transforms": "vidjax.apply.device_augment.Mixup",
  "test": "vidjax.data.augment.TestCrops",
  "normalise": "vidjax.apply.device_augment.Normalise",
  "model": "vidjax.networks.recognizer.Recognizer",
  "losses": "vidjax.losses.classification.CrossEntropy",
  "blend": "vidjax.train.multitask.Weighted",
  "optimizer": "vidjax.train.optimizer.make_optimizer",
  "schedule": "vidjax.train.schedules.cosine",
  **DEFAULTS,
}
"""One thing for each section, for messages."""

Fits = Callable[[Any], bool | None]
"""Whether a class or function belongs into a section; None where it has no annotations to tell by."""


def _has(*names: str) -> Fits:
  """Whether a class has these members, fields of a dataclass without a default included."""

  def fits(made: Any) -> bool | None:
    members = {*dir(made), *getattr(made, "__dataclass_fields__", {})}
    return {*names} <= members if inspect.isclass(made) else None

  return fits


def _called_with(*kinds: Any) -> Fits:
  """Whether a function, or what a class makes, is called with arguments of these annotations."""

  def fits(made: Any) -> bool | None:
    call = made.__call__ if inspect.isclass(made) else made
    names = list(inspect.signature(call).parameters)[inspect.isclass(made) :]
    hints = _hints(call)
    given = [hints.get(name) for name in names]
    return None if None in given or not given else given[: len(kinds)] == list(kinds)

  return fits


def _returns(*kinds: Any) -> Fits:
  """Whether a function is annotated as returning one of these."""
  return lambda made: None if inspect.isclass(made) or "return" not in _hints(made) else _hints(made)["return"] in kinds


def _is_network(made: Any) -> bool | None:
  """Whether a Linen module returns an Output."""
  if not inspect.isclass(made):
    return None
  return issubclass(made, nn.Module) and _hints(made.__call__).get("return", Output) is Output


FITS: Mapping[str, Fits] = {
  "sampler": _has("clip_length", "train", "test"),
  "transforms": _called_with(dict[str, Any], np.random.Generator),
  "device_transforms": _called_with(Batch, jax.Array),
  "test": _has("crops", "size"),
  "normalise": _called_with(Array),
  "model": _is_network,
  "losses": _called_with(Output, Batch),
  "blend": _called_with(dict[str, jax.Array], Pullback),
  "optimizer": _returns(optax.GradientTransformation, optax.GradientTransformationExtraArgs),
  "schedule": _returns(optax.Schedule, Callable[[int], optax.Schedule]),
  "task": _has("targets", "metric", "measure", "answer", "summarize"),
  "stream": _has("gives", "signed", "clip_shape", "of"),
}


def check_sections(config: Mapping[str, Any]) -> None:
  """Raises ConfigError unless the config has every section and no other, and in each what belongs there."""
  for name in config:
    if name not in (*SECTIONS, *OPTIONAL):
      raise ConfigError(f"config has no section {name!r}{nearest(name, (*SECTIONS, *OPTIONAL))}")
  missing = [name for name in SECTIONS if name not in config]
  if missing:
    raise ConfigError(f"config lacks {', '.join(missing)}: start from configs/default.py")
  for name in MADE:
    if not isinstance(config[name], Mapping) or "make" not in config[name]:
      raise ConfigError(f"config.{name}={config[name]!r}: must be a mapping with the key 'make'")
  for name in (*PLAIN, *DEFAULTS):
    if not isinstance(config.get(name, {}), Mapping):
      raise ConfigError(f"config.{name}={config[name]!r}: must be a mapping, as in configs/default.py")
  for name in LISTS:
    parts = config[name]
    if not isinstance(parts, (list, tuple)) or not all(isinstance(part, Mapping) and "make" in part for part in parts):
      raise ConfigError(f"config.{name}={parts!r}: must be a tuple of mappings with the key 'make'")
  for name, default in DEFAULTS.items():
    check_places(name, {"make": default, **config.get(name, {})})
  for name in (*MADE, *LISTS):
    if name not in ("transforms", "test"):  # whose modules need the data stack, see `recipe.make_views`
      check_places(name, config[name])


def check_places(section: str, parts: Any) -> None:
  """Raises ConfigError where something is made in a section that it does not belong to.

  Args:
    section: name of the section.
    parts: its mapping, or the list of them in a section of LISTS.
  """
  for part in parts if section in LISTS else (parts,):
    _check_place(section, part["make"])


def _check_place(section: str, make: Any) -> None:
  made = locate(make)
  if not callable(made):  # which has a message of its own
    return
  foreign = section != "model" and inspect.isclass(made) and issubclass(made, nn.Module)
  fits = False if foreign else FITS[section](made)
  if fits:
    return
  home = [name for name, belongs in FITS.items() if name != section and belongs(made)]
  if home and not foreign:
    raise ConfigError(f"config.{section}: {make} belongs to config.{home[0]}")
  if fits is False:
    raise ConfigError(f"config.{section}: {make} does not belong there; use one such as {EXAMPLES[section]}")


def _hints(call: Any) -> dict[str, Any]:
  try:
    return typing.get_type_hints(call)
  except (NameError, TypeError):  # of a name that only type checkers import, or of none
    return {}
