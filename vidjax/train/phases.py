"""Training in phases: each is a run of its own, in a folder of its own, that starts from another one.

`config.phases = ({"name": "first", ...}, {"name": "second", ...})`: the other keys of a phase are changes to the
config. A mapping is changed key by key, and a section with another `make` replaces the old one. A phase starts from the
one before it. It does not where it has an `init.workdir` or `init.weights` of its own, or where `init.phase` names
another phase, maps subtrees of the network to phases, or is "" for none. Where it starts from a phase, `init.new` and
`init.unused` of the config are not its own: they are about the first one's weights.
"""

import json
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from vidjax.apply import processes
from vidjax.apply.processes import tell
from vidjax.command import plain_config
from vidjax.errors import ConfigError, InputError
from vidjax.files import write_text
from vidjax.run.checkpoint import has_checkpoint, latest_step
from vidjax.run.folder import PHASES, make_folder, read_folder, read_phases
from vidjax.sections import DEFAULTS, SECTIONS
from vidjax.track.beside import check_trackers
from vidjax.train.chain import check_phases
from vidjax.train.start import sources
from vidjax.train.training import train


def train_run(config: Any, workdir: str | os.PathLike, extend: bool = False, track: Sequence[str] = ()) -> None:
  """Trains what a config describes, all its phases: what `python -m vidjax.train` does, in Python.

  Args:
    config: a ConfigDict, nested dicts, or "configs/FILE.py[:argument]".
    workdir: the run's folder; training is resumed where it has a checkpoint.
    extend: see `train`.
    track: names of trackers that the run is sent to: "wandb", "mlflow".
  """
  with processes.together():
    if jax.process_index() == 0:
      check_trackers(track)
    plain = config if isinstance(config, Mapping) else plain_config(config)
    before = read_phases(pathlib.Path(workdir))
    if before and not plain.get("phases"):
      raise InputError(
        f"{workdir} was trained in the phases {', '.join(before)}, and this config has none: choose another --workdir"
      )
  (train_phases if plain.get("phases") else train)(plain, pathlib.Path(workdir), extend, track)


def train_phases(
  config: Mapping[str, Any], workdir: pathlib.Path, extend: bool = False, track: Sequence[str] = ()
) -> None:
  """Trains the phases of a config one after the other, each in `workdir/<number>_<name>`.

  Phases that are finished are passed over as a finished run is, so that the same command resumes where it stopped.

  Args:
    config: plain nested dicts, with `phases`.
    workdir: the folder of all phases.
    extend: see `train`.
    track: see `train`.

  Raises:
    InputError: something else was trained in this folder, a phase is missing that a later one started from, or one
      that a later one started from would be trained longer.
  """
  phases = expand(config)
  with processes.together():
    make_folder(workdir)
    before = read_phases(workdir)
    if before and before != list(phases):
      raise InputError(
        f"{workdir} was trained in the phases {', '.join(before)}, and these are {', '.join(phases)}: choose another"
        " --workdir"
      )
    if not before and has_checkpoint(workdir):
      raise InputError(
        f"{workdir} holds a run without phases, and this config has {', '.join(phases)}: choose another --workdir"
      )
    begun = [name for name in phases if latest_step(workdir / name) is not None]
    missing = [name for name in list(phases)[: len(begun)] if name not in begun]
    if missing:
      raise InputError(
        f"{workdir / missing[0]} has no checkpoint, but {workdir / begun[-1]} was trained after it: put it back, or"
        " choose another --workdir"
      )
    _check_lengths(phases, begun, workdir)
  if jax.process_index() == 0 and not before:
    write_text(workdir / PHASES, json.dumps(list(phases)) + "\n")
  check_phases(config, phases, workdir)
  for number, (name, phase) in enumerate(phases.items(), start=1):
    tell(f"phase {number} of {len(phases)}: {workdir / name}")
    train(phase, workdir / name, extend, track)


def _check_lengths(phases: Mapping[str, Mapping[str, Any]], begun: Sequence[str], workdir: pathlib.Path) -> None:
  """Raises an InputError where a phase would be trained longer of which a later one has already taken the weights.

  Args:
    phases: folder -> config of each.
    begun: the folders with a checkpoint.
    workdir: the folder of all.
  """
  numbers = {name: number for number, name in enumerate(phases)}
  for later in begun:
    for origin in sources(phases[later]["init"], workdir / later):
      length, new = read_folder(origin)[0]["train"], phases.get(origin.name, {}).get("train", {})
      key = next((key for key in ("epochs", "steps") if new and length.get(key) != new.get(key)), None)
      if key and origin.parent == workdir:
        raise InputError(
          f"{workdir / later} started from {origin.name}, which was trained with train.{key}={length.get(key)}, not"
          f" {new.get(key)}: change the length of the last phase alone, by"
          f" --config.phases[{numbers[later]}].train.{key}=N, or choose another --workdir"
        )


def expand(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
  """Folder -> config of every phase, in their order.

  Raises:
    ConfigError: a phase has no name of its own, or changes what is no section.
  """
  base = {key: value for key, value in config.items() if key != "phases"}
  folders: dict[str, str] = {}
  for number, phase in enumerate(config["phases"], start=1):
    name = phase.get("name") if isinstance(phase, Mapping) else None
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][\w-]*", name, re.ASCII) or name in folders:
      raise ConfigError(f"config.phases[{number - 1}]: name={name!r} must be letters, digits, - and _, and used once")
    odd = [key for key in phase if key not in (*SECTIONS, *DEFAULTS, "name")]
    if odd:
      raise ConfigError(f"config.phases[{number - 1}] ({name}) changes {odd[0]!r}, which is no section of a config")
    folders[name] = f"{number}_{name}"
  expanded: dict[str, dict[str, Any]] = {}
  before = ""
  for phase in config["phases"]:
    changed = override(base, {key: value for key, value in phase.items() if key != "name"})
    own = phase.get("init", {})
    other = any(own.get(source) for source in ("workdir", "weights"))
    start = own.get("phase", "" if other else before)
    changed["init"] = {**changed["init"], "phase": _folders(start, folders, list(expanded), phase["name"])}
    if start:  # those of the config are of the first phase; its own beside a phase are refused as two things
      changed["init"] |= {key: none for key, none in (("workdir", ""), ("weights", None)) if key not in own}
    if start:  # what is new against those weights is not new against a phase that has trained it
      changed["init"] |= {key: () for key in ("new", "unused") if changed["init"].get(key) and key not in own}
    expanded[folders[phase["name"]]] = changed
    before = phase["name"]
  return expanded


def _folders(start: Any, folders: Mapping[str, str], earlier: list[str], name: str) -> Any:
  """The phases to start from by their folders."""
  wanted = list(start.values()) if isinstance(start, Mapping) else [start] if start else []
  for one in wanted:
    if folders.get(one.partition("/")[0]) not in earlier:
      have = ", ".join(folder.partition("_")[2] for folder in earlier) or "none"
      raise ConfigError(f"phase {name!r}: init.phase={one!r} is no earlier phase; there is {have}")
  if isinstance(start, Mapping):
    return {prefix: "/".join([folders[one.partition("/")[0]], *one.split("/")[1:]]) for prefix, one in start.items()}
  return folders[start] if start else ""


def override(config: Any, changes: Any) -> Any:
  """A config with changes: mappings key by key, those with another `make` and everything else in place of the old.

  Args:
    config: nested dicts, or a value in them.
    changes: in the same form, with the changed keys alone.
  """
  both = isinstance(config, Mapping) and isinstance(changes, Mapping)
  if not both or changes.get("make", config.get("make")) != config.get("make"):
    return changes
  return {**config, **{key: override(config.get(key), value) for key, value in changes.items()}}
