"""One row of each table, trained for a step at mini scale by the real command, on a few clips of its own data set."""

import dataclasses

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
    for split, count in CLIPS.items():
      for i in range(count):
        rest = {"features": rng.normal(size=(STEPS, WIDTH)).astype(np.float32), "frame_labels": [i % 4] * STEPS}
        yield split, schema.example(i % 4, f"{split}_{i}", 12.0, STEPS, **rest)

  def fill(folder):
    classes = synthetic_actions.VARIANTS["repeat"].class_names
    write.write_records(folder, "features/repeat", CLIPS, examples(), classes, ("frame_labels",), "features", WIDTH)

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
