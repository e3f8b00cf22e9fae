"""What modules refuse, in one wording."""

import dataclasses
import inspect
import reprlib
import types
from collections.abc import Sequence
from typing import Any, Literal, Union, get_args, get_origin

import flax.linen as nn
import jax
import numpy as np

from vidjax.errors import ConfigError, InputError


def check_clip(module: nn.Module, x: jax.Array) -> None:
  """Raises ConfigError for attributes of wrong types, InputError for images, empty clips and raw pixels."""
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


def check_fields(made: Any) -> None:
  """Raises ConfigError where an attribute of a module or another dataclass is not of its annotated type."""
  where = f" at {place(made)}" if isinstance(made, nn.Module) and made.scope else ""
  for field in dataclasses.fields(made):
    value = getattr(made, field.name, field.default)
    given = tuple(value) if isinstance(value, list) else value
    if field.name not in ("parent", "name") and value is not field.default and not fits(given, field.type):
      name = f"{type(made).__name__}({field.name}={' '.join(reprlib.repr(value).split())})"
      hint = f": write {value.__name__}()" if inspect.isclass(value) else ""
      raise ConfigError(f"{name}{where}: must be {wanted(field.type)}{hint}")


def bottleneck(module: Any, x: jax.Array, least: int = 1) -> int:
  """The hidden width, the channels over `module.reduction`; ConfigError where that is under `least`."""
  check_fields(module)
  channels = x.shape[-1]
  hidden = channels // module.reduction if module.reduction > 0 else 0
  if hidden < least:
    remedy = f"choose a reduction from 1 to {channels // least}" if channels >= least else f"it takes {least} or more"
    raise ConfigError(
      f"{type(module).__name__}(reduction={module.reduction}) at {place(module, x)}: {channels} channels leave "
      f"{hidden} inside; {remedy}"
    )
  return hidden


def place(module: nn.Module, x: jax.Array | None = None) -> str:
  """Where in the network a bound module sits, for messages, as in `backbone/res3/block0/after_SE`, and what it gets."""
  got = "" if x is None else f" on {'x'.join(map(str, x.shape))}"
  return f"{'/'.join(module.path) or 'the top'}{got}"


def fits(value: Any, kind: Any) -> bool:
  """Whether a value is of an annotated type; True also where that cannot be told. Lengths are left to the class."""
  origin, inner = get_origin(kind), get_args(kind)
  if origin is Literal:
    return any(fits(value, type(one)) and value == one for one in inner)
  if origin in (Union, types.UnionType):
    return any(fits(value, one) for one in inner)
  if origin in (tuple, Sequence):
    if not isinstance(value, origin) or isinstance(value, str):
      return False
    kinds = inner if origin is tuple and ... not in inner else len(value) * inner[:1]
    return len(kinds) != len(value) or all(map(fits, value, kinds))
  if kind in (int, float):
    numbers = (int, np.integer) if kind is int else (int, float, np.integer, np.floating)
    return isinstance(value, numbers) and not isinstance(value, bool)
  if kind is bool:
    return isinstance(value, (bool, np.bool_))
  known = kind in (str, types.NoneType, nn.Module) or (inspect.isclass(kind) and dataclasses.is_dataclass(kind))
  return isinstance(value, kind) if known else True


def wanted(kind: Any) -> str:
  """An annotated type in words."""
  if get_origin(kind) is Literal:
    choices = get_args(kind)
    return f"one of {', '.join(map(str, choices))}" if len(choices) > 1 else repr(*choices)
  if get_origin(kind) in (Union, types.UnionType):
    return " or ".join(map(wanted, get_args(kind)))
  if get_origin(kind) is tuple:
    return f"tuple[{', '.join('...' if one is ... else wanted(one) for one in get_args(kind))}]"
  return "None" if kind is types.NoneType else inspect.formatannotation(kind)
