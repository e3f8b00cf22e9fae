"""Whose code a run's folder may run when it is opened.

A config makes objects by dotted paths. Somebody else's may name anything (`subprocess.call`), so opening a run makes
only what is meant to be made: parts of vidjax, layers and functions of flax and jax, and optax. A config that names
more is opened where this user trained it on this machine, which is remembered by its digest, or said `--trust`.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from vidjax.errors import InputError

KNOWN = (
  "vidjax.inputs.",
  "vidjax.plugins.",
  "vidjax.backbones.",
  "vidjax.networks.",
  "vidjax.losses.",
  "vidjax.layers.",
)
KNOWN += (
  "vidjax.data.streams.",
  "vidjax.data.sampling.",
  "vidjax.data.augment.",
  "vidjax.data.rand_augment.",
  "vidjax.data.corner_crop.",
  "vidjax.apply.device_augment.",
  "vidjax.apply.insert_frames.",
)
KNOWN += (
  "vidjax.train.multitask.",
  "vidjax.train.aggregate.",
  "vidjax.train.optimizer.",
  "vidjax.train.layer_decay.",
  "vidjax.train.schedules.",
  "vidjax.train.stop.",
  "vidjax.train.plateau.",
  "vidjax.train.clusters.",
  "vidjax.train.windows.",
)
KNOWN += (
  "vidjax.tasks.",
  "vidjax.recipe.DataSettings",
  "vidjax.recipe.Settings",
  "flax.linen.",
  "jax.nn.",
  "jax.numpy.",
  "optax.",
)
HARMFUL = ("jax.numpy.save", "jax.numpy.savez", "jax.numpy.load", "jax.numpy.fromfile")


def check(config: Mapping[str, Any], source: pathlib.Path, trusted: bool = False) -> None:
  """Raises an InputError where a config makes what is not meant to be made and this user has not trained it.

  Args:
    config: plain nested dicts.
    source: the file it comes from, for the message.
    trusted: `--trust` was given.
  """
  foreign = _foreign(config)
  if foreign and not trusted and _digest(config) not in _remembered():
    raise InputError(
      f"{source} runs code from outside vidjax ({', '.join(foreign[:3])}), and was not trained here by you: look at it,"
      " then add --trust"
    )


def remember(config: Mapping[str, Any]) -> None:
  """Notes that this user trains a config; one that names nothing foreign needs no note."""
  if not _foreign(config) or _digest(config) in _remembered():
    return
  path = _file()
  path.parent.mkdir(parents=True, exist_ok=True)
  with path.open("a", encoding="utf-8") as file:
    file.write(f"{_digest(config)}\n")


def _foreign(config: Mapping[str, Any]) -> list[str]:
  """The dotted paths that are not meant to be made."""
  return sorted({name for name in _made(config) if not name.startswith(KNOWN) or name.startswith(HARMFUL)})


def _made(value: Any) -> Iterator[str]:
  """Every dotted path a config makes, and the module that a data set of this name is made by."""
  if isinstance(value, Mapping):
    name = value.get("data", {}).get("name", "") if isinstance(value.get("data"), Mapping) else ""
    yield from (f"{family}.prepare" for family in [str(name).partition("/")[0]] if "." in family)
    yield from (str(value["make"]) for _ in range("make" in value))
    value = list(value.values())
  if isinstance(value, (list, tuple)):
    for part in value:
      yield from _made(part)


def _digest(config: Mapping[str, Any]) -> str:
  return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def _file() -> pathlib.Path:
  home = os.environ.get("XDG_STATE_HOME") or pathlib.Path.home() / ".local" / "state"
  return pathlib.Path(home) / "vidjax" / "trained"


def _remembered() -> set[str]:
  path = _file()
  return set(path.read_text(encoding="utf-8").split()) if path.is_file() else set()
