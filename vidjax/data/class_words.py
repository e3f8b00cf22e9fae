"""Class names that say which augmentation would change the class: a mirror left and right, a tint red and green.

A name tells left from right where one of its words is left, right, clockwise or the like. L and R, cw and ccw and the
like count only where the other word gives another class ("hand_l" beside "hand_r"): alone they mean too much else.
"""

import re
from collections.abc import Collection, Sequence

from vidjax.errors import ConfigError

_CLEAR = {"left", "right", "leftward", "rightward", "leftwards", "rightwards"}
_CLEAR |= {"clockwise", "counterclockwise", "anticlockwise"}
_PAIRS = [("l", "r"), ("lt", "rt"), ("lh", "rh"), ("lhs", "rhs"), ("cw", "ccw"), ("cw", "acw"), ("east", "west")]
_PAIRS += [("links", "rechts"), ("gauche", "droite"), ("izquierda", "derecha")]
_VERTICAL = [("up", "down"), ("upward", "downward"), ("upwards", "downwards"), ("top", "bottom")]
_OTHERS = {"cleft", "bright", "upright", "outright", "fright", "wright", "alright", "copyright", "forthright"}
_COLOURS = {"red", "green", "blue", "yellow", "orange", "purple", "violet", "pink", "brown", "black", "white"}
_COLOURS |= {"grey", "gray", "cyan", "magenta"}


def words(name: str) -> list[str]:
  """The words of a class name in small letters, as in "TurnLeft", "turn_left" and "turn left"."""
  name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
  return re.findall(r"[^\W\d_]+", re.sub(r"(counter|anti)[\s_-]+(?=clockwise)", r"\1", name.casefold()))


def directed(class_names: Sequence[str], vertical: bool = True) -> list[str]:
  """The class names that a mirror makes wrong, in their order.

  Args:
    class_names: the classes.
    vertical: whether up and down count as left and right do. A mirror keeps them, but who tells them apart loses little
      without it.
  """
  pairs, known = [*_PAIRS, *(_VERTICAL if vertical else ())], _known(class_names)
  return [name for name in class_names if any(map(_is_clear, words(name))) or _has_partner(name, known, pairs)]


def coloured(class_names: Sequence[str]) -> list[str]:
  """The class names that differ from another one in a colour alone, in their order."""
  known = _known(class_names)

  def pairs(name: str) -> list[tuple[str, str]]:
    return [(one, other) for one in _COLOURS & {*words(name)} for other in _COLOURS - {one}]

  return [name for name in class_names if _has_partner(name, known, pairs(name))]


def _known(class_names: Sequence[str]) -> set[tuple[str, ...]]:
  return {tuple(words(name)) for name in class_names}


def _is_clear(word: str) -> bool:
  sided = word.endswith(("left", "right")) or word.startswith(("lefthand", "righthand"))
  return word in _CLEAR or (sided and word not in _OTHERS)


def _has_partner(name: str, known: Collection[tuple[str, ...]], pairs: Sequence[tuple[str, str]]) -> bool:
  """Whether the name with the other word of a pair is one of the known names, too."""
  parts = words(name)
  return any(
    one in parts and tuple(other if part == one else part for part in parts) in known
    for pair in pairs
    for one, other in (pair, pair[::-1])
  )


def numbered(swap: Sequence[Sequence[int | str]], class_names: Sequence[str]) -> tuple[tuple[int, int], ...]:
  """Pairs of labels from pairs of labels or class names.

  Args:
    swap: the pairs; a name or a number for each class.
    class_names: in the order of the labels.

  Raises:
    ConfigError: a name or a number is no class.
  """
  found = []
  for pair in swap:
    for label in pair:
      if label not in (class_names if isinstance(label, str) else range(len(class_names))):
        raise ConfigError(
          f"config.transforms: swap={list(pair)} names {label!r}, which is none of the {len(class_names)} classes"
        )
    one, other = (class_names.index(label) if isinstance(label, str) else int(label) for label in pair)
    found.append((one, other))
  return tuple(found)
