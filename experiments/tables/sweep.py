"""Trains the rows of a table, each with several seeds, several at once; what is finished is not trained again."""

import concurrent.futures
import dataclasses
import datetime
import functools
import itertools
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.tables.known import Known
from experiments.tables.measures import manifest, split, top1
from experiments.tables.published import SETS
from experiments.tables.row import Row, Table, Training
from experiments.tables.runs import WORKDIR, copy_phases, machine, measured, one_at_a_time, run_command, seconds, take
from vidjax.command import config_with
from vidjax.console import say
from vidjax.errors import EXIT_TERMINATED, InputError, TrainingStopped
from vidjax.files import write_text
from vidjax.run.children import Stop, stop_at_signals
from vidjax.run.commit import commit
from vidjax.run.folder import run_folder, sole_writer
from vidjax.run.slots import Slots, make_slots
from vidjax.train.start import NOTHING

OWNER = "title.txt"
"""Says whose table a folder is."""


@dataclasses.dataclass(frozen=True)
class Unit:
  """One training of a row, or the averaged scores of its partners (`training` is None)."""

  row: Row
  column: str
  training: Training | None
  seed: int

  @property
  def name(self) -> str:
    """Of its folder and of its numbers."""
    return folder_name(self.row.name, self.column, self.seed)


def folder_name(row: str, column: str, seed: int) -> str:
  """The name of the folder of a training.

  Args:
    row: name of the row.
    column: of the table, or "".
    seed: of the training.
  """
  return re.sub(r"[^\w.+-]+", "_", "_".join(filter(None, (row, column, str(seed)))))


@dataclasses.dataclass(frozen=True)
class Sweep:
  """A table at a scale, into a folder.

  Attributes:
    table: its rows.
    scale: "mini" or "full".
    out: folder of the runs, and of their numbers in `numbers/`.
    data_dir: where data sets lie.
    seeds: of the trainings.
    rows: names of those to train; all by default.
    processes: trainings at once. The cores are divided among them, and the devices of CUDA_VISIBLE_DEVICES.
    shard: (I, N): of N job-array tasks this is number I, from 0.
    epochs: of mini trainings in place of the table's.
    others: folders of other tables' sweeps. A training that is finished there is not done again, but linked.
    known: results of before. A training that is finished there is not done again, unless another needs its folder.
    pretrained: what recipes start from (their `init.pretrained`) -> a file of weights, the folder of a run, or "none".
  """

  table: Table
  scale: str
  out: pathlib.Path
  data_dir: pathlib.Path
  seeds: Sequence[int] = (0, 1, 2)
  rows: Sequence[str] = ()
  processes: int = 1
  shard: tuple[int, int] = (0, 1)
  epochs: float | None = None
  others: Sequence[pathlib.Path] = ()
  known: Known | None = None
  pretrained: Mapping[str, str] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    known = [row.name for row in self.table.rows]
    unknown = sorted(set(self.rows) - set(known))
    if unknown:
      raise InputError(
        f"--rows names {', '.join(map(repr, unknown))}; {self.table.title} has {', '.join(map(repr, known))}"
      )

  def units(self) -> list[Unit]:
    """What this task trains; a training and all that it needs of others fall to one task."""
    chosen = [one for one in self.table.trained(self.scale) if not self.rows or one[0].name in self.rows]
    roots = [[(row.name, column), *self._before(row, column)][-1] for row, column, _ in chosen]
    order = {key: i for i, key in enumerate(itertools.product(dict.fromkeys(roots), self.seeds))}
    mine, count = self.shard
    return [
      Unit(*one, seed)
      for one, root in zip(chosen, roots, strict=True)
      for seed in self.seeds
      if order[root, seed] % count == mine
    ]

  def _before(self, row: Row, column: str) -> list[tuple[str, str]]:
    return self.table.before(row.name, self.scale, column)

  def ensembles(self) -> list[Unit]:
    """Rows of averaged scores whose partners are trained, for each column that all of them have."""
    found = []
    for row in self.table.rows:
      if row.partners and (not self.rows or row.name in self.rows):
        columns = [set(getattr(self.table.row(name), self.scale)) for name in row.partners]
        found += [Unit(row, column, None, seed) for column in set.intersection(*columns) for seed in self.seeds]
    return found

  def run(self) -> list[str]:
    """Trains what is not finished, and returns what failed, each as a line.

    Raises:
      InputError: the folder is another table's, or the data that the trainings read is not there.
      TrainingStopped: after SIGTERM or Ctrl-C, once the trainings have saved their states.
    """
    with stop_at_signals() as stop:
      failed = self._run(stop)
    if stop.asked.is_set():
      raise TrainingStopped(f"{self.table.title} was stopped: the same command resumes it", EXIT_TERMINATED)
    return failed

  def _run(self, stop: Stop) -> list[str]:
    self._check()
    failed: list[str] = []
    slots = make_slots(self.processes, self.out / ".compiled")
    held = sole_writer(self.out, "--out", f".lock-{self.shard[0]}")
    needed = self._needed()
    with held, concurrent.futures.ThreadPoolExecutor(self.processes) as pool:
      depths = itertools.groupby(self.units(), lambda unit: len(self._before(unit.row, unit.column)))
      for _, units in depths:  # what others copy from, or start from, is finished first
        for name, error in pool.map(lambda unit: self._try(unit, slots, stop, unit.name in needed), units):
          failed += [f"{name}: {error}"] if error else []
      ready = [unit for unit in self.ensembles() if not self._lacking(unit)]
      with one_at_a_time(self.out / ".ensembles", stop):  # partners' reports lie in one folder, of other tasks, too
        for unit in ready:
          name, error = self._try(unit, slots, stop)
          failed += [f"{name}: {error}"] if error else []
    return failed

  def _check(self) -> None:
    """Makes the folder this table's; InputError where it is another's, or where data that is needed is absent."""
    absent = {name: commands for name, commands in self.table.data.items() if not (self.data_dir / name).is_dir()}
    if self.scale == "mini" and absent and not all(self.numbers(unit) for unit in self.units()):
      commands = " && ".join(itertools.chain.from_iterable(absent.values()))
      raise InputError(f"{self.data_dir / next(iter(absent))} is not there. Prepare it first: {commands}")
    (self.out / "numbers").mkdir(parents=True, exist_ok=True)
    owner = self.out / OWNER
    title = owner.read_text(encoding="utf-8").strip() if owner.is_file() else self.table.title
    if title != self.table.title:
      raise InputError(f"--out={self.out} belongs to {title}: choose another folder for {self.table.title}")
    write_text(owner, title + "\n")

  def read(self) -> list[dict[str, Any]]:
    """The numbers of all that is finished, of every task."""
    found = [self.numbers(unit) for unit in (*dataclasses.replace(self, shard=(0, 1)).units(), *self.ensembles())]
    return [one for one in found if one]

  def numbers(self, unit: Unit) -> dict[str, Any] | None:
    """What is stored or known of a finished unit; InputError where another command made it."""
    path = self._path(unit)
    if not path.exists():
      return self._known(unit)
    stored = json.loads(path.read_text())
    if stored["command"] != self._commands(unit):
      raise InputError(f"{path} holds the numbers of another command than this table's: choose another --out")
    return stored

  def _needed(self) -> set[str]:
    """The names of trainings without a folder that others, not finished, copy from, start from or average."""
    found = set()
    for unit in (*self.units(), *self.ensembles()):
      if not self._path(unit).exists() and self._known(unit) is None:
        of = self._before(unit.row, unit.column) if unit.training else [(x, unit.column) for x in unit.row.partners]
        others = [self._unit(name, column, unit.seed) for name, column in of]
        found |= {other.name for other in others if not all(path.exists() for path in self._folders(other))}
    return found

  def _unit(self, name: str, column: str, seed: int) -> Unit:
    row = self.table.row(name)
    return Unit(row, column, getattr(row, self.scale)[column], seed)

  def _known(self, unit: Unit) -> dict[str, Any] | None:
    elsewhere = self.table.measure is top1 and self._alone(unit)
    return self.known and self.known.find(self._identity(unit), f"{unit.column}, " * bool(unit.column), elsewhere)

  def _alone(self, unit: Unit) -> bool:
    """Whether a unit is one training from its start, which other tables may have as well."""
    return unit.training is not None and not unit.training.shares and not unit.training.folds

  def _path(self, unit: Unit) -> pathlib.Path:
    return self.out / "numbers" / f"{unit.name}.json"

  def _identity(self, unit: Unit) -> dict[str, Any]:
    """What says which training some numbers are of."""
    own = {"table": self.table.title, "row": unit.row.name, "column": unit.column, "scale": self.scale}
    return {**own, "seed": unit.seed, "command": self._commands(unit)}

  def _same(self, unit: Unit) -> tuple[str, bool] | None:
    """The folder of a finished training by the same command, here or in another sweep, and whether it was tested alike.

    None where there is none.
    """
    if not self._alone(unit):
      return None
    own, found = [_without_workdir(command) for command in self._commands(unit)], {}
    for other in (self.out, *self.others):
      for path in sorted((other / "numbers").glob("*.json")):
        commands = json.loads(path.read_text())["command"]
        plain = [_without_workdir(command) for command in commands]
        if plain[0] == own[0]:
          folder = next(flag for flag in commands[0] if flag.startswith(WORKDIR)).removeprefix(WORKDIR)
          if pathlib.Path(folder).is_dir():
            found.setdefault(plain == own, folder)
    return (found[True], True) if True in found else (found[False], False) if found else None

  def _lacking(self, unit: Unit) -> list[str]:
    names = [folder_name(name, unit.column, unit.seed) for name in unit.row.partners]
    return [name for name in names if not (self.out / "numbers" / f"{name}.json").exists()]

  def _folders(self, unit: Unit) -> list[pathlib.Path]:
    owners = [(unit.row.name, unit.training)] if unit.training else self._partners(unit)
    return [
      self.out / (folder_name(name, unit.column, unit.seed) + f"_fold{fold}" * bool(fold))
      for name, training in owners
      for fold in training.folds or (0,)
    ]

  def _partners(self, unit: Unit) -> list[tuple[str, Training]]:
    """The rows whose scores a unit averages, and what is trained for each."""
    return [(name, getattr(self.table.row(name), self.scale)[unit.column]) for name in unit.row.partners]

  def _commands(self, unit: Unit) -> list[list[str]]:
    """The commands of a unit, one after the other."""
    folders = self._folders(unit)
    runs = [f"--workdir={folder}" for folder in folders]
    training = unit.training
    if training is None:
      _, partner = self._partners(unit)[0]
      return [["vidjax.evaluate", *runs, *["--folds"] * bool(partner.folds), *partner.evaluation]]
    data = [f"--config.data.dir={self.data_dir}"]
    if self.scale == "full":
      data.append(f"--config.data.name=folder/{SETS[unit.column].source}")
    epochs = (self.epochs or self.table.epochs) if self.scale == "mini" else None
    parts = [[f"--config.train.epochs={epochs}"] * bool(epochs), training.flags]  # the last one that is given counts:
    parts = parts[::-1] if self.epochs else parts  # --epochs, then the row's own, then the table's
    flags = [f"--config.seed={unit.seed}", *data, *itertools.chain(*parts)]
    starts = self._starts(unit, training, len(runs))
    commands = [
      ["vidjax.train", f"--config={training.config}", run, *flags, *start, *[f"--config.data.fold={fold}"] * bool(fold)]
      for run, start, fold in zip(runs, starts, training.folds or (0,), strict=True)
    ]
    if training.folds or training.evaluation:
      commands.append(["vidjax.evaluate", *runs, *["--folds"] * bool(training.folds), *training.evaluation])
    return commands

  def _starts(self, unit: Unit, training: Training, runs: int) -> list[list[str]]:
    """The flags that say what each run of a unit starts from."""
    if training.start:
      others = self._folders(self._unit(unit.row.name, training.start, unit.seed))
      others = others if len(others) == runs else others[:1] * runs  # fold from fold, where both have as many
      return [[f"--config.init.workdir={other}"] for other in others]
    source = self.pretrained.get(wanted(training)) if self.pretrained else None
    if source is None:
      return [[]] * runs
    key = "pretrained" if source == NOTHING else "workdir" if pathlib.Path(source).is_dir() else "weights"
    return [[f"--config.init.{key}={source}"]] * runs

  def _try(self, unit: Unit, slots: Slots, stop: Stop, needed: bool = False) -> tuple[str, str]:
    """A unit's name, and why it failed or ""; nothing begins once a stop is asked for."""
    try:
      if not stop.asked.is_set() and (needed or self.numbers(unit) is None):
        self._finish(unit, slots, stop)
    except TrainingStopped:
      say(f"stopped: {unit.name}")
    except (InputError, OSError, KeyError) as error:  # the last two: a run without the report that is read of it
      reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
      say(f"failed: {unit.name}: {reason}", error=True)
      return unit.name, reason
    return unit.name, ""

  def _finish(self, unit: Unit, slots: Slots, stop: Stop) -> None:
    folders = self._folders(unit)
    if unit.training and unit.training.shares:
      copy_phases(self.out / folder_name(unit.training.shares[0], unit.column, unit.seed), folders[0], unit.training)
    same, linked = self._same(unit), folders[0].is_symlink()
    if same and not folders[0].exists():
      linked = True
      take(pathlib.Path(same[0]), folders[0], tested_alike=same[1])
      say(f"{unit.name} is {same[0]}")
    identity = self._identity(unit)
    with slots.one() as (environment, cores):
      say(f"{unit.name} starts; its log is {self.out / unit.name}.log")
      for command in identity["command"]:
        run_command(command, self.out / f"{unit.name}.log", environment, stop)
      report = split(folders[0])
      if (unit.training or self._partners(unit)[0][1]).folds:
        report = "test_folds"
        mean = json.loads((run_folder(folders[0]) / "evaluation" / "test_folds.json").read_text())["mean"]
        names = {"top-1 %": "top1", "top-5 %": "top5", "mean class %": "mean_class"}
        found = {name: 100 * mean[key] for name, key in names.items()}
      elif unit.training is None:
        report = f"{report}_ensemble"
        found = top1(folders[0], report)
      else:
        found = measured(self.table.measure, folders[0], environment, stop)
    stored = {
      **identity,
      "numbers": found,
      "manifest": manifest(folders[0], report),
      "commit": commit(),
      "machine": machine(self.out / f"{unit.name}.log"),
      "seconds": None if linked else seconds(self.out / f"{unit.name}.log"),  # they count where it was trained
      "cores": cores,
      "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    write_text(self._path(unit), json.dumps(stored, indent=1) + "\n")
    say(f"{unit.name}: " + ", ".join(f"{name} {number:.4g}" for name, number in found.items()))


@functools.cache
def wanted(training: Training) -> str:
  """What the config of a training starts from (`init.pretrained`), "" for nothing, or for a run of the same table."""
  found = "" if training.start else config_with(training.config, training.flags)["init"]["pretrained"]
  return "" if found == NOTHING else found


def _without_workdir(command: Sequence[str]) -> list[str]:
  return [part for part in command if not part.startswith(WORKDIR)]
