"""Configs to objects and back: `{"make": "package.module.Name", **arguments}` is `Name(**arguments)`."""

import dataclasses
import difflib
import functools
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


def described(value: Any, *told: str) -> Any:
  """The inverse of `build`: `Insert(TSM(4), "before")` as the mapping with "make" that builds it.

  A mapping holds the fields that differ from their defaults. `functools.partial(steps, learning_rate=0.01)` stands for
  a call that lacks what `build` adds, and holds all of its arguments.

  Args:
    value: Linen modules and other dataclasses, partials of what makes them, numbers, strings, None, and tuples, lists
      and mappings of these.
    *told: names of fields that are written although they have their default.

  Raises:
    ConfigError: a value of another kind, such as an array or a function, which no config can hold.
  """
  if value is None or isinstance(value, (bool, int, float, str)):
    return value
  if type(value) in (tuple, list):
    return tuple(described(one, *told) for one in value)
  if isinstance(value, Mapping):
    return {key: described(one, *told) for key, one in value.items()}
  if isinstance(value, functools.partial):
    target, default = value.func, {}
    fields = {**dict(zip(arguments_of(target), value.args, strict=False)), **value.keywords}
  elif dataclasses.is_dataclass(value) and not isinstance(value, type):
    target, default = type(value), defaults_of(type(value))
    fields = {name: getattr(value, name) for name in arguments_of(target)}
  else:
    raise ConfigError(f"{value!r}: a config holds numbers, strings, and modules and other dataclasses of these")
  path = f"{target.__module__}.{target.__qualname__}"
  if "<locals>" in path or locate(path) is not target:
    raise ConfigError(f"{path} is not to be imported: a config names what stands in a module")
  same = [name for name in default if name not in told and _same(fields[name], default[name])]
  return {"make": path, **{name: described(one, *told) for name, one in fields.items() if name not in same}}


def _same(one: Any, default: Any) -> bool:
  return one is default or (type(one) is type(default) and one == default)


def arguments_of(target: Any) -> Mapping[str, inspect.Parameter]:
  """The arguments that a config may give to a class or function, by their names."""
  hidden = ("parent", "name") if inspect.isclass(target) and issubclass(target, nn.Module) else ()
  return {
    name: parameter
    for name, parameter in inspect.signature(target).parameters.items()
    if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY) and name not in hidden
  }


def defaults_of(target: Any) -> dict[str, Any]:
  """The defaults of the arguments that have one."""
  made = {
    field.name: field.default_factory()
    for field in (dataclasses.fields(target) if dataclasses.is_dataclass(target) else ())
    if field.default_factory is not dataclasses.MISSING
  }
  given = {name: p.default for name, p in arguments_of(target).items() if p.default is not p.empty}
  return given | {name: value for name, value in made.items() if name in given}


def locate(path: str) -> Any:
  """The object at a dotted path, as in "vidjax.plugins.tsm.TSM"."""
  if not isinstance(path, str) or "." not in path:
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
  """Raises a ConfigError unless `target` takes these keyword arguments, of these types, and they are all it needs.

  Args:
    target: a class or function.
    arguments: its keyword arguments.
    path: what the error calls it.
  """
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
  """A hint naming the closest valid key, or an empty string.

  Args:
    key: what was written.
    valid: the keys there are.
  """
  close = difflib.get_close_matches(key, list(valid), n=1, cutoff=0.5)
  return f": did you mean {close[0]!r}?" if close else ""
