"""One row of each table, trained for a step at mini scale by the real command, on a few clips of its own data set."""

import csv
import dataclasses
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from experiments import mix
from experiments.tables import command
from experiments.tables.found import tables
from experiments.tables.row import Table, Training
from experiments.tables.sweep import Sweep
from tests.xla import xla_flags
from vidjax.command import config_with
from vidjax.data import schema, synthetic_actions, write

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # of ml_collections
TABLES = {name: table for name, table in tables().items() if any(row.mini for row in table.rows)}
TABLES["mix"] = mix.table(mix.MIXES[:1])
CLIPS = {"train": 16, "validation": 8}
FEATURES = {"train": 32, "validation": 8}
WIDTH, STEPS = 48, 96
"""Of the features that the tables of dte read."""


@pytest.fixture(scope="session")
def few_clips(tmp_path_factory):
  """The data sets of all tables, under their own names, with 16 training clips and 8 of validation."""
  root = tmp_path_factory.mktemp("few")
  for variant in synthetic_actions.VARIANTS.values():
    few = dataclasses.replace(variant, clips=CLIPS)
    folder = root / "synthetic_actions" / variant.name / write.VERSION
    write.fill_folder(folder, lambda partial, few=few: synthetic_actions._generate(few, partial))

  def examples():
    rng = np.random.default_rng(0)
    for split, count in FEATURES.items():
      for i in range(count):
        rest = {"features": rng.normal(size=(STEPS, WIDTH)).astype(np.float32), "frame_labels": [i % 4] * STEPS}
        yield split, schema.example(i % 4, f"{split}_{i}", 12.0, STEPS, **rest)

  def fill(folder):
    classes = synthetic_actions.VARIANTS["repeat"].class_names
    write.write_records(folder, "features/repeat", FEATURES, examples(), classes, ("frame_labels",), "features", WIDTH)

  write.fill_folder(root / "features" / "repeat" / write.VERSION, fill)
  return root


def of_a_step(training: Training) -> Training:
  """A training, each phase of it a step of 8 clips, without a warm-up, which may be longer."""
  config = config_with(training.config, training.flags)
  places = ["train", *(f"phases[{i}].train" for i in range(len(config.get("phases") or ())))]
  flags = [f"--config.{place}.{one}" for place in places for one in ("steps=1", "batch_size=8")]
  flags += ["--config.schedule.warmup_epochs=0.0"] * bool(config["schedule"].get("warmup_epochs"))
  return dataclasses.replace(training, flags=(*training.flags, *flags))


def first_row(table: Table) -> Table:
  """A table of its first row that is trained from its start, in its first column."""
  row, column, training = next(table.trained("mini"))
  kept = dataclasses.replace(row, mini={column: of_a_step(training)})
  return dataclasses.replace(table, rows=tuple(kept if one.name == row.name else one for one in table.rows))


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
  """Of every table; a training that another has had is linked, as `python -m experiments.tables` does."""
  root = tmp_path_factory.mktemp("tables")
  return {name: root / name for name in TABLES}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_a_row_trains_for_a_step_and_is_measured(name, few_clips, folders, monkeypatch):
  monkeypatch.setenv("XLA_FLAGS", xla_flags())
  table = first_row(TABLES[name])
  row, _, _ = next(table.trained("mini"))
  sweep = Sweep(table, "mini", folders[name], few_clips, [0], rows=(row.name,), others=tuple(folders.values()))
  assert sweep.run() == []
  [found] = sweep.read()
  assert np.isfinite([number for number in found["numbers"].values()]).any()
  own = {column for _, column in table.pairs}
  assert not own or any(column.rpartition(", ")[2] in found["numbers"] for column in own)
  command.write(sweep)
  text = (folders[name] / "table.md").read_text()
  assert f"| {row.name} | {row.kind} |" in text
  assert "One seed." in text


@pytest.mark.slow
def test_a_table_is_one_command(few_clips, tmp_path):
  """From the command line to its files; a folder is one table's, and data that is not there is named once."""
  out = tmp_path / "out"

  def run(table: str, data: pathlib.Path) -> subprocess.CompletedProcess:
    flags = "--scale=mini", "--rows=mean pooling,NetVLAD", "--seeds=0", "--epochs=1", f"--data_dir={data}"
    line = [sys.executable, "-m", f"experiments.dte.{table}", *flags, f"--out={out}"]
    environment = {**os.environ, "XLA_FLAGS": xla_flags()}
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment)

  absent = run("motions", tmp_path)
  assert (absent.returncode, absent.stderr.count("\n")) == (2, 1), absent.stderr
  assert f"{tmp_path / 'features' / 'repeat'} is not there. Prepare it first: python -m vidjax.train" in absent.stderr
  assert not out.exists()
  done = run("motions", few_clips)
  assert done.returncode == 0, done.stderr
  with (out / "results.csv").open(newline="") as file:
    trained = {(one["row"], one["seed"]) for one in csv.DictReader(file) if one["status"] == "trained mini"}
  assert trained == {("mean pooling", "0"), ("NetVLAD", "0")}
  assert "| mean pooling | ours |" in (out / "table.md").read_text()
  other = run("kept_mean", few_clips)
  assert (other.returncode, other.stderr.count("\n")) == (2, 1), other.stderr
  assert f"--out={out} belongs to dte: repeated motions: choose another folder" in other.stderr
