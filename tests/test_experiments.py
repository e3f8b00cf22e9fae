"""Tables of trainings: every row names a config and keys that it has; runs become rows of numbers."""

import importlib
import json
import math
import pkgutil
import subprocess
import sys
import types
from unittest import mock

import cv2
import numpy as np
import pytest

import experiments
from experiments import table
from experiments.dte import motions

FOUND = [module.name for module in pkgutil.walk_packages(experiments.__path__, "experiments.")]
MODULES = [name for name in FOUND if hasattr(importlib.import_module(name), "ROWS")]


@pytest.mark.parametrize("module", MODULES)
def test_rows_name_configs_and_keys_that_exist(module):
  check_rows(importlib.import_module(module).ROWS)


def test_rows_that_keep_the_mean_are_the_same_but_for_that():
  rows = [motions.keeping_mean(row) for row in motions.ROWS]
  check_rows(rows)
  flags = [flag for row in rows for flag in row.flags if "remove_mean" in flag]
  assert all(flag.endswith("remove_mean=False") for flag in flags)
  assert len(flags) == 3 + 2 + 2 * 4 + 4 * 5  # LSTM, transformer, NetVLAD; raw; three phases and a classifier; four


def check_rows(rows):
  assert len({row.name for row in rows}) == len(rows)
  for row in rows:
    file, _, arg = row.config.partition(":")
    config = importlib.import_module(file.removesuffix(".py").replace("/", ".")).get_config(arg)
    for flag in row.flags:
      key, _, value = flag.removeprefix("--config.").partition("=")
      *parents, last = key.split(".")
      part = config
      for parent in parents:
        name, _, index = parent.partition("[")
        part = part[name][int(index.rstrip("]"))] if index else part[name]
      assert last in part
      assert value


def test_the_walk_finds_the_tables():
  assert {"experiments.thesis.table_5_1", "experiments.tdrl.ablation"} <= set(MODULES)


@pytest.mark.parametrize("seeds", [[], ["x"], ["-1"], ["0", ""]])
def test_seeds_are_numbers(seeds, tmp_path):
  values = types.SimpleNamespace(out=str(tmp_path), seeds=seeds, rows=[])
  with (
    mock.patch.object(table.flags, "FLAGS", values),
    pytest.raises(table.InputError, match=r"--seeds=.*must be numbers from 0 on"),
  ):
    table.run_rows([table.Row("rgb", "configs/quickstart.py")])


def test_a_table_of_runs(tmp_path):
  results = {
    "rgb": [{"top-1 %": 50.0}, {"top-1 %": 60.0}],
    "mbpm": [{"top-1 %": 70.0}],
    "none": [{"top-1 %": math.nan}],
  }
  text = table.write_table(tmp_path, results)
  assert text.splitlines() == [
    "| | top-1 % | seeds |",
    "|---|---|---|",
    "| rgb | 55 (50 to 60) | 2 |",
    "| mbpm | 70 | 1 |",
    "| none |  | 1 |",
  ]
  stored = json.loads((tmp_path / "table.json").read_text())
  assert stored["rgb"] == results["rgb"]


def test_measures_read_a_run(tmp_path):
  (tmp_path / "evaluation").mkdir()
  (tmp_path / "evaluation" / "validation.json").write_text('{"top1": 0.25}')
  assert table.top1(tmp_path) == {"top-1 %": 25.0}
  lines = [{"loss/projection": float(i)} for i in range(8)] + [{"validation/top1": 0.25}]
  (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
  assert table.last_mean(tmp_path, "loss/projection", count=4) == 5.5


def test_a_row_that_fails_ends_the_table(tmp_path):
  with pytest.raises(table.InputError, match="ended with code 2"):
    table.run(["-m", "vidjax.train", "--config=configs/quickstart.py:nonsense", f"--workdir={tmp_path}"])


def write_run(folder, class_names, predicted):
  """A run's folder with the scores of two videos of every class."""
  (folder / "evaluation").mkdir(parents=True)
  (folder / "config.json").write_text("{}")
  (folder / "class_names.txt").write_text("".join(f"{name}\n" for name in class_names))
  labels = np.repeat(np.arange(len(class_names)), 2)
  scores = np.eye(len(class_names))[predicted]
  np.savez(folder / "evaluation" / "validation_scores.npz", index=np.arange(len(labels)), label=labels, scores=scores)


def test_classes_of_runs_side_by_side(tmp_path):
  """Right and left are confused; up is not, and an own folder with other classes cannot be compared."""
  write_run(tmp_path / "plain", ["left", "right", "up"], [0, 1, 0, 0, 2, 2])
  write_run(tmp_path / "ours", ["left", "right", "up"], [0, 0, 1, 0, 2, 2])
  write_run(tmp_path / "other", ["left", "right"], [0, 0, 1, 1])

  def run(*names, out="pictures/classes.png"):
    folders = [f"--workdir={tmp_path / name}" for name in names]
    command = [sys.executable, "-m", "experiments.ttsn.classes", *folders, f"--out={tmp_path / out}"]
    return subprocess.run(command, capture_output=True, text=True, check=False)

  done = run("plain", "ours")
  assert done.stdout == f"{tmp_path / 'pictures/classes.png'}: left, right\n", done.stderr
  assert cv2.imread(str(tmp_path / "pictures/classes.png")).std() > 10
  for names, message in (
    (("plain", "other"), "has other classes than"),
    (("plain", "plain"), "folders of the same name"),
    (("nowhere",), "is not a run's folder"),
    ((), "--workdir=RUN"),
  ):
    wrong = run(*names)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1), wrong.stderr
    assert message in wrong.stderr


def test_a_plan_follows_from_what_is_measured():
  from experiments import scaling

  images = [np.full((24, 32, 3), 10 * i, np.uint8) for i in range(4)]
  size, seconds = scaling.measure(images, frames=2, length=10, rounds=2)
  assert size == np.mean([len(one) for one in scaling.encode_frames(images)])
  assert seconds > 0
  lines = scaling.table([25.0], frames=8, length=300, size=2e4, cost=0.004)
  assert lines[3] == "| 25 | 8 | 200 | 1,600 | 0.8 | 1.2 | 104 |"
