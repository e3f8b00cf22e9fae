"""Every attribute of every part of a config as a flag, those included that its file leaves at their defaults.

Flags of ml_collections reach the keys that stand in a config. So `open_up` adds the missing keys, with their defaults,
to the sections that a flag names. Once the flags are parsed, `tidy` removes those that no flag has changed.
"""

import ast
import functools
import inspect
import re
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from absl import flags
from ml_collections import ConfigDict, FieldReference
from ml_collections.config_flags import config_path, register_flag_parser, tuple_parser

from vidjax.build import _with_config_dicts, arguments_of, defaults_of, described, locate, nearest
from vidjax.checks import annotations
from vidjax.errors import ConfigError
from vidjax.sections import DEFAULTS

Path = tuple[Any, ...]
"""Where a value stands: ("transforms", 0, "size")."""

IMPLIED = {"data": "vidjax.recipe.DataSettings", "train": "vidjax.recipe.Settings", **DEFAULTS}
"""What the sections make that need no "make"."""

AROUND, OUTER = "vidjax.train.optimizer.around", ("groups", "clip_norm")
"""What takes the keys that a section `optimizer` has beside those of an optimizer of optax, and these keys."""

REQUIRED = inspect.Parameter.empty
"""In place of a default or an annotation that there is not."""

PARSERS = {
  bool: flags.BooleanParser(),
  int: flags.IntegerParser(),
  float: flags.FloatParser(),
  str: flags.ArgumentParser(),
  tuple: tuple_parser.TupleParser(),
}


class Added(NamedTuple):
  """A key that the file does not set: its section, its name and its default.

  Attributes:
    section: the part of the config that has it.
    key: its name there.
    default: its value, as plain data.
  """

  section: ConfigDict
  key: str
  default: Any


def open_up(config: ConfigDict, argv: Sequence[str]) -> list[Added]:
  """Makes the keys settable that the flags `--config.a.b=value` name.

  A flag `--config.a.b.make=PATH` with another path than before makes a fresh section. Of the old one it keeps what the
  new one cannot do without, and what other flags set. An index one past the end of a tuple adds an element.

  Args:
    config: as its file made it; changed in place.
    argv: the command line.

  Returns:
    The keys added, for `tidy`.

  Raises:
    ConfigError: there is nothing of that path to make, or nothing of that key to set.
  """
  given, added = _given(argv), []
  for path in given:
    if path[0] == "phases" and len(path) > 2:
      _inherit(config, path, added)
  for path in sorted((path for path in given if path[-1] == "make" and len(path) > 1), key=len):
    _remake(config, path[:-1], given, added)
  for path in given:
    _check_there(config, path, added)
    section = _at(config, path[:-1], added)
    if isinstance(section, ConfigDict) and path[-1] in section:
      _allow(section, path)
    parts = [other for other in given if other != path and other[: len(path)] == path]
    if given[path] == "None" and parts:
      raise ConfigError(f"{_name(path)}=None is given together with {_name(parts[0])}: leave one of them out")
  return added


def tidy(added: Sequence[Added]) -> None:
  """Removes the keys that `open_up` added and that still have their defaults."""
  for section, key, default in reversed(added):  # inner sections first
    if key in section and _plain(section[key]) == default:
      with section.unlocked():
        del section[key]


def _given(argv: Sequence[str]) -> dict[Path, str]:
  """The keys that flags set, each with its last text."""
  found: dict[Path, str] = {}
  for flag, following in zip(argv, [*argv[1:], ""], strict=True):
    match = re.fullmatch(r"--?(?:no)?config\.([^=]+)(=?)(.*)", flag, re.DOTALL)
    if match:
      name, equals, text = match.groups()
      try:
        found[config_path.split(name)] = text if equals else following
      except ValueError:  # ml_collections has a message for it
        continue
  return found


def _at(config: ConfigDict, path: Path, added: list[Added]) -> Any:
  """What stands at a path, or None; every section on the way gets the keys that it lacks."""
  value: Any = config
  _fill(config, (), added)
  for end, part in enumerate(path, start=1):
    if isinstance(value, ConfigDict) and isinstance(part, str):
      if type(value.get(part)) is dict:  # a file's mapping in place of a placeholder
        _put(value, part, _ready(value[part]))
      value = value.get(part)
    elif isinstance(value, (tuple, list)) and isinstance(part, int) and -len(value) <= part < len(value):
      value = value[part]
    else:
      return None
    if isinstance(value, ConfigDict):
      _fill(value, path[:end], added)
  return value


def _fill(section: ConfigDict, path: Path, added: list[Added]) -> None:
  """Adds the keys that a section lacks."""
  for name in DEFAULTS if not path else ():
    if name not in section:
      _put(section, name, ConfigDict())
      added.append(Added(section, name, {}))
  for key, (kinds, value) in _attributes(section, path).items():
    if key not in section:
      try:
        default = None if value is REQUIRED else described(value)
      except ConfigError:  # a function, say: a flag can name no other
        continue
      made = _ready(default)
      _put(section, key, made if isinstance(made, ConfigDict) else FieldReference(made, _flag_type(kinds)))
      added.append(Added(section, key, default))


def _attributes(section: ConfigDict, path: Path) -> dict[str, tuple[frozenset[type], Any]]:
  """What a section may hold: name -> the types it takes, and its default."""
  make = _make(section, path)
  try:
    found = _arguments(locate(make)) if make else {}
  except ConfigError:  # `build` has the same message for it
    return {}
  if path == ("optimizer",) and str(make).startswith("optax."):
    found |= {name: one for name, one in _arguments(locate(AROUND)).items() if name in OUTER}
  return {name: (_kinds(annotation, default), default) for name, (annotation, default) in found.items()}


def _arguments(target: Any) -> dict[str, tuple[Any, Any]]:
  """Name -> annotation and default of what a class or function takes, REQUIRED where it has none."""
  try:
    names, defaults, kinds = arguments_of(target), defaults_of(target), annotations(target)
  except (TypeError, ValueError):  # no function, or one of Python's own, which may have no signature
    return {}
  return {name: (kinds.get(name, REQUIRED), defaults.get(name, REQUIRED)) for name in names}


def _make(section: ConfigDict, path: Path) -> Any:
  return section.get("make", IMPLIED.get(path[0]) if len(path) == 1 else None)


def _inherit(config: ConfigDict, path: Path, added: list[Added]) -> None:
  """Gives a phase, which holds changes alone, the key that a flag sets there, as the config has it."""
  section = _at(config, path[:2], [])
  for end in range(2, len(path)):
    outside, key = _at(config, path[2:end], added), path[end]
    if not isinstance(section, ConfigDict) or not isinstance(outside, ConfigDict) or key not in outside:
      return
    value = outside[key]
    if key not in section:
      _put(section, key, _ready({} if isinstance(value, ConfigDict) else _plain(value)))
    section = section[key]
    if _other(section, value):
      return


def _other(section: Any, outside: Any) -> bool:
  """Whether a section of a phase replaces that of the config, in place of changing it."""
  both = isinstance(section, ConfigDict) and isinstance(outside, ConfigDict)
  return both and section.get("make", outside.get("make")) != outside.get("make")


def _remake(config: ConfigDict, path: Path, given: Mapping[Path, str], added: list[Added]) -> None:
  """Makes a fresh section where a flag names another make; leaves paths that there are not to ml_collections."""
  make = given[(*path, "make")]
  try:
    target = locate(make)
  except ConfigError as error:
    raise ConfigError(f"{_name(path)}.{error}") from None
  index = path[-1] if isinstance(path[-1], int) else None
  *outer, key = path if index is None else path[:-1]
  holder = _at(config, tuple(outer), added)
  if not isinstance(holder, ConfigDict) or key not in holder:
    return
  old: Any = holder[key]
  if index is not None:
    parts = tuple(old or ())
    if not -len(parts) <= index <= len(parts):
      return
    before, old, after = parts[:index], next(iter(parts[index:]), None), parts[index:][1:]
  if not isinstance(old, ConfigDict):
    fresh = ConfigDict({"make": make})
    _put(holder, key, fresh if index is None else (*before, fresh, *after))
  elif _make(old, path) != make:
    kept = {name for name, (_, default) in _arguments(target).items() if default is REQUIRED}
    kept |= {other[len(path)] for other in given if other[: len(path)] == path}
    with old.unlocked():
      for name in [name for name in old if name not in kept]:
        del old[name]
      old["make"] = make


def _allow(section: ConfigDict, path: Path) -> None:
  """Lets a key take what is annotated, None included, in place of what its present value is like."""
  key, attributes = path[-1], _attributes(section, path[:-1])
  field = dict(section.items(preserve_field_references=True))[key]
  if key in attributes:
    kinds, _ = attributes[key]
  elif isinstance(field, FieldReference):  # a placeholder, which may be None
    kinds = frozenset({field.get_type(), types.NoneType})
  elif field is None:
    kinds = frozenset({object, types.NoneType})
  else:
    return
  if isinstance(section[key], ConfigDict) and types.NoneType not in kinds:
    return
  try:
    _put(section, key, FieldReference(section[key], _flag_type(kinds)))
  except TypeError:  # the file has set something else
    return


def _check_there(config: ConfigDict, path: Path, added: list[Added]) -> None:
  """Raises a ConfigError for a flag that sets what there is not, with what there is."""
  for end, part in enumerate(path):
    section, where = _at(config, path[:end], added), _name(path[:end])
    what = f"{_name(path)}: {where.lstrip('-')}"
    if section is None:
      raise ConfigError(f"{what} is None: say what to make with {where}.make=PATH")
    if isinstance(section, (tuple, list)):
      if not isinstance(part, int) or not -len(section) <= part < len(section):
        more = f": {where}[{len(section)}].make=PATH adds an element" * (len(path) > end + 1)
        raise ConfigError(f"{what} has the length {len(section)}{more}")
    elif not isinstance(section, ConfigDict):
      raise ConfigError(f"{what} is {section!r}, which has no parts")
    elif part not in section:
      outside = _at(config, path[2:end], added) if path[0] == "phases" and end > 1 else ()  # which a phase may change
      keys = [*dict.fromkeys([*section, *(outside if isinstance(outside, ConfigDict) else ())])]
      raise ConfigError(f"{what} has no key {part!r} (it has {', '.join(keys) or 'none'}){nearest(str(part), keys)}")


def _put(section: ConfigDict, key: str, value: Any) -> None:
  with section.unlocked():
    if key in section:
      del section[key]  # its type, too
    section[key] = value


def _ready(value: Any) -> Any:
  """A plain value as a config holds it."""
  return _with_config_dicts(ConfigDict({"value": value}))["value"]


def _plain(value: Any) -> Any:
  if isinstance(value, (ConfigDict, dict)):
    return {key: _plain(value[key]) for key in value}
  return tuple(map(_plain, value)) if isinstance(value, (tuple, list)) else value


def _name(path: Path) -> str:
  indices = (", ".join(map(str, part if isinstance(part, tuple) else [part])) for part in path)
  return "--config" + "".join(
    f".{x}" if isinstance(part, str) else f"[{x}]" for part, x in zip(path, indices, strict=True)
  )


def _kinds(annotation: Any, default: Any) -> frozenset[type]:
  """The types that an argument takes; `object` is any."""
  if annotation is REQUIRED or isinstance(annotation, str):
    kinds = {type(default)} if type(default) in PARSERS else {object}
  else:
    kinds = _alternatives(annotation)
  if type(default) is float and object in kinds and not kinds & {str, tuple}:
    kinds = {float}  # of optax, whose numbers may be arrays
  return frozenset(kinds | ({types.NoneType} if default is None else set()))


def _alternatives(annotation: Any) -> set[type]:
  origin, inner = get_origin(annotation), get_args(annotation)
  if origin is Annotated:
    return _alternatives(inner[0])
  if origin is Literal:
    return {type(one) for one in inner}
  if origin in (Union, types.UnionType):
    return set().union(*map(_alternatives, inner))
  if (origin or annotation) in (tuple, list, Sequence):
    return {tuple}
  return {annotation} if annotation in (*PARSERS, types.NoneType) else {object}


@functools.cache
def _flag_type(kinds: frozenset[type]) -> type:
  """The type of a flag: Python's where there is one, or one of our own that has a parser for several."""
  if len(kinds) == 1 and kinds <= {*PARSERS}:
    return next(iter(kinds))
  return register_flag_parser(parser=_Parser(kinds))(_Several("Several", (), {}))


class _Several(type):
  """A type of which a ConfigDict takes every value: `build` checks what it is."""

  def __instancecheck__(cls, instance: Any) -> bool:
    return True


class _Parser(flags.ArgumentParser):
  """Reads None where that is allowed; then by the one type there is, or else as a literal of Python."""

  def __init__(self, kinds: frozenset[type]):
    self.none = types.NoneType in kinds
    single = kinds - {types.NoneType}
    self.parser = PARSERS.get(next(iter(single))) if len(single) == 1 else None

  def parse(self, argument: Any) -> Any:
    """The value of a text; anything else is a value already."""
    if not isinstance(argument, str) or (self.none and argument == "None"):
      return None if argument == "None" else argument
    if self.parser:
      return self.parser.parse(argument)
    try:
      return ast.literal_eval(argument)
    except (SyntaxError, ValueError):
      return argument
