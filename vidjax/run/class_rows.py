"""Fine-tuning with other classes, or the same in another order: the rows of a classifier follow their class names."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from vidjax.errors import InputError
from vidjax.run.transfer import shapes, under
from vidjax.types import Tree


def class_axes(make: Callable[[int], nn.Module], clip_shape: tuple[int, ...], classes: int) -> dict[str, int]:
  """Path of every array that has one entry for each class -> the axis that has them.

  Args:
    make: builds the network for a number of classes.
    clip_shape: `[T, H, W, C]`.
    classes: a number of classes; one more tells which axes depend on it.
  """
  found = []
  for count in (classes, classes + 1):
    network = make(count)
    clips = jnp.zeros((1, *clip_shape))
    found.append(shapes(jax.eval_shape(lambda network=network, x=clips: network.init(jax.random.key(0), x, False))))
  few, more = found
  return {
    path: next(axis for axis, (a, b) in enumerate(zip(few[path], more[path], strict=True)) if a != b)
    for path in few
    if few[path] != more[path]
  }


def match_classes(
  source: Mapping[str, Tree],
  axes: Mapping[str, int],
  there: Sequence[str],
  here: Sequence[str],
  new: Sequence[str] = (),
) -> tuple[dict[str, Tree], str]:
  """The variables of a run with the entries of the classes that this run has, in its order.

  Args:
    source: `{"params", "batch_stats"}` of the run to start from.
    axes: from `class_axes`.
    there: its class names.
    here: the class names of this run.
    new: path prefixes that are not taken from it.

  Returns:
    The variables, and what was done in words; "" where nothing had to be.

  Raises:
    InputError: it does not know a class.
  """
  axes = {path: axis for path, axis in axes.items() if not any(under(path.partition("/")[2], one) for one in new)}
  flat: dict[str, Any] = traverse_util.flatten_dict(dict(source), sep="/")
  if list(there) == list(here) or not axes or not set(axes) <= set(flat):
    return dict(source), ""
  unknown = [name for name in here if name not in there]
  if unknown:
    heads = tuple(dict.fromkeys(path.partition("/")[2].rpartition("/")[0] for path in axes))
    shown = ", ".join(map(repr, unknown[:3])) + (", ..." if len(unknown) > 3 else "")
    raise InputError(
      f"the run to start from has {len(there)} classes and does not know {len(unknown)} of these {len(here)} ({shown});"
      f' to give the classifier fresh values, add --config.init.new="{(*new, *heads)}"'
    )
  rows = np.array([there.index(name) for name in here])
  for path, axis in axes.items():
    flat[path] = np.take(np.asarray(flat[path]), rows, axis)
  words = f"{len(here)} of {len(there)} classes are taken over by their names"
  return traverse_util.unflatten_dict(flat, sep="/"), words
