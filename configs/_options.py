"""What follows the name of a config: `configs/tdrl.py:ssv1,frames=16,tm=tsm`."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType


class Several(tuple[str, ...]):
  """Values of an option that may be joined by "+"; the default is "none", or nothing at all."""


def parts(value: str) -> tuple[str, ...]:
  """The values that are joined in an option of `Several`."""
  return () if value == "none" else tuple(filter(None, value.split("+")))


def parse(
  file: str,
  arg: str,
  names: Collection[str],
  options: Mapping[str, Sequence[str]],
  fixed: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> tuple[str, dict[str, str]]:
  """The name, and the value of every option: the first one of each by default.

  Args:
    file: of the config, for messages.
    arg: what follows its colon.
    names: those there are.
    options: the values of each.
    fixed: options that a name does not let one choose.

  Raises:
    ValueError: no such name, option or value, an option twice, or one that the name has fixed; it names those
      there are.
  """
  name, *given = arg.split(",")
  if name not in names:
    raise ValueError(f"configs/{file}.py:{arg}: choose {', '.join(names)}")
  chosen = {key: "" if isinstance(values, Several) else values[0] for key, values in options.items()}
  told: set[str] = set()
  for option in given:
    key, _, value = option.partition("=")
    values = options.get(key, ())
    found = parts(value) if isinstance(values, Several) else (value,)
    if not set(found) <= set(values):
      choices = "; ".join(f"{key}={_shown(values)}" for key, values in options.items())
      raise ValueError(f"configs/{file}.py:{arg}: {option} is no option; there are {choices or 'none'}")
    if key in told:
      raise ValueError(f"configs/{file}.py:{arg}: {key} is given twice: leave one of the two out")
    again = [one for one in dict.fromkeys(found) if found.count(one) > 1]
    if again:
      raise ValueError(f"configs/{file}.py:{arg}: {key} names {again[0]} twice: leave one of the two out")
    if key in fixed.get(name, ()):
      raise ValueError(f"configs/{file}.py:{arg}: {name} has no {key} to choose: leave {key} out")
    told.add(key)
    chosen[key] = "+".join(found)
  return name, chosen


def _shown(values: Sequence[str]) -> str:
  return f"none, or one or more of {'+'.join(values)}" if isinstance(values, Several) else "|".join(values)
