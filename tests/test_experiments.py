"""Tables of the papers: rows that can be built, counts that agree with the print, sweeps that resume."""

import csv
import dataclasses
import functools
import importlib
import json
import os
import pathlib
import pkgutil
import re
import signal
import subprocess
import sys
import threading
import time

import cv2
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.tables import __main__ as all_tables
from experiments.tables import command, shown
from experiments.tables.found import tables
from experiments.tables.published import SETS
from experiments.tables.row import Row, Table, Training
from experiments.tables.runs import copy_phases
from experiments.tables.sweep import Sweep, folder_name
from tests.commands import TINY
from tests.xla import xla_flags
from vidjax.command import config_with
from vidjax.data import sources
from vidjax.errors import InputError, TrainingStopped
from vidjax.evaluate.manifest import digest
from vidjax.recipe import make_recipe
from vidjax.run.children import in_use
from vidjax.train.phases import expand
from vidjax.verify import published

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # of ml_collections
TABLES = tables()


@pytest.fixture(name="table", params=TABLES)
def each_table(request) -> Table:
  return TABLES[request.param]


def test_the_walk_finds_the_tables():
  names = list(TABLES)
  assert {"thesis.table_5_1", "tdrl.table_4", "rtsae.gates"} <= set(names)
  assert names.index("thesis.table_3_9") < names.index("thesis.table_3_10")


def test_the_docs_list_the_tables():
  text = (pathlib.Path(__file__).parents[1] / "docs" / "tables.md").read_text()
  for name, table in TABLES.items():
    scales = [scale for scale in ("cost", "mini", "full") if any(getattr(row, scale) for row in table.rows)]
    assert f"| {table.title} | `experiments.{name}` | {', '.join(scales)} |" in text


def test_rows_fit_together(table):
  """Names are unique, also as folders; what a row refers to is there; a cited row is not trained."""
  rows = {row.name: row for row in table.rows}
  assert len(rows) == len(table.rows)
  folders = [folder_name(row.name, column, 0) for row in table.rows for column in {**row.mini, **row.full}]
  assert len(folders) == len({*folders})
  for row in table.rows:
    assert row.kind != "cited" or not (row.mini or row.full or row.cost or row.partners)
    assert {*row.partners, *(one.shares[0] for one in row.mini.values() if one.shares)} <= set(rows)
    assert set(row.full) <= set(SETS)
  columns = {column for row in table.rows for column in {**row.mini, **row.full}}
  for printed, own in table.pairs:
    assert any(printed in row.printed for row in table.rows)
    assert own.rpartition(", ")[0] in {"", *columns}


def build(training: Training) -> None:
  """Traces the network of a training, of each phase; nothing is computed."""
  config = config_with(training.config, training.flags)
  for phase in expand(config).values() if config.get("phases") else [config]:
    recipe = make_recipe(phase, [str(i) for i in range(8)])
    trace(recipe.network, recipe.clip_shape)


@functools.cache
def trace(network: nn.Module, clip_shape: tuple[int, ...]) -> None:
  """Half of the trainings differ in their data or recipe alone."""
  jax.eval_shape(lambda clip: network.init(jax.random.key(0), clip, False), jnp.zeros((2, *clip_shape)))


def test_the_networks_of_all_rows_can_be_built(table):
  """At mini scale; those at full scale are counted."""
  for _, _, training in table.trained("mini"):
    build(training)


def test_configs_at_full_scale_take_their_flags(table):
  for _, column, training in table.trained("full"):
    config = config_with(training.config, (*training.flags, f"--config.data.name=folder/{SETS[column].source}"))
    assert config["data"]["name"] == f"folder/{SETS[column].source}"


def test_published_sets_are_sources():
  names = {module.name for module in pkgutil.iter_modules(sources.__path__)}
  assert {data.source for data in SETS.values()} <= names
  for data in SETS.values():
    expected = getattr(importlib.import_module(f"{sources.__name__}.{data.source}"), "EXPECTED", {})
    assert expected.get("train", data.train) == data.train


ROWS = (
  Row("first", {"top": 10.0}, "rerun", {"": Training("configs/quickstart.py", TINY)}),
  Row("second", {"top": 20.0}, mini={"": Training("configs/quickstart.py:tsn", TINY)}),
  Row("both", {"top": 30.0}, partners=("first", "second")),
  Row("wrong", {"top": 5.0}, mini={"": Training("configs/quickstart.py:nonsense")}),
  Row("elsewhere", {"top": 90.0}, "cited"),
)
TINY_TABLE = Table("a table", ROWS, pairs=(("top", "top-1 %"),))


def test_a_sweep_trains_goes_on_past_a_failure_and_resumes(tiny_data, tmp_path, monkeypatch):
  monkeypatch.setenv("XLA_FLAGS", xla_flags())
  sweep = Sweep(TINY_TABLE, "mini", tmp_path / "out", tiny_data, [0], processes=2)
  failed = sweep.run()
  assert [text.partition(":")[0] for text in failed] == ["wrong_0"]
  assert "configs/quickstart.py:nonsense: choose tsm or tsn" in failed[0]
  found = sweep.read()
  assert [one["row"] for one in found] == ["first", "second", "both"]
  assert all(0 <= one["numbers"]["top-1 %"] <= 100 and one["commit"] and one["machine"] for one in found)

  monkeypatch.setattr("experiments.tables.sweep.run_command", lambda *_: pytest.fail("what is finished runs again"))
  resumed = dataclasses.replace(sweep, rows=("first", "second", "both"))
  assert resumed.run() == []
  assert resumed.read() == found
  other = dataclasses.replace(resumed, epochs=2.0)
  assert "another command" in other.run()[0]
  with pytest.raises(InputError, match="choose another --out"):
    other.read()
  with pytest.raises(InputError, match="--rows names 'third'; a table has 'first', 'second'"):
    dataclasses.replace(sweep, rows=("third",))


def test_a_stopped_sweep_ends_its_training_and_resumes_it(tiny_data, tmp_path, monkeypatch):
  """SIGTERM in mid-training: the state is saved, nothing more begins, and the next call goes on from there."""
  monkeypatch.setenv("XLA_FLAGS", xla_flags())
  long = Row("first", mini={"": Training("configs/quickstart.py", (*TINY, "--config.train.epochs=50"))})
  sweep = Sweep(Table("a table", (long,)), "mini", tmp_path / "out", tiny_data, [0, 1])
  metrics = tmp_path / "out" / "first_0" / "metrics.jsonl"

  def stop():
    while not (metrics.exists() and '{"step": 3,' in metrics.read_text()):
      time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)

  threading.Thread(target=stop, daemon=True).start()
  with pytest.raises(TrainingStopped, match="a table was stopped: the same command resumes it"):
    sweep.run()
  assert not (tmp_path / "out" / "first_1").exists()
  assert sweep.read() == []
  assert not in_use(metrics.parent)
  assert dataclasses.replace(sweep, seeds=[0]).run() == []
  steps = re.findall(r'"step": (\d+), "(?!validation)', metrics.read_text())
  assert steps == [str(step) for step in range(1, 201)]
  assert "is resumed after step" in (tmp_path / "out" / "first_0.log").read_text()


def test_all_tables_train_once_what_they_have_in_common(tiny_data, tmp_path, monkeypatch, capsys):
  """The second table links the run of the first; numbers, sums and taus of both are written."""
  monkeypatch.setenv("XLA_FLAGS", xla_flags())
  one = Table("one", (ROWS[0], Row("third", {"top": 7.0})), pairs=TINY_TABLE.pairs)
  two = Table("two", (dataclasses.replace(ROWS[0], name="again"),), pairs=TINY_TABLE.pairs)
  folders = tmp_path / "a.one", tmp_path / "a.two"
  sweeps = [
    Sweep(table, "mini", folder, tiny_data, [0], others=folders)
    for table, folder in zip((one, two), folders, strict=True)
  ]
  for sweep in sweeps:
    assert sweep.run() == []
    command.write(sweep)
  assert (folders[1] / "again_0").resolve() == (folders[0] / "first_0").resolve()
  assert "again_0 is" in capsys.readouterr().out
  first, second = (sweep.read()[0] for sweep in sweeps)
  assert (first["numbers"], second["row"]) == (second["numbers"], "again")
  all_tables.join([folder / "results.csv" for folder in folders], tmp_path / "results.csv")
  lines = (tmp_path / "results.csv").read_text().splitlines()
  assert [line.split(",")[:4] for line in lines if "trained mini" in line] == [
    ["one", "first", "rerun", "trained mini"],
    ["two", "again", "rerun", "trained mini"],
  ]
  shown.write_manifests(tmp_path / "manifests.json", [first, second])
  manifests = json.loads((tmp_path / "manifests.json").read_text())
  assert list(manifests) == [next(csv.DictReader(lines[:1] + lines[2:]))["manifest"]] == [digest(first["manifest"])]
  assert manifests[digest(first["manifest"])]["videos"]["count"] == 5
  stated, _ = published.read(tmp_path / "results.csv")
  number, manifest = published.again(stated, folders[0] / "first_0", str(tiny_data))
  assert stated.number == pytest.approx(number, abs=0.01)
  assert published.differences(tmp_path / "manifests.json", stated.manifest, manifest) == []
  assert "| one | `experiments.a.one` | 1 | 0." in all_tables.summary(sweeps)
  untrained = Sweep(two, "mini", tmp_path / "c.two", tiny_data, [0])
  text = all_tables.page([sweeps[0], untrained])
  assert "| first | rerun |" in text
  assert "Not run yet: `c.two`." in text
  assert "## two" not in text
  with pytest.raises(InputError, match=r"--tables=a\.three: there is no such table; there are a\.one, a\.two"):
    all_tables._chosen({"a.one": one, "a.two": two}, ["a.three"])
  assert list(all_tables._chosen({"a.one": one, "a.two": two, "b.one": one}, ["a"])) == ["a.one", "a.two"]


@pytest.mark.slow
def test_one_network_tested_twice_is_trained_once(tiny_data, tmp_path, monkeypatch):
  """Each test has its own reports."""
  monkeypatch.setenv("XLA_FLAGS", xla_flags())
  plain = Training("configs/quickstart.py", TINY)
  rows = (
    Row("plain", mini={"": plain}),
    Row("views", mini={"": dataclasses.replace(plain, evaluation=("--views=2x1",))}),
  )
  sweep = Sweep(Table("a table", rows), "mini", tmp_path, tiny_data, [0])
  assert sweep.run() == []
  reports = [json.loads((tmp_path / f"{name}_0/evaluation/validation.json").read_text()) for name in ("plain", "views")]
  assert [report["views"] for report in reports] == ["1x1", "2x1"]
  assert reports[0]["step"] == reports[1]["step"]
  assert "step 1/" not in (tmp_path / "views_0.log").read_text()
  assert "step 1/" in (tmp_path / "plain_0.log").read_text()


def test_a_report_needs_results(tmp_path):
  out = tmp_path / "misspelt"
  line = [sys.executable, "-m", "experiments.tables", "--report", f"--out={out}", "--tables=rtsae"]
  wrong = subprocess.run(line, capture_output=True, text=True, check=False)
  assert wrong.returncode == 2
  assert f"--report needs results, and --out={out} is not there: name the --out of a command without" in wrong.stderr
  assert not list(tmp_path.iterdir())
  with pytest.raises(InputError, match="has no finished training of these tables"):
    all_tables.check_results(tmp_path, [Sweep(TINY_TABLE, "mini", tmp_path, tmp_path)])


def test_one_sweep_writes_to_a_folder(tmp_path, monkeypatch):
  sweep = Sweep(TINY_TABLE, "mini", tmp_path, tmp_path, [0], rows=("first",))

  def run_another(*_):
    with pytest.raises(InputError, match=r"--out=.*: another command writes there"):
      sweep.run()
    raise InputError("stop")

  monkeypatch.setattr("experiments.tables.sweep.run_command", run_another)
  assert sweep.run() == ["first_0: stop"]


@pytest.mark.parametrize(
  ("name", "scale"), [("rtsae.figure_7", "mini"), ("rtsae.gates", "full"), ("rtsae.table_3", "full")]
)
@given(count=st.integers(1, 5), seeds=st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True))
def test_tasks_of_a_job_array_divide_the_trainings(name, scale, count, seeds):
  """What one copies from or starts from is trained by the same task, and before it."""
  table = TABLES[name]
  whole = Sweep(table, scale, None, None, seeds)  # pyright: ignore[reportArgumentType]
  parts = [dataclasses.replace(whole, shard=(i, count)).units() for i in range(count)]
  names = [unit.name for part in parts for unit in part]
  assert sorted(names) == sorted(unit.name for unit in whole.units())
  assert len(names) == len(set(names)) == sum(len(getattr(row, scale)) for row in table.rows) * len(seeds)
  for part in parts:
    depths: dict[str, int] = {}
    for unit in part:
      depths[unit.name] = len(table.before(unit.row.name, scale, unit.column))
      needed = [folder_name(row, column, unit.seed) for row, column in table.before(unit.row.name, scale, unit.column)]
      assert [depths[name] for name in needed] == list(range(len(needed)))[::-1]


SHARING = [(table, row) for table in TABLES.values() for row in table.rows for one in row.mini.values() if one.shares]


@pytest.mark.parametrize(("table", "row"), SHARING, ids=lambda one: getattr(one, "title", "") or one.name)
def test_phases_that_are_shared_are_the_same(table, row):
  (training,) = row.mini.values()
  first, count = training.shares
  (other,) = table.row(first).mini.values()
  own, others = (list(expand(config_with(one.config, one.flags)).items()) for one in (training, other))
  assert own[:count] == others[:count]
  assert len(own) > count


def test_phases_behind_shared_ones_may_be_others(tmp_path):
  """The list of phases is the row's own, which its training writes."""
  (tmp_path / "first" / "1_streams").mkdir(parents=True)
  (tmp_path / "first" / "phases.json").write_text('["1_streams", "2_classifier"]')
  copy_phases(tmp_path / "first", tmp_path / "next", Training("", shares=("first", 1)))
  assert [path.name for path in (tmp_path / "next").iterdir()] == ["1_streams"]


@pytest.mark.parametrize("text", ["2/2", "a/2", "1", "-1/2"])
def test_shards_are_checked(text):
  with pytest.raises(InputError, match="must be I/N"):
    command._shard(text)


def test_names_of_rows_may_have_commas():
  table = Table("a table", tuple(Row(name) for name in ("a", "a, b", "c, d, e")))
  assert command.whole_names(["a", "b", "c", "d", "e"], table) == ["a, b", "c, d, e"]
  assert command.whole_names(["a", "c", "d"], table) == ["a", "c", "d"]


def test_a_job_array_tells_its_shard(monkeypatch):
  for name, value in (("TASK_ID", "5"), ("TASK_COUNT", "4"), ("TASK_MIN", "3")):
    monkeypatch.setenv(f"SLURM_ARRAY_{name}", value)
  assert command._shard(None) == (2, 4)
  monkeypatch.setenv("SLURM_ARRAY_TASK_STEP", "2")  # --array=3-9:2
  assert command._shard(None) == (1, 4)
  monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "6")
  with pytest.raises(InputError, match=r"task 6 of a job array of 4 that begins at 3 by steps of 2"):
    command._shard(None)


def test_the_command_of_a_table(tmp_path):
  """Counts, and says what the full scale needs."""

  def run(*flags):
    line = [sys.executable, "-m", "experiments.tdrl.table_5", *flags]
    return subprocess.run(line, capture_output=True, text=True, check=False)

  wrong = run("--scale=full", f"--out={tmp_path}", "--rows=50%", f"--data_dir={tmp_path}", "--rate=1000", "--seeds=0")
  assert wrong.returncode == 2
  assert (
    "something_v1 is not there. Prepare it first: python -m vidjax.prepare something_v1 --source=DIR" in wrong.stderr
  )
  assert "67,201 steps, 4,300,864 clips" in wrong.stdout
  assert "device hours" in wrong.stdout
  assert "--seeds=x: must be numbers from 0 on" in run("--seeds=x", f"--out={tmp_path}").stderr
  assert "--seeds=0,00: a seed is given twice" in run("--seeds=0,00", f"--out={tmp_path}").stderr
  assert "--epochs=0: must be above 0" in run("--epochs=0", f"--out={tmp_path}").stderr
  assert "--rows= names no row" in run("--rows=", f"--out={tmp_path}").stderr
  assert "--out=DIR is needed" in run().stderr


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
