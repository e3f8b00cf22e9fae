"""Bounds as annotations: a field `kernel: Odd` says what it takes, and `vidjax.checks` refuses everything else.

A bound of its own is written where it is needed: `frames: Annotated[int, at_least(2)]`.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Annotated, Any


@dataclasses.dataclass(frozen=True)
class Bound:
  """What a value must be beside its type.

  Attributes:
    words: what it must be, type included; a message reads "must be <words>".
    holds: whether a value of the type is so; by default every one.
  """

  words: str
  holds: Callable[[Any], Any] = lambda _: True


def at_least(least: int) -> Bound:
  """The bound of whole numbers from `least` on."""
  return Bound(f"an int of at least {least}", lambda n: n >= least)


def between(least: float, most: float) -> Bound:
  """The bound of numbers from `least` to `most`, both included.

  Args:
    least: the smallest number.
    most: the largest one.
  """
  return Bound(f"a number from {least:g} to {most:g}", lambda x: least <= x <= most)


def odd(least: int) -> Bound:
  """The bound of odd numbers from `least` on."""
  return Bound(f"an odd int of at least {least}", lambda n: n >= least and n % 2 == 1)


Whole = Annotated[int, at_least(0)]
Count = Annotated[int, at_least(1)]
Odd = Annotated[int, odd(1)]
Share = Annotated[float, between(0, 1)]
Rate = Annotated[float, Bound("a number from 0 to below 1", lambda x: 0 <= x < 1)]
"""Of dropout, and of averages that forget, such as a momentum."""
NonNegative = Annotated[float, Bound("a finite number of at least 0", lambda x: 0 <= x < math.inf)]
Positive = Annotated[float, Bound("a finite number above 0", lambda x: 0 < x < math.inf)]
Fraction = Annotated[float, Bound("a number above 0 and up to 1", lambda x: 0 < x <= 1)]
Between = Annotated[float, Bound("a number between 0 and 1", lambda x: 0 < x < 1)]
Range = Annotated[tuple[float, float], Bound("two ascending numbers above 0", lambda r: 0 < r[0] <= r[1] < math.inf)]
