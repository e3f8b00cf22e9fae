"""Configs to objects: `{"make": "package.module.Name", **arguments}` becomes `Name(**arguments)`."""

import difflib
import importlib
import importlib.util
import inspect
from collections.abc import Mapping
from typing import Any

import flax.linen as nn

from vidjax.checks import annotations, fits, shown, wanted
from vidjax.errors import ConfigError


def _with_config_dicts(value: Any) -> Any:
  """A config in which the mappings inside tuples and lists are ConfigDicts, too."""
  from ml_collections import ConfigDict, FrozenConfigDict

  if isinstance(value, (tuple, list)):
    return type(value)(_with_config_dicts(x) for x in value)
  if isinstance(value, dict):
    value = ConfigDict(value)
  if isinstance(value, ConfigDict) and not isinstance(value, FrozenConfigDict):
    with value.unlocked():
      for key, x in value.items():
        walked = _with_config_dicts(x)
        if isinstance(x, (tuple, list)):
          value[key] = walked
  return value


def build(config: Any, **extra: Any) -> Any:
  """Builds the object a config describes, arguments first.

  Args:
    config: a mapping with the key "make" (a dotted path) and keyword arguments; lists and mappings are walked, other
      values are returned as they are.
    **extra: further keyword arguments for the outermost object, and for those inside that need one of this name (the
      number of classes of each stream of a network); an argument the config sets itself wins.

  Raises:
    ConfigError: (a TypeError) nothing of that name, an argument it does not take, or a value that its annotated
      type and bounds exclude; names the nearest valid one.
  """
  return _build(config, extra, outermost=True)


def _build(config: Any, extra: Mapping[str, Any], outermost: bool) -> Any:
  if isinstance(config, Mapping) or hasattr(config, "items"):
    arguments = {key: _build(value, extra, outermost=False) for key, value in config.items() if key != "make"}
    if "make" not in config:
      return arguments
    target = locate(config["make"])
    if not callable(target):
      raise ConfigError(f"make={config['make']!r} is a {type(target).__name__}: name a class or function in it")
    needed = extra if outermost else set(extra) & set(_required(inspect.signature(target).parameters))
    arguments = {**{name: extra[name] for name in needed}, **arguments}
    check_arguments(target, arguments, config["make"])
    return target(**arguments)
  if isinstance(config, (list, tuple)):
    return tuple(_build(value, extra, outermost=False) for value in config)
  return config


def locate(path: str) -> Any:
  """The object at a dotted path, as in "vidjax.plugins.tsm.TSM"."""
  if not isinstance(path, str):
    raise ConfigError(f"make={path!r}: must be a dotted path, such as 'vidjax.plugins.tsm.TSM'")
  module, _, name = path.rpartition(".")
  try:
    return getattr(importlib.import_module(module), name)
  except (ImportError, ValueError) as error:
    raise ConfigError(f"make={path!r}: cannot import {module!r} ({error})") from error
  except AttributeError:
    if hasattr(importlib.import_module(module), "__path__") and importlib.util.find_spec(path):
      raise ConfigError(f"make={path!r} is a module: name a class or function in it") from None
    names = vars(importlib.import_module(module))
    raise ConfigError(f"make={path!r}: {module} has no {name!r}{nearest(name, names)}") from None


def check_arguments(target: Any, arguments: Mapping[str, Any], path: str) -> None:
  """Raises a ConfigError unless `target` takes these keyword arguments, of these types, and they are all it needs."""
  parameters = inspect.signature(target).parameters
  takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
  linen = inspect.isclass(target) and issubclass(target, nn.Module)
  valid = [name for name in parameters if not (linen and name in ("parent", "name"))]
  for key in arguments:
    if key not in valid and not takes_any:
      raise ConfigError(f"{path} takes no {key!r}{nearest(key, valid)}; it takes {', '.join(valid) or 'nothing'}")
  missing = [name for name in _required(parameters) if name in valid and name not in arguments]
  if missing:
    raise ConfigError(f"{path} needs {', '.join(missing)}, which the config does not set")
  for key, kind in annotations(target).items():
    if key in arguments and key in parameters and not fits(arguments[key], kind):
      raise ConfigError(f"{path}({shown(key, arguments[key])}): must be {wanted(kind)}")


def _required(parameters: Mapping[str, inspect.Parameter]) -> list[str]:
  """Names of the parameters without a default."""
  kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
  return [name for name, p in parameters.items() if p.default is inspect.Parameter.empty and p.kind in kinds]


def nearest(key: str, valid: Any) -> str:
  """A hint naming the closest valid key, or an empty string."""
  close = difflib.get_close_matches(key, list(valid), n=1, cutoff=0.5)
  return f": did you mean {close[0]!r}?" if close else ""
