"""What modules refuse, in one wording."""

import dataclasses
import functools
import inspect
import reprlib
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

import flax.linen as nn
import jax
import numpy as np

from vidjax.bounds import Bound
from vidjax.errors import ConfigError, InputError

P = ParamSpec("P")
R = TypeVar("R")


def check_clip(module: nn.Module, x: jax.Array) -> None:
  """Raises ConfigError for attributes of wrong types, InputError for images, empty clips and raw pixels.

  Args:
    module: bound; the error names it and its place.
    x: what it was called with, `[..., T, H, W, C]`.
  """
  check_fields(module)
  if x.ndim < 5:
    raise InputError(
      f"{type(module).__name__} at {place(module)} takes clips [B, T, H, W, C], got the shape {x.shape}: "
      "give an image an axis of one frame"
    )
  if 0 in x.shape:
    raise InputError(f"{type(module).__name__} at {place(module)} got an empty clip, {x.shape}: leave it out")
  if not jax.numpy.issubdtype(x.dtype, jax.numpy.inexact):
    raise InputError(
      f"{type(module).__name__} at {place(module)} got pixels of {x.dtype}: give what the network was trained on, "
      "(pixels / 255 - mean) / std"
    )


def check_features(module: nn.Module, features: jax.Array) -> None:
  """Raises ConfigError for attributes of wrong types, InputError for what is no float `[B, T, F]`.

  Args:
    module: bound; the error names it and its place.
    features: what it was called with.
  """
  check_fields(module)
  if features.ndim != 3 or not jax.numpy.issubdtype(features.dtype, jax.numpy.inexact):
    raise InputError(
      f"{type(module).__name__} at {place(module)} takes float features [B, T, F], got {features.dtype} of the shape"
      f" {features.shape}: set config.stream to vidjax.data.streams.Features"
    )


def check_fields(made: Any) -> None:
  """Raises ConfigError where an attribute of a module or another dataclass is not of its annotated type and bounds."""
  kinds = annotations(type(made))
  for field in dataclasses.fields(made):
    value, kind = getattr(made, field.name, field.default), kinds.get(field.name, field.type)
    given = tuple(value) if isinstance(value, list) else value
    if field.name not in ("parent", "name") and value is not field.default and not fits(given, kind):
      where = f" at {place(made)}" if isinstance(made, nn.Module) and made.scope else ""
      hint = f": write {value.__name__}()" if inspect.isclass(value) else ""
      raise ConfigError(f"{type(made).__name__}({shown(field.name, value)}){where}: must be {wanted(kind)}{hint}")


def checked(function: Callable[P, R]) -> Callable[P, R]:
  """The function, which now raises ConfigError for an argument that is not of its annotated type and bounds."""
  signature = inspect.signature(function)

  @functools.wraps(function)
  def call(*args: P.args, **kwargs: P.kwargs) -> R:
    kinds = annotations(function)
    for name, value in signature.bind(*args, **kwargs).arguments.items():
      given = tuple(value) if isinstance(value, list) else value
      if name in kinds and value is not signature.parameters[name].default and not fits(given, kinds[name]):
        raise ConfigError(f"{function.__name__}({shown(name, value)}): must be {wanted(kinds[name])}")
    return function(*args, **kwargs)

  return call


@functools.cache
def annotations(target: Any) -> Mapping[str, Any]:
  """What a class's fields or a function's parameters are annotated with; strings where a name in one is unknown."""
  function = target.func if isinstance(target, functools.partial) else target
  if inspect.isclass(function) and not dataclasses.is_dataclass(function):
    function = function.__init__
  try:
    return get_type_hints(function, include_extras=True)
  except (NameError, TypeError, AttributeError):
    return {name: parameter.annotation for name, parameter in inspect.signature(function).parameters.items()}


def shown(name: str, value: Any) -> str:
  """An argument as messages show it: one line, cut where it is long.

  Args:
    name: of the argument.
    value: what was given.
  """
  return f"{name}={' '.join(reprlib.repr(value).split())}"


def divided(module: Any, x: jax.Array, divisor: str = "reduction", first: int = 1, least: int = 1) -> int:
  """The channels over a field of the module, such as a bottleneck's width.

  Args:
    module: bound, with that field.
    x: `[..., C]`.
    divisor: the field's name.
    first: the smallest divisor, for the message.
    least: ConfigError where fewer channels are left.
  """
  check_fields(module)
  channels, by = x.shape[-1], getattr(module, divisor)
  if channels < least * by:
    most = channels // least
    remedy = f"choose a {divisor} from {first} to {most}" if most >= first else f"it takes {first * least} or more"
    name = f"{type(module).__name__}({divisor}={by}) at {place(module, x)}"
    raise ConfigError(f"{name}: {channels} channels leave {channels // by}; {remedy}")
  return channels // by


def place(module: nn.Module, x: jax.Array | None = None) -> str:
  """Where in the network a bound module sits, for messages, as in `backbone/res3/block0/after_SE`, and what it gets.

  Args:
    module: bound.
    x: what it was called with, whose shape is named, too.
  """
  got = "" if x is None else f" on {'x'.join(map(str, x.shape))}"
  return f"{'/'.join(module.path) or 'the top'}{got}"


def fits(value: Any, kind: Any) -> bool:
  """Whether a value is of an annotated type and within its bounds; True also where that cannot be told.

  Args:
    value: any value.
    kind: an annotation.
  """
  origin, inner = get_origin(kind), get_args(kind)
  if origin is Annotated:
    return fits(value, inner[0]) and all(bound.holds(value) for bound in bounds(kind))
  if origin is Literal:
    return any(fits(value, type(one)) and value == one for one in inner)
  if origin in (Union, types.UnionType):
    return any(fits(value, one) for one in inner)
  if origin in (tuple, Sequence):
    if not isinstance(value, origin) or isinstance(value, str):
      return False
    kinds = inner if origin is tuple and ... not in inner else len(value) * inner[:1]
    return len(kinds) == len(value) and all(map(fits, value, kinds))
  if origin is Mapping:
    return hasattr(value, "items") and all(fits(key, inner[0]) and fits(one, inner[1]) for key, one in value.items())
  if origin is Callable:
    return callable(value)
  if kind in (int, float):
    numbers = (int, np.integer) if kind is int else (int, float, np.integer, np.floating)
    return isinstance(value, numbers) and not isinstance(value, bool)
  if kind is bool:
    return isinstance(value, (bool, np.bool_))
  known = kind in (str, types.NoneType, nn.Module) or (inspect.isclass(kind) and dataclasses.is_dataclass(kind))
  return isinstance(value, kind) if known else True


def wanted(kind: Any) -> str:
  """An annotated type and its bounds in words."""
  origin, inner = get_origin(kind), get_args(kind)
  if origin is Annotated:
    return " and ".join(bound.words for bound in bounds(kind)) or wanted(inner[0])
  if origin is Literal:
    return f"one of {', '.join(map(str, inner))}" if len(inner) > 1 else repr(*inner)
  if origin in (Union, types.UnionType):
    return " or ".join(map(wanted, inner))
  if origin in (tuple, Sequence):
    words = ["..." if one is ... else wanted(one) for one in inner]
    if set(words) <= {words[0], "..."} and words[0] != inspect.formatannotation(inner[0]):
      return f"a tuple{'' if origin is Sequence or ... in inner else f' of {len(inner)}'}, each {words[0]}"
    return f"tuple[{', '.join(words)}]" if origin is tuple else inspect.formatannotation(kind)
  if origin is Callable:
    return "a function"
  return "None" if kind is types.NoneType else inspect.formatannotation(kind)


def bounds(kind: Any) -> list[Bound]:
  """The bounds that a type is annotated with."""
  return [one for one in getattr(kind, "__metadata__", ()) if isinstance(one, Bound)]
