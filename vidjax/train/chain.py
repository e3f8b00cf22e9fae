"""All phases of a training, checked before the first one is trained: each starts, and fits those it starts from."""

import functools
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from vidjax.errors import InputError
from vidjax.recipe import Recipe
from vidjax.train.launch import launch
from vidjax.train.parts import Parts, as_flag, differences, settings_of_model
from vidjax.train.start import Origin, sources, take
from vidjax.types import Tree

_UNSET = object()


class Link(NamedTuple):
  """A phase that could be trained.

  Attributes:
    name: "phase 2 of 5 (layer2)".
    recipe: of it.
    variables: `{"params", "batch_stats"}`, zeros that take no memory.
    parts: of its network.
    flags: begins a flag of its model, as "--config.phases[1].model".
    origins: folders of the phases that it starts from.
  """

  name: str
  recipe: Recipe
  variables: Mapping[str, Tree]
  parts: Parts
  flags: str
  origins: Sequence[str]


def check_phases(config: Mapping[str, Any], phases: Mapping[str, Mapping[str, Any]], workdir: pathlib.Path) -> None:
  """Checks each phase as if it were to begin, and that what it starts from fits it. Nothing is computed.

  Args:
    config: with `phases`.
    phases: folder -> config of each, from `expand`.
    workdir: the folder of all.

  Raises:
    InputError: a phase cannot begin, or does not fit the one it starts from; it names the flags that mend it.
  """
  links: dict[str, Link] = {}
  for number, (folder, phase) in enumerate(phases.items()):
    name = f"phase {number + 1} of {len(phases)} ({folder.partition('_')[2]})"
    place = f"--config.phases[{number}].model" if "model" in config["phases"][number] else "--config.model"
    try:
      run, _, trainer, parts = launch(phase, workdir / folder)
      variables = {"params": trainer.layout.params, "batch_stats": trainer.layout.batch_stats}
      origins = list(dict.fromkeys(origin.name for origin in sources(phase["init"], workdir / folder)))
      origins = origins if phase["init"]["phase"] else []
      link = Link(name, run.recipe, jax.tree.map(_zeros, variables), parts, place, origins)
      for origin in origins:
        _check_same(link, links[origin], list(_before(origin, links)))
      if origins:
        remedy = _remedy(link, [links[origin] for origin in origins], links.values())
        take(link.variables, link.recipe, workdir / folder, functools.partial(_origin, links), remedy)
    except InputError as error:
      raise InputError(f"{name}: {_of_phases(str(error), config['phases'], number)}") from error
    links[folder] = link


def _of_phases(message: str, phases: Sequence[Any], number: int) -> str:
  """A message whose flags name the phases that set the same, where a phase sets what the flag names.

  Args:
    message: of one phase.
    phases: as in a config.
    number: of the phase, from 0.
  """

  def set_by(phase: Any, path: str) -> Any:
    for name in path.split("."):
      phase = phase.get(name, _UNSET) if isinstance(phase, Mapping) else _UNSET
    return phase

  def renamed(flag: re.Match[str]) -> str:
    own = set_by(phases[number], flag[1])
    alike = [i for i, phase in enumerate(phases) if own is not _UNSET and set_by(phase, flag[1]) == own]
    return " ".join(f"--config.phases[{i}].{flag[1]}={flag[2]}" for i in alike) or flag[0]

  return re.sub(r"--config\.([a-z]\w*\.[\w.]+)=(\"[^\"]*\"|[^\s,:;()]+)", renamed, message)


def _zeros(x: jax.ShapeDtypeStruct) -> np.ndarray:
  return np.broadcast_to(np.zeros((), x.dtype), x.shape)


def _origin(links: Mapping[str, Link], folder: pathlib.Path) -> Origin:
  link = links[folder.name]
  return Origin(link.variables, 0, link.recipe.class_names)


def _before(folder: str, links: Mapping[str, Link]) -> Iterator[Link]:
  """A phase and all those it builds on."""
  yield links[folder]
  for origin in links[folder].origins:
    yield from _before(origin, links)


def _check_same(link: Link, origin: Link, before: Sequence[Link]) -> None:
  """Raises an InputError where a part means something else in the phase before.

  Args:
    link: the phase.
    origin: the one it starts from.
    before: that one and those it builds on in turn.
  """
  for found in differences(link.parts, origin.parts):
    path, name = found.path, found.name
    alike = [one for one in before if path in one.parts and name in settings_of_model(one.recipe)]
    flags = [f"{one.flags}.{name}={as_flag(found.here)}" for one in alike]
    flags = [flag for flag in dict.fromkeys(reversed(flags)) if not flag.startswith(f"{link.flags}.")]
    remedy = (
      f": set it alike in all phases ({' '.join(flags)}), or to {found.there!r} here"
      if flags
      else ": set it alike in both"
    )
    raise InputError(f"{found.told(origin.name)}{remedy}")


def _remedy(link: Link, origins: Sequence[Link], links: Any) -> str:
  """How the message of an array that does not fit ends: with the settings of the models that differ.

  Args:
    link: the phase.
    origins: the ones it starts from.
    links: all phases before it.
  """
  here, flags = settings_of_model(link.recipe), []
  for origin in origins:
    there = settings_of_model(origin.recipe)
    for name in [name for name in here if there.get(name, here[name]) != here[name]]:
      alike = [
        one for one in links if settings_of_model(one.recipe).get(name) == there[name] and one.flags != link.flags
      ]
      flags += [f"{one.flags}.{name}={as_flag(here[name])}" for one in alike]
  names = " and ".join(origin.name for origin in origins)
  shown = f" ({' '.join(dict.fromkeys(flags))})" if flags else ""
  return f": set the models of this phase and of {names} alike{shown}"
