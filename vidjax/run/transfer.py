"""Parameters of one run for another: by their paths, with clear words where they do not fit."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from vidjax.errors import InputError
from vidjax.types import Tree


def transfer(
  variables: Mapping[str, Tree], source: Mapping[str, Tree], new: Sequence[str] = (), remedy: str | None = None
) -> tuple[dict[str, Tree], list[str]]:
  """Variables for fine-tuning: taken by path from `source`, except those under a prefix of `new`.

  Args:
    variables: `{"params", "batch_stats"}`, the network's own, freshly initialised.
    source: the same of another run.
    new: path prefixes that keep their fresh values, such as "classifier".
    remedy: how the message of an array that does not fit ends (default: with the `init.new` that leaves it out).

  Returns:
    The variables, and a report: how many arrays were taken and how many stay new, then a line for each.

  Raises:
    InputError: an array is missing, left over or of another shape, and not listed; a prefix matches nothing.
  """

  def stays_new(path: str) -> bool:
    return any(under(path.partition("/")[2], prefix) for prefix in new)

  ours: dict[str, Any] = traverse_util.flatten_dict(dict(variables), sep="/")
  theirs: dict[str, Any] = traverse_util.flatten_dict(dict(source), sep="/")
  idle = [prefix for prefix in new if not any(under(path.partition("/")[2], prefix) for path in ours)]
  if idle:
    starts = ", ".join(sorted({path.split("/")[1] for path in ours}))
    raise InputError(f"init.new names {', '.join(idle)}, but no parameter starts so; they start with {starts}")
  found = {path: x for path, x in theirs.items() if not stays_new(path)}
  saved = {path: np.shape(x) for path, x in found.items()}
  wanted = {path: np.shape(x) for path, x in ours.items() if not stays_new(path)}
  anew = (*new, *_misfits(saved, wanted))
  advice = f'; to give these fresh values, add --config.init.new="{anew}"' if remedy is None else remedy
  check_shapes(saved, wanted, "the checkpoint to start from", advice)
  fresh = [path for path in ours if path not in found]
  numbers = sum(np.size(x) for x in found.values())
  report = [f"{len(found)} arrays of {numbers:,} numbers taken, {len(fresh)} new"]
  report += [f"{'new  ' if path in fresh else 'taken'}  {path}  {list(np.shape(ours[path]))}" for path in sorted(ours)]
  return {"batch_stats": {}, **traverse_util.unflatten_dict({**ours, **found}, sep="/")}, report


def _misfits(saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
  """The shortest prefixes, below the collections, of all parameters that differ and of none that agree."""
  agree: dict[tuple[str, ...], bool] = {}
  for path in {**wanted, **saved}:
    _, *parts = path.split("/")
    for length in range(1, len(parts) + 1):
      prefix = tuple(parts[:length])
      agree[prefix] = agree.get(prefix, False) or saved.get(path) == wanted.get(path)
  return ["/".join(prefix) for prefix in agree if not agree[prefix] and agree.get(prefix[:-1], True)]


def check_shapes(saved: Mapping[str, Any], wanted: Mapping[str, Any], what: str, remedy: str = "") -> None:
  """Raises an InputError naming, for up to five parameters, path and both shapes, unless all agree.

  Args:
    saved: path -> shape in the checkpoint.
    wanted: path -> shape in the model.
    what: the checkpoint, as the message begins.
    remedy: how the message ends.
  """
  wrong = [
    f"{path}: saved {saved.get(path, 'not')}, wanted {wanted.get(path, 'not')}"
    for path in {**wanted, **saved}
    if saved.get(path) != wanted.get(path)
  ]
  if wrong:
    more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
    raise InputError(f"{what} does not fit this model: {'; '.join(wrong[:5])}{more}{remedy}")


def under(path: str, prefix: str) -> bool:
  """Whether a path, joined by "/", is that of the prefix or below it.

  Args:
    path: of a parameter, as in "backbone/res2/block0".
    prefix: of such a path; whole parts alone count.
  """
  return path == prefix or path.startswith(prefix.rstrip("/") + "/")


def shapes(tree: Tree) -> dict[str, tuple[int, ...]]:
  """Path, joined by "/" -> shape of every array of a tree."""
  flat = jax.tree_util.tree_leaves_with_path(tree)
  return {"/".join(_name(key) for key in path): tuple(x.shape) for path, x in flat}


def _name(key: Any) -> str:
  return str(getattr(key, "name", getattr(key, "key", getattr(key, "idx", key))))
