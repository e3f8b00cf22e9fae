"""Parts of a network that mean something else where a field differs, although their arrays have the same shapes.

Such a part names these fields in `same`: the window of an embedding is one. They must agree between a training and the
one it starts from.
"""

import contextlib
import functools
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax import trust
from vidjax.apply.processes import tell
from vidjax.build import defaults_of, locate
from vidjax.errors import InputError
from vidjax.recipe import Recipe, make_recipe
from vidjax.run.checkpoint import latest_step
from vidjax.run.folder import read_folder, run_folder
from vidjax.run.transfer import under

Parts = dict[str, Mapping[str, Any]]
"""Path -> the values of the fields that a part names in `same`."""


class Difference(NamedTuple):
  """A field of a part that differs.

  Attributes:
    path: of the part.
    name: of the field.
    here: its value.
    there: in what the training starts from.
  """

  path: str
  name: str
  here: Any
  there: Any

  def told(self, origin: str) -> str:
    """The difference in words; `origin` names what the training starts from."""
    return f"{self.path} has {self.name}={self.here!r}, and is trained with {self.name}={self.there!r} in {origin}"


@contextlib.contextmanager
def noted() -> Iterator[Parts]:
  """Collects the parts of the networks that are initialised or applied inside."""
  parts: Parts = {}
  with nn.intercept_methods(functools.partial(_note, parts)):
    yield parts


def _note(parts: Parts, call: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
  module = context.module
  if hasattr(module, "same"):
    parts["/".join(module.path)] = {name: getattr(module, name) for name in module.same}
  return call(*args, **kwargs)


def differences(here: Parts, there: Parts) -> Iterator[Difference]:
  """The fields that differ in parts that both have.

  Args:
    here: of a training.
    there: of the one it starts from.
  """
  for path, fields in here.items():
    for name, value in fields.items():
      other = there.get(path, fields).get(name, value)
      if other != value:
        yield Difference(path, name, value, other)


def check_origin(recipe: Recipe, parts: Parts, workdir: pathlib.Path) -> None:
  """Compares the parts of a training with those of the run that `init.workdir` names, which need not be there later.

  Parts under `init.new` and `init.unused` are not taken, and so not compared.

  Args:
    recipe: of the training.
    parts: of its network.
    workdir: its folder; a training that is resumed takes nothing.

  Raises:
    InputError: a field differs; it names the flag that mends it.
  """
  init = recipe.config["init"]
  taken = {path: x for path, x in parts.items() if not any(under(path, p) for p in (*init["new"], *init["unused"]))}
  if not taken or not init["workdir"] or latest_step(workdir) is not None:
    return
  folder = run_folder(init["workdir"])
  config, class_names = read_folder(folder)
  try:
    trust.check(config, folder / "config.json")
  except InputError:
    tell(f"warning: {folder} makes parts from outside vidjax: not compared with this run are {', '.join(taken)}")
    return
  origin = make_recipe(config, class_names)
  shape = jax.ShapeDtypeStruct((1, *origin.clip_shape), jnp.float32)
  with noted() as there:
    jax.eval_shape(functools.partial(origin.network.init, train=False), jax.random.key(0), shape)
  for found in differences(taken, there):
    settings = settings_of_model(recipe)
    flag = f" (--config.model.{found.name}={as_flag(found.there)})" if found.name in settings else ""
    raise InputError(
      f"{found.told(str(folder))}: set it to {found.there!r} here{flag}, or start from another run by"
      " --config.init.workdir"
    )


def settings_of_model(recipe: Recipe) -> dict[str, Any]:
  """The settings of a model that are no parts of it, with the defaults of those that its config does not set."""
  model = recipe.config["model"]
  found = {**defaults_of(locate(model["make"])), **model}
  return {
    name: tuple(x) if isinstance(x, list) else x
    for name, x in found.items()
    if name != "make" and not isinstance(x, (Mapping, nn.Module))
  }


def as_flag(value: Any) -> str:
  """A value as it stands in a flag, in quotes where a shell needs them."""
  text = str(value)
  return f'"{text}"' if set(text) & set(" ()[]{}'\"") else text
