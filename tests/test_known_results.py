"""Sweeps that go on from results of another machine."""

import dataclasses
import json
import math
import pathlib

import pytest

from experiments.tables import __main__ as all_tables
from experiments.tables import shown
from experiments.tables.found import tables
from experiments.tables.known import Known
from experiments.tables.row import Row, Table, Training
from experiments.tables.sweep import Sweep, folder_name
from vidjax.errors import InputError
from vidjax.evaluate.manifest import digest

TABLE = Table(
  "a known table",
  (
    Row("first", mini={"": Training("configs/quickstart.py"), "b": Training("configs/quickstart.py:tsn")}),
    Row("next", mini={"": Training("configs/quickstart.py", shares=("first", 1))}),
    Row("last", mini={"b": Training("configs/quickstart.py:tsn", ("--config.train.batch_size=8",))}),
  ),
)


def write_known(folder, sweep, names, seconds):
  """Results of before, of the trainings of these names."""
  units = [unit for unit in sweep.units() if unit.name in names]
  origin = {"commit": "a", "machine": "there", "date": "2026-01-01", "manifest": {"videos": 3}}
  numbers = {"top-1 %": 50.0, "kept %, half": math.nan}
  timed = {"seconds": seconds, "cores": 2}
  found = [{**sweep._identity(unit), **origin, **timed, "numbers": numbers} for unit in units]
  folder.mkdir()
  shown.write_csv(folder / "results.csv", TABLE, "mini", found)
  (folder / "manifests.json").write_text(json.dumps({digest(origin["manifest"]): origin["manifest"]}))


@pytest.mark.parametrize("seconds", [90, None])
def test_a_sweep_goes_on_from_results_of_another_machine(tmp_path, monkeypatch, seconds):
  """What is known is not trained; what another row copies from is, unless its folder is there."""
  there = Sweep(TABLE, "mini", tmp_path / "there", tmp_path / "data", [0, 1])
  write_known(tmp_path / "known", there, ["first_0", "first_b_0", "last_b_0", "first_1", "next_1"], seconds)
  trained = []
  monkeypatch.setattr(Sweep, "_finish", lambda self, unit, slots, stop: trained.append(unit.name))
  here = dataclasses.replace(there, out=tmp_path / "here", data_dir=tmp_path, known=Known(tmp_path / "known"))
  assert here.run() == []
  assert sorted(trained) == ["first_0", "first_b_1", "last_b_1", "next_0"]
  found = {folder_name(one["row"], one["column"], one["seed"]): one for one in here.read()}
  assert sorted(found) == ["first_0", "first_1", "first_b_0", "last_b_0", "next_1"]
  one = found["last_b_0"]
  assert (one["numbers"]["top-1 %"], one["manifest"], one["machine"]) == (50.0, {"videos": 3}, "there")
  assert "kept %, half" not in one["numbers"]  # it was not a number
  assert (one["seconds"], one["cores"]) == (seconds, 2)
  hours = "0.25" if seconds else ""
  assert f"| 5 | {hours} |" in all_tables.summary([here])
  (tmp_path / "here" / "first_0").mkdir()
  assert here._needed() == set()
  other = dataclasses.replace(here, out=tmp_path / "other", epochs=9.0)  # another command
  assert other.read() == []


def test_a_training_of_another_table_is_known_by_its_command(tmp_path):
  """Its accuracies alone, and only for a table that measures no more; its time counts where it was trained."""
  there = Sweep(TABLE, "mini", tmp_path / "there", tmp_path / "data", [0])
  write_known(tmp_path / "known", there, ["first_0", "first_b_0"], 90)
  rows = (
    Row("same", mini={"c": Training("configs/quickstart.py:tsn")}),
    Row("new", mini={"": Training("configs/x3d.py")}),
  )
  here = dataclasses.replace(there, table=Table("another", rows), known=Known(tmp_path / "known"))
  [found] = here.read()
  assert (found["row"], found["column"], found["numbers"]) == ("same", "c", {"top-1 %": 50.0})
  assert (found["seconds"], found["commit"]) == (None, "a")
  more = Table("another", rows, lambda folder: {})
  assert dataclasses.replace(here, table=more).read() == []


def test_known_results_are_files_of_results(tmp_path):
  with pytest.raises(InputError, match=r"--known=.*results\.csv is not there"):
    Known(tmp_path)
  (tmp_path / "results.csv").write_text("a,b\n1,2\n")
  with pytest.raises(InputError, match="no results of this version: 'status'"):
    Known(tmp_path)


def test_the_committed_results_can_be_gone_on_from(tmp_path):
  """A row of our own results is found by its command, so that a clone trains only what is missing."""
  known = Known(pathlib.Path(__file__).parents[1] / "experiments" / "results")
  sweep = Sweep(tables()["rtsae.figure_7"], "mini", tmp_path, tmp_path, [0], rows=("p1-depth1",), known=known)
  [found] = sweep.read()
  assert found["numbers"]["top-1 %"] > 0
