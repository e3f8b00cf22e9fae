"""The folder of a run: what is written before training starts, read back and compared."""

import contextlib
import fcntl
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vidjax import digests, trust
from vidjax.errors import InputError
from vidjax.run.older import updated
from vidjax.sections import DEFAULTS

Contents = dict[str, dict[str, Any]]
"""Split -> {"records", "sha256"} of a data set."""

FREE = (
  "data.dir",
  "data.num_threads",
  "data.num_processes",
  "data.memory_mb",
  "data.skip_damaged",
  "data.max_damaged",
  "train.log_every",
  "train.checkpoint_every",
)


FREE += ("train.devices", "train.fsdp", "train.keep_best", "init.pretrained")
"""Keys that may change when a run is resumed: they change no step of the training."""


PHASES = "phases.json"
"""In the folder of a training in phases: the names of their folders."""


def read_phases(workdir: pathlib.Path) -> list[str]:
  """The folders of the phases that were trained in a folder, in their order; none where it is a run's own.

  Raises:
    InputError: the list is damaged.
  """
  path = workdir / PHASES
  if not path.is_file():
    return []
  try:
    names = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
      raise ValueError("it holds something else")
    return names
  except ValueError as error:
    raise InputError(
      f"{path} is damaged ({error}): put it back as it was, or train again in a new --workdir"
    ) from error


def run_folder(workdir: str | pathlib.Path) -> pathlib.Path:
  """The folder of a run: of a training in phases, that of the last one.

  Raises:
    InputError: that phase has not begun.
  """
  workdir = pathlib.Path(workdir)
  phases = read_phases(workdir)
  begun = [name for name in phases if (workdir / name / "config.json").is_file()]
  if phases and phases[-1] not in begun:
    other = f", or name the folder of a phase, such as {workdir / begun[-1]}" if begun else ""
    raise InputError(
      f"{workdir}: phase {len(phases)} of {len(phases)} ({phases[-1].partition('_')[2]}) is not trained yet: run the"
      f" training command to its end{other}"
    )
  return workdir / phases[-1] if phases else workdir


def make_folder(workdir: pathlib.Path) -> None:
  """Makes a run's folder; raises InputError where there can be none."""
  if workdir.is_file():
    raise InputError(f"{workdir} is a file: choose another --workdir")
  if set("[\\") & set(str(workdir.absolute())):  # it takes them for a pattern and finds nothing
    raise InputError(f"{workdir}: Orbax cannot read from a path with '[' or a backslash: choose another --workdir")
  workdir.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def sole_writer(folder: pathlib.Path, flag: str, lock: str = ".lock") -> Iterator[None]:
  """Holds a folder; InputError while another command writes there. The lock ends with its process in any case.

  Args:
    folder: that is there.
    flag: that names it.
    lock: name of the file in it that is held.
  """
  with (folder / lock).open("w") as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      raise InputError(f"{flag}={folder}: another command writes there: wait for it, or choose another one") from None
    yield


def write_folder(
  workdir: pathlib.Path, config: Mapping[str, Any], class_names: list[str], contents: Contents | None = None
) -> None:
  """Writes `config.json`, `class_names.txt` and, where the contents of the data set are given, `data.json`.

  Args:
    workdir: the run's folder, made where it is not there.
    config: plain nested dicts.
    class_names: in the order of the labels.
    contents: split -> {"records", "sha256"} of the data set, or None where it does not tell.
  """
  make_folder(workdir)
  (workdir / "class_names.txt").write_text("".join(f"{name}\n" for name in class_names), encoding="utf-8")
  if contents:
    (workdir / "data.json").write_text(json.dumps(contents) + "\n", encoding="utf-8")
  write_config(workdir, config)


def read_contents(workdir: pathlib.Path) -> Contents | None:
  """What `write_folder` wrote of the data set, None where that is not there; raises InputError where it is damaged."""
  path = workdir / "data.json"
  if not path.is_file():
    return None
  try:
    digest = (digests.read(workdir) or {}).get(path.name)
    digests.check(workdir, {path.name: digest} if digest else {})
    return json.loads(path.read_text(encoding="utf-8"))
  except ValueError as error:
    raise InputError(f"{path} is damaged ({error}): remove it, and the same command resumes it") from error


def write_config(workdir: pathlib.Path, config: Mapping[str, Any]) -> None:
  """Writes `config.json` and the digests beside it; a kill between the two leaves a config without a digest.

  Args:
    workdir: the run's folder.
    config: plain nested dicts.
  """
  trust.remember(config)
  beside = [name for name in ("class_names.txt", "data.json") if (workdir / name).is_file()]
  partial, names = workdir / ".config.json", digests.of_files(workdir, beside)
  partial.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
  digests.write(workdir, names)
  partial.rename(workdir / "config.json")  # at once: a folder with a config is complete
  digests.write(workdir, names | digests.of_files(workdir, ["config.json"]))


def read_folder(workdir: pathlib.Path) -> tuple[dict[str, Any], list[str]]:
  """Reads what `write_folder` wrote; raises InputError where it is not there or damaged."""
  if not (workdir / "config.json").is_file():
    raise InputError(f"{workdir} is not a run's folder (no config.json): name the --workdir of a training run")
  try:
    found = digests.read(workdir) or {}
    digests.check(workdir, {name: digest for name, digest in found.items() if name != "data.json"})  # may be removed
    config = json.loads((workdir / "config.json").read_text(encoding="utf-8"))
    class_names = (workdir / "class_names.txt").read_text(encoding="utf-8").splitlines()
    if not isinstance(config, dict) or not class_names:
      raise ValueError(f"{'class_names.txt' if isinstance(config, dict) else 'config.json'} holds something else")
    return updated(config), class_names
  except (ValueError, FileNotFoundError) as error:
    raise InputError(
      f"{workdir} is damaged ({error}): put the file back as it was, or train again in a new --workdir"
    ) from error


def check_same(
  workdir: pathlib.Path,
  config: Mapping[str, Any],
  class_names: list[str],
  contents: Contents | None = None,
  free: Sequence[str] = (),
) -> None:
  """Raises InputError naming in what a config or a data set differs from that of the training.

  Args:
    workdir: the folder of the training.
    config: the one to compare.
    class_names: those of the data set now.
    contents: as in `write_folder`, of the data set now.
    free: starts of further keys that may differ, beside FREE.
  """
  before, names_before = read_folder(workdir)
  chosen = {"stream.make": DEFAULTS["stream"], "sampler.by": "frame"}  # older runs could not choose
  chosen |= dict.fromkeys(("train.steps", "train.stop", "init.start"))
  chosen |= {"task.make": DEFAULTS["task"], "task.metric": "top1"}
  old, new = (chosen | flatten(given) for given in (before, config))
  changed = [key for key in {**old, **new} if old.get(key) != new.get(key) and not key.startswith((*FREE, *free))]
  if names_before != class_names:
    old, new = old | {"class names": ", ".join(names_before)}, new | {"class names": ", ".join(class_names)}
    changed.append("class names")
  if changed:
    raise InputError(f"{workdir} was trained with another config ({told(old, new, changed)}): choose another --workdir")
  path, then = workdir / "data.json", read_contents(workdir)
  if contents and then is not None and then.get("/backbone") != contents.get("/backbone"):
    raise InputError(
      f"the features of {config['data']['name']} are of another backbone than those {workdir} was trained on: choose"
      " another data set, or another --workdir"
    )
  if contents and then is not None and then != contents:
    raise InputError(
      f"{config['data']['name']} was prepared again since {workdir} was trained on it (now {contents}, then {then}): "
      f"prepare it as it was, choose another --workdir, or remove {path} to go on regardless"
    )


def told(old: Mapping[str, Any], new: Mapping[str, Any], changed: Sequence[str]) -> str:
  """The first five changed keys with both their values, for a message.

  Args:
    old: key -> value, of what lies in a folder.
    new: key -> value, of the command.
    changed: the keys.
  """
  values = [(key, *(str(flat[key]) if key in flat else "not set" for flat in (old, new))) for key in changed[:5]]
  more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
  return "; ".join(f"{key}: {there} there, {here} here" for key, there, here in values) + more


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
  """A config as dotted key -> value, as flags name them: "transforms[0].size".

  Args:
    value: a config or a part of one.
    prefix: key of the part.
  """
  if isinstance(value, Mapping):
    items = ((f"{prefix}.{key}" if prefix else key, v) for key, v in value.items())
  elif isinstance(value, (list, tuple)):
    items = ((f"{prefix}[{i}]", v) for i, v in enumerate(value))
  else:
    return {prefix: value}
  return {key: leaf for path, v in items for key, leaf in flatten(v, path).items()}
