"""Bounds in annotations are read wherever they stand, in fields and in parameters, also where these are strings."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import flax.linen as nn
import numpy as np
import pytest

from vidjax.bounds import Bound, Count, NonNegative, Odd, Positive, Rate, Share, Whole, at_least, between
from vidjax.build import build
from vidjax.checks import check_fields, checked, fits, wanted
from vidjax.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Settings:
  """Annotations that are strings here, as those of any file with this import."""

  count: Count | None = None
  kernel: tuple[Odd, Odd, Odd] = (3, 3, 3)
  sizes: tuple[Count, ...] = ()
  pads: Sequence[tuple[Whole, Whole]] = ()
  weights: Mapping[str, NonNegative | Callable[[int], float]] = dataclasses.field(default_factory=dict)
  names: Annotated[tuple[str, ...], Bound("one or more names", len)] = ("a",)
  places: tuple[Literal["in", "out"], Literal["in", "out"]] = ("in", "out")

  def __post_init__(self):
    check_fields(self)


class Module(nn.Module):
  """A module whose annotations are strings."""

  kernel: Odd = 3


@checked
def function(first: Positive, *, share: Share = 0.5, near: Annotated[int, at_least(2), Bound("even", _even)] = 2):
  """Returns its arguments."""
  return first, share, near


def _even(number: int) -> bool:
  return number % 2 == 0


partial = functools.partial(Settings, count=3)


@pytest.mark.parametrize(
  ("kind", "good", "bad"),
  [
    (Whole, (0, np.int64(3)), (-1, 1.0, True, None)),
    (Count, (1, 7), (0, "1")),
    (Odd, (1, 3), (0, 2, -1, 3.0)),
    (Share, (0, 1, 0.5, np.float32(1)), (-0.1, 1.1, math.nan)),
    (Rate, (0, 0.999), (1, math.nan)),
    (NonNegative, (0, 5.0), (-1, math.inf, math.nan)),
    (Positive, (1e-9, 5), (0, math.inf)),
    (Annotated[float, between(1, 30)], (1, 30), (0.9, 31)),
  ],
)
def test_a_bound_holds_or_not(kind, good, bad):
  assert all(fits(value, kind) for value in good)
  assert not any(fits(value, kind) for value in bad)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"count": 0}, r"Settings\(count=0\): must be an int of at least 1 or None$"),
    ({"kernel": (3, 3)}, r"Settings\(kernel=\(3, 3\)\): must be a tuple of 3, each an odd int of at least 1$"),
    ({"kernel": (3, 2, 3)}, r"kernel=\(3, 2, 3\)\): must be a tuple of 3, each an odd int"),
    ({"sizes": (1, 0)}, r"sizes=\(1, 0\)\): must be a tuple, each an int of at least 1$"),
    ({"pads": ((0, 1), (0, -1))}, r"must be a tuple, each a tuple of 2, each an int of at least 0$"),
    ({"weights": {"a": -1}}, r"Settings\(weights={'a': -1}\): must be "),
    ({"weights": {1: 1}}, r"weights={1: 1}\): must be "),
    ({"weights": 3}, r"weights=3\): must be "),
    ({"names": ()}, r"names=\(\)\): must be one or more names$"),
    ({"names": (3,)}, r"names=\(3,\)\): must be one or more names$"),
    ({"places": ("in", "up")}, r"must be a tuple of 2, each one of in, out$"),
    ({"places": ("in",)}, r"must be a tuple of 2, each one of in, out$"),
  ],
)
def test_a_field_names_what_it_must_be(options: dict[str, Any], message):
  with pytest.raises(ConfigError, match=message):
    Settings(**options)
  for target in ("Settings", "partial"):
    with pytest.raises(ConfigError, match=rf"^{__name__}\.{target}\(.*{message.partition('(')[2] or message}"):
      build({"make": f"{__name__}.{target}", **options})


def test_what_fits_passes():
  Settings(3, (1, 3, 5), (1, 2), ((0, 1),), {"a": 0, "b": abs}, ("a", "b"), ("out", "out"))
  Settings(kernel=[1, 1, 1])  # pyright: ignore[reportArgumentType]


def test_strings_in_modules_are_read():
  with pytest.raises(ConfigError, match=r"^Module\(kernel=2\): must be an odd int of at least 1$"):
    check_fields(Module(2))


def test_the_parameters_of_a_function():
  assert function(1) == (1, 0.5, 2)
  assert function(1, near=4, share=1) == (1, 1, 4)
  with pytest.raises(ConfigError, match=r"^function\(first=0\): must be a finite number above 0$"):
    function(0)
  with pytest.raises(ConfigError, match=r"^function\(near=3\): must be an int of at least 2 and even$"):
    function(1, near=3)
  with pytest.raises(ConfigError, match=rf"^{__name__}\.function\(share=2\): must be a number from 0 to 1$"):
    build({"make": f"{__name__}.function", "first": 1, "share": 2})
  with pytest.raises(TypeError, match="missing a required argument: 'first'"):
    function()  # pyright: ignore[reportCallIssue]


def test_a_list_is_as_good_as_a_tuple():
  @checked
  def sizes(values: tuple[Count, ...]) -> int:
    return len(values)

  assert sizes([1, 2]) == 2  # pyright: ignore[reportArgumentType]
  with pytest.raises(ConfigError, match=r"values=\[0\]\): must be a tuple, each an int of at least 1"):
    sizes([0])  # pyright: ignore[reportArgumentType]


def test_a_name_that_is_unknown_hides_no_mistake_elsewhere():
  def local(x, y):
    """One of its annotations is a name that only a type checker would know."""

  local.__annotations__ = {"x": "Unknown", "y": int}
  assert checked(local)(1, 2) is None
  with pytest.raises(ConfigError, match=r"local\(y='two'\): must be int"):
    checked(local)(1, "two")


def test_plain_types_read_as_before():
  assert wanted(tuple[int, int]) == "tuple[int, int]"
  assert wanted(Sequence[int]) == "collections.abc.Sequence[int]"
  assert wanted(Annotated[int, "a note"]) == "int"
