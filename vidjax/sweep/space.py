"""The space of a sweep, in the language of the config flags: `schedule.learning_rate=log(1e-3, 1)`.

An entry is a key and what is tried for it; entries are separated by ";" or line breaks, "#" begins a comment.
`log(a, b)` and `uniform(a, b)` are numbers between two bounds, `int(a, b)` are whole ones with both bounds, and
`choice(a, b, ...)` are values: numbers, strings, tuples, True, None, or a dotted name such as optax.adamw.
"""

import ast
import dataclasses
import math
import pathlib
import re
from collections.abc import Sequence
from typing import Any

from vidjax.build import nearest
from vidjax.command import config_with
from vidjax.errors import InputError
from vidjax.run.folder import flatten

KINDS = ("log", "uniform", "int", "choice")
NUMBERS = ("log", "uniform", "int")


@dataclasses.dataclass(frozen=True)
class Dimension:
  """A key of the config and what is tried for it.

  Attributes:
    key: as its flag names it, without "config.".
    kind: one of KINDS.
    values: the two bounds, or the choices.
  """

  key: str
  kind: str
  values: tuple[Any, ...]

  def __str__(self) -> str:
    return f"{self.kind}({', '.join(map(text, self.values))})"

  def flag(self, value: Any) -> str:
    """The flag that sets a value."""
    return f"--config.{self.key}={text(value)}"

  def suggest(self, trial: Any) -> Any:
    """The value that a trial of Optuna tries."""
    if self.kind == "choice":  # Optuna stores numbers and strings
      known = [x if x is None or isinstance(x, (bool, int, float, str)) else text(x) for x in self.values]
      return trial.suggest_categorical(self.key, known)
    if self.kind == "int":
      return trial.suggest_int(self.key, *self.values)
    return trial.suggest_float(self.key, *self.values, log=self.kind == "log")


def text(value: Any) -> str:
  """A value as a flag takes it."""
  return value if isinstance(value, str) else repr(value)


def read_space(given: str) -> list[Dimension]:
  """The dimensions of a space, from its text or from a file of it.

  Raises:
    InputError: an entry cannot be read, which is named.
  """
  if "=" not in given and given:
    path = pathlib.Path(given)
    if not path.is_file():
      raise InputError(f"--space={given}: neither KEY=log(a, b) nor a file: as in schedule.learning_rate=log(1e-3, 1)")
    given = path.read_text(encoding="utf-8")
  lines = (line.partition("#")[0] for line in given.splitlines())
  entries = [entry.strip() for line in lines for entry in line.split(";") if entry.strip()]
  if not entries:
    raise InputError('--space is empty: name what is tried, as in --space="schedule.learning_rate=log(1e-3, 1)"')
  space = [_dimension(entry) for entry in entries]
  for dimension in space:
    if sum(dimension.key == other.key for other in space) > 1:
      raise InputError(f"--space names {dimension.key} twice")
  return space


def _dimension(entry: str) -> Dimension:
  key, equals, right = (part.strip() for part in entry.partition("="))
  where = f"--space: {entry!r}"
  if not equals or not re.fullmatch(r"[A-Za-z_][\w.\[\]]*", key):
    raise InputError(f"{where} must be KEY={'|'.join(KINDS)}(...), as in schedule.learning_rate=log(1e-3, 1)")
  try:
    call = ast.parse(right, mode="eval").body
  except SyntaxError as error:
    raise InputError(f"{where} cannot be read: {error.msg}") from None
  if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.keywords:
    raise InputError(f"{where}: must be one of {', '.join(f'{kind}(...)' for kind in KINDS)}")
  kind = call.func.id
  if kind not in KINDS:
    raise InputError(f"{where}: there is no {kind}(...), but {', '.join(KINDS)}{nearest(kind, KINDS)}")
  values = tuple(_value(argument, where) for argument in call.args)
  if kind == "choice":
    if len(values) < 2 or len({text(value) for value in values}) < len(values):
      raise InputError(f"{where}: choice takes two different values or more")
    return Dimension(key, kind, values)
  wanted = int if kind == "int" else (int, float)
  numbers = all(isinstance(x, wanted) and not isinstance(x, bool) and math.isfinite(x) for x in values)
  if len(values) != 2 or not numbers or not values[0] < values[1]:
    raise InputError(f"{where}: {kind} takes two {'whole ' * (kind == 'int')}numbers, the smaller one first")
  if kind == "log" and values[0] <= 0:
    raise InputError(f"{where}: log takes numbers above 0")
  return Dimension(key, kind, values if kind == "int" else tuple(map(float, values)))


def _value(node: ast.expr, where: str) -> Any:
  try:
    return ast.literal_eval(node)
  except ValueError:
    name = ast.unparse(node)
    if re.fullmatch(r"[A-Za-z_][\w.]*", name):
      return name
    raise InputError(f"{where}: {name} is no value: write numbers, strings, tuples or dotted names") from None


def check_space(space: Sequence[Dimension], config: str, given: Sequence[str]) -> None:
  """Sets every bound and every choice once, so that a key or a value that does not fit is told before the first trial.

  Args:
    space: to be checked.
    config: "FILE.py[:argument]".
    given: further flags of the config.

  Raises:
    InputError: for the first one that does not fit.
  """
  for dimension in space:
    entry = f"--space: {dimension.key}={dimension}"
    if any(flag.startswith((f"--config.{dimension.key}=", f"--noconfig.{dimension.key}")) for flag in given):
      raise InputError(f"{entry}: --config.{dimension.key} is given, too: leave one of them out")
    for value in dimension.values:
      try:
        found = flatten(config_with(config, [*given, dimension.flag(value)]))
      except InputError as error:
        remedy = ""
        if dimension.kind in ("log", "uniform") and "must be an int" in str(error):
          remedy = f"; {dimension.key} takes whole numbers: use int(a, b) or choice(a, b, ...)"
        raise InputError(f"{entry}: {error}{remedy}") from error
      set_to = found.get(dimension.key)  # not there where it is what the config sets anyway
      if dimension.kind in NUMBERS and isinstance(set_to, (str, bool)):
        raise InputError(f"{entry}: {dimension.key} is no number but a {type(set_to).__name__}: use choice(a, b, ...)")
