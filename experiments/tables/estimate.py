"""What the scale "full" needs: the paper's data, and an estimate of the time."""

import pathlib

from experiments.tables.counted import count
from experiments.tables.published import SETS
from experiments.tables.row import Cost, Training
from experiments.tables.sweep import Sweep, wanted
from vidjax.command import config_with
from vidjax.console import say
from vidjax.errors import InputError

TRAINING = 3
"""Forward passes that a training step costs: its gradient takes two more."""


def check_full(sweep: Sweep, rate: float | None) -> None:
  """Says what a full sweep costs; raises an InputError that names all it lacks: data sets, and what rows start from.

  Args:
    sweep: at the scale "full".
    rate: GMAC/s in training, of `vidjax.benchmark train`; None: no time is estimated.
  """
  for row in sweep.table.rows:
    if row.kind in ("own", "rerun") and not (row.full or row.partners) and (not sweep.rows or row.name in sweep.rows):
      say(f"{row.name} is not trained{f': {row.note}' if row.note else ''}")
  lacking: dict[str, pathlib.Path] = {}
  with_flow: set[str] = set()
  starts: dict[str, list[str]] = {}
  total = 0.0
  for unit in sweep.units():
    assert unit.training
    data = SETS[unit.column]
    steps, clips, work = training_cost(unit.training, unit.column)
    runs = len(unit.training.folds or (0,))
    total += runs * work
    hours = f", {runs * work / rate / 3600:,.0f} device hours" if rate else ""
    say(f"{unit.name}: {runs * steps:,} steps, {runs * clips:,} clips, {runs * work:.3g} GMAC{hours}")
    folder = sweep.data_dir / "folder" / data.source
    if not folder.exists():
      lacking[data.source] = folder
      with_flow |= {data.source} if reads_flow(unit.training) else set()
    start = wanted(unit.training)
    if start and start not in sweep.pretrained:
      starts.setdefault(start, []).append(unit.row.name)
  if not rate:
    say(f"{total:.3g} GMAC in all; --rate=GMAC/s as `python -m vidjax.benchmark train` measures it gives the hours")
  problems = []
  if lacking:
    commands = "; ".join(
      f"python -m vidjax.prepare {name} --source=DIR --data_dir={sweep.data_dir}{' --flow' * (name in with_flow)}"
      for name in sorted(lacking)
    )
    problems.append(f"{', '.join(map(str, lacking.values()))} is not there. Prepare it first: {commands}.")
  if starts:
    told = "; ".join(f"{start} ({', '.join(dict.fromkeys(rows))})" for start, rows in starts.items())
    given = ",".join(f"{start}=FILE" for start in starts)
    problems.append(
      f"Rows start from other weights: {told}. Name each, a file or the folder of a run of that config, or none:"
      f" --pretrained={given}"
    )
  if problems:
    raise InputError(" ".join(problems))


def reads_flow(training: Training) -> bool:
  """Whether a training reads stored flow.

  Args:
    training: of one run.
  """
  config = config_with(training.config, training.flags)
  return "Flow" in (config.get("stream") or {}).get("make", "")


def training_cost(training: Training, column: str) -> tuple[int, int, float]:
  """Steps, clips and GMAC of a training, from its config.

  Args:
    training: of one run.
    column: its data set.
  """
  config = config_with(training.config, training.flags)
  data = SETS[column]
  steps = clips = 0
  for part in config.get("phases") or [{}]:
    settings = {**config["train"], **part.get("train", {})}
    batch, repeats = settings["batch_size"], {**config["data"], **part.get("data", {})}.get("repeats", 1)
    own = settings.get("steps") or round(settings["epochs"] * repeats * data.train / batch)
    steps, clips = steps + own, clips + own * batch
  forward = count(Cost(training.config, training.flags, data.classes))["GMAC"]
  return steps, clips, TRAINING * forward * clips
