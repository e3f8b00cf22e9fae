"""Which part of a network a training changes: `train.frozen` names what stays, `train.trained` what alone is trained.

What stays is differentiated by nothing, and takes no memory in the optimizer and in the averages.
"""

import dataclasses
import re

from flax import traverse_util

from vidjax.errors import ConfigError
from vidjax.types import Tree


@dataclasses.dataclass(frozen=True)
class Part:
  """The part of parameters and running statistics that a training changes; by default all of them.

  Attributes:
    frozen: starts of paths that stay, as in "backbone/stem".
    trained: in its place, regular expressions searched in a path: what none of them finds stays.
  """

  frozen: tuple[str, ...] = ()
  trained: tuple[str, ...] = ()

  def __post_init__(self):
    for name in ("frozen", "trained"):
      object.__setattr__(self, name, tuple(getattr(self, name)))
    if self.frozen and self.trained:
      raise ConfigError("train.frozen and train.trained are two ways to say the same: leave one of them empty")
    for pattern in self.trained:
      try:
        re.compile(pattern)
      except re.error as error:
        raise ConfigError(f"train.trained: {pattern!r} is not a regular expression: {error}") from error

  def of(self, tree: Tree) -> Tree:
    """The arrays of nested dicts that change; what stays is left out."""
    if not self.frozen and not self.trained:
      return tree
    flat = traverse_util.flatten_dict(tree, sep="/")
    return traverse_util.unflatten_dict({path: x for path, x in flat.items() if self._changes(path)}, sep="/")

  def of_statistics(self, stats: Tree, params: Tree) -> Tree:
    """The running statistics that change. With `trained`, those of a module without parameters do, as nothing holds it.

    Args:
      stats: all of them.
      params: all parameters.
    """
    if not self.trained:
      return self.of(stats)
    held = {path.rpartition("/")[0] for path in traverse_util.flatten_dict(params, sep="/")}
    flat = traverse_util.flatten_dict(stats, sep="/")
    changing = {path: x for path, x in flat.items() if path.rpartition("/")[0] not in held or self._changes(path)}
    return traverse_util.unflatten_dict(changing, sep="/")

  def check(self, params: Tree) -> None:
    """Raises ConfigError, naming it, for what matches no parameter, and where nothing or everything is trained."""
    paths = list(traverse_util.flatten_dict(params, sep="/"))
    idle = [one for one in self.frozen if not any(_below(path, one) for path in paths)]
    if idle:
      starts = ", ".join(sorted({path.split("/")[0] for path in paths}))
      raise ConfigError(f"train.frozen names {', '.join(idle)}, but no parameter starts so; they start with {starts}")
    idle = [one for one in self.trained if not any(re.search(one, path) for path in paths)]
    if idle:
      known = ", ".join((paths[0], paths[-1]))
      raise ConfigError(
        f"train.trained names {', '.join(idle)}, which is found in no parameter's path; they are such as {known}"
      )
    changing = [path for path in paths if self._changes(path)]
    if self.frozen and not changing:
      raise ConfigError(f"train.frozen={self.frozen} leaves no parameter to train: leave one of them out")
    if self.trained and len(changing) == len(paths):
      raise ConfigError(f"train.trained={self.trained} finds every parameter, so that none is frozen: leave it out")

  def _changes(self, path: str) -> bool:
    if self.trained:
      return any(re.search(pattern, path) for pattern in self.trained)
    return not any(_below(path, prefix) for prefix in self.frozen)


EVERYTHING = Part()
"""What is trained by default."""


def laid_over(tree: Tree, part: Tree) -> Tree:
  """Nested dicts of arrays, with those of a part of them in place of their own.

  Args:
    tree: all arrays.
    part: some of them, under the same paths.
  """
  flat = [traverse_util.flatten_dict(one, keep_empty_nodes=True) for one in (tree, part)]
  return traverse_util.unflatten_dict({**flat[0], **{path: x for path, x in flat[1].items() if path in flat[0]}})


def picked(tree: Tree, part: Tree) -> Tree:
  """The arrays of nested dicts that a part of them has.

  Args:
    tree: all arrays.
    part: some of them, or what stands for them, under the same paths.
  """
  flat = traverse_util.flatten_dict(tree, keep_empty_nodes=True)
  wanted = traverse_util.flatten_dict(part, keep_empty_nodes=True)
  return traverse_util.unflatten_dict({path: flat.get(path, x) for path, x in wanted.items()})


def _below(path: str, prefix: str) -> bool:
  return path == prefix or path.startswith(f"{prefix.rstrip('/')}/")
