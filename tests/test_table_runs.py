"""Processes of a table: how long they took, what they wait for, how they are stopped."""

import fcntl
import json
import os
import pathlib
import re
import threading
import time

import pytest

from experiments.rtsae import gates
from experiments.tables.row import Row, Table, Training
from experiments.tables.runs import measured, one_at_a_time, run_command, seconds
from experiments.tables.sweep import Sweep
from vidjax.errors import InputError, TrainingStopped
from vidjax.run.children import Stop, in_use


def top(folder: pathlib.Path) -> dict[str, float]:
  """A measure; at a folder of the name "slow" it does not end in time."""
  time.sleep(300 * (folder.name == "slow"))
  return {"top": float(folder.name)}


def stop_soon() -> Stop:
  stop = Stop()
  threading.Timer(0.3, stop).start()
  return stop


def test_the_time_of_all_commands_of_a_log_is_added(tmp_path):
  """Also of one that failed; what the commands print does not count."""
  log, folder = tmp_path / "a.log", f"--workdir={tmp_path}"
  log.write_text("$ before\n# the command took 1000.5 s\nit said # the command took 7 s\n")
  with pytest.raises(InputError, match=r"ended with code 1: .*No module named vidjax\.nothing$"):
    run_command(["vidjax.nothing", folder], log, dict(os.environ), Stop())
  assert 1000 <= seconds(log) < 1060
  assert log.read_text().splitlines()[-1].startswith("# the command took ")


def test_a_training_keeps_a_scheduler_out(tmp_path, monkeypatch):
  """Tasks of a scheduler train different rows; an evaluation is of one process, and has no such flag."""
  monkeypatch.setattr("sys.executable", "/bin/echo")
  for module in ("vidjax.train", "vidjax.evaluate"):
    run_command([module, f"--workdir={tmp_path}"], tmp_path / "a.log", {}, Stop())
  assert re.findall(r"^-m .*", (tmp_path / "a.log").read_text(), re.MULTILINE) == [
    f"-m vidjax.train --workdir={tmp_path} --num_processes=1",
    f"-m vidjax.evaluate --workdir={tmp_path}",
  ]


def test_a_training_in_phases_is_waited_for(tmp_path, capsys):
  """Its phases' folders are locked, not its own."""
  run = tmp_path / "run"
  (run / "1_spatial").mkdir(parents=True)
  with (run / "1_spatial" / ".lock").open("w") as lock:
    assert not in_use(run)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert in_use(run)
    with pytest.raises(TrainingStopped, match="was not begun"):
      run_command(["vidjax.train", f"--workdir={run}"], tmp_path / "a.log", {}, stop_soon())
  assert f"{run} is in use" in capsys.readouterr().out
  assert not in_use(run)


def test_waiting_and_measuring_are_stopped(tmp_path):
  path = tmp_path / ".ensembles"
  with one_at_a_time(path, Stop()), pytest.raises(TrainingStopped), one_at_a_time(path, stop_soon()):
    pytest.fail("two at a time")
  start = time.monotonic()
  with pytest.raises(TrainingStopped, match="was not measured"):
    measured(top, tmp_path / "slow", dict(os.environ), stop_soon())
  assert time.monotonic() - start < 60
  assert measured(top, tmp_path / "7", dict(os.environ), Stop()) == {"top": 7.0}
  with pytest.raises(InputError, match=r"7a cannot be measured: .*could not convert string to float"):
    measured(top, tmp_path / "7a", dict(os.environ), Stop())


def test_what_another_starts_from_is_trained_although_its_numbers_are_known(tmp_path, monkeypatch):
  """Nothing is trained: the commands are noted."""
  row = Row("a", mini={"one": Training("configs/tsm.py"), "two": Training("configs/tsm.py", start="one")})
  sweep = Sweep(Table("a table", (row,)), "mini", tmp_path, pathlib.Path("data"), [0])
  (tmp_path / "numbers").mkdir()
  one, two = sweep.units()
  (tmp_path / "numbers" / f"{one.name}.json").write_text(json.dumps(sweep._identity(one)))
  begun = []

  def run(command, log, environment, stop):
    begun.append(next(part for part in command if part.startswith("--workdir=")))
    raise InputError("it is only noted")

  monkeypatch.setattr("experiments.tables.sweep.run_command", run)
  sweep.run()
  assert begun == [f"--workdir={tmp_path / unit.name}" for unit in (one, two)]
  begun.clear()
  (tmp_path / one.name).mkdir()
  sweep.run()
  assert begun == [f"--workdir={tmp_path / two.name}"]


def test_what_comes_before_a_training():
  table = gates.TABLE
  assert table.before("hard", "full", "HMDB51") == [("hard", "UCF101"), ("soft", "UCF101")]
  assert table.before("soft", "full", "HMDB51") == [("soft", "UCF101")]
  assert table.before("soft", "full", "UCF101") == []
