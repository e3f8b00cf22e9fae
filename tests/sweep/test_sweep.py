"""Sweeps: how trials end, that commands share and resume a study, and one sweep of real trainings that is killed."""

import csv
import importlib.util
import itertools
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from vidjax.errors import InputError
from vidjax.run.children import Stop
from vidjax.sweep import report, trial, work
from vidjax.sweep.report import draw, trials, write_report
from vidjax.sweep.space import read_space
from vidjax.sweep.study import Study, claim_folder

pytestmark = pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="needs optuna: vidjax[sweep]")

FAKE = str(pathlib.Path(__file__).with_name("fake_training.py"))
SPACE = "rate=uniform(0.1, 0.5); kind=choice(a, b)"


@pytest.fixture(autouse=True)
def plan(monkeypatch):
  """Number of a trial -> further flags of its training, which is `fake_training.py`."""
  further: dict[int, list[str]] = {}

  def training(config, flags, folder):
    return [sys.executable, "-S", FAKE, f"--workdir={folder}", *flags, *further.get(int(folder.name), [])]

  monkeypatch.setattr(trial, "POLL", 0.01)
  monkeypatch.setattr(work, "training", training)
  return further


def make(out, metric="top1", prune=False, seed=0):
  return Study(out, read_space(SPACE), metric, prune, seed)


def run(study, total, processes=1, stop=None):
  work.run_all(study, total, processes, "FILE.py", [], stop or Stop())
  return trials(study)


def starts(out, number):
  return len((out / "trials" / f"{number:04d}" / "starts").read_text())


@pytest.mark.parametrize("metric", ["top1", "-loss/x"])
def test_trials_depend_on_seed_and_number_and_the_best_is_told(metric, tmp_path):
  out = tmp_path / "a"
  rows = run(make(out, metric), 3)
  assert [row["rate"] for row in rows] == [row["rate"] for row in run(make(tmp_path / "b", metric), 3)]
  assert rows[0]["rate"] != run(make(tmp_path / "c", metric, seed=1), 1)[0]["rate"]
  assert [(row["state"], row["validations"]) for row in rows] == 3 * [("done", 4)]
  best = max(rows, key=lambda row: row["rate"])
  value = best["rate"] + 0.03  # its last validation
  assert best[metric] == pytest.approx(value if metric == "top1" else 1 - value)
  lines = write_report(make(out, metric), "FILE.py", ["--config.x=1"])
  assert f"best: trial {best['trial']}, {metric} {best[metric]:.4g}; its run is" in lines
  assert f"--config=FILE.py --config.x=1 --config.rate={best['rate']!r} --config.kind={best['kind']}" in lines[-1]
  assert lines[1].split()[0] == str(best["trial"])
  with (out / "trials.csv").open(newline="") as file:
    assert [float(row["rate"]) for row in csv.DictReader(file)] == [row["rate"] for row in rows]
  assert (out / "trials.png").read_bytes()[:4] == b"\x89PNG"
  assert run(make(out, metric), 4)[:3] == rows  # a larger number adds trials


def test_every_end_of_a_training_is_told_and_the_rest_goes_on(plan, tmp_path, capsys):
  for number, mode in enumerate(("bad", "nan", "killed", "dies")):
    plan[number] = [f"--config.mode={mode}"]
  rows = run(make(tmp_path), 5)
  assert [row["state"] for row in rows] == ["failed", "pruned", "done", "failed", "done"]
  assert [starts(tmp_path, number) for number in range(5)] == [1, 1, 2, 2, 1]
  why = [row["why"] for row in rows]
  assert why[:3] == ["code 2: error: config.mode does not fit", "diverged: the loss is not finite", ""]
  assert why[3].startswith("code -9: $ ")
  assert f"trial 0 failed: {why[0]}" in capsys.readouterr().err
  assert run(make(tmp_path), 5) == rows
  assert any("5 trials: 2 done, 1 pruned, 2 failed" in line for line in write_report(make(tmp_path), "FILE.py", []))


def test_a_trial_below_the_median_is_pruned_and_ends_by_sigterm(plan, tmp_path):
  plan[4] = ["--config.mode=slow", "--config.rate=0.001"]
  row = run(make(tmp_path, prune=True), 5)[-1]
  assert (row["state"], row["why"], row["validations"]) == ("pruned", "pruned after 1 validations", 1)
  plan[5] = ["--config.mode=slow", "--config.rate=0.9"]
  assert run(make(tmp_path, prune=True), 6)[-1]["state"] == "done"


def test_several_processes_and_commands_share_the_trials(plan, tmp_path):
  commands = [threading.Thread(target=run, args=(make(tmp_path), 6, 2)) for _ in range(2)]
  for command in commands:
    command.start()
  for command in commands:
    command.join()
  rows = trials(make(tmp_path))
  assert [(row["trial"], row["state"]) for row in rows] == [(i, "done") for i in range(6)]
  assert [starts(tmp_path, i) for i in range(6)] == 6 * [1]


def test_what_was_stopped_is_resumed_with_the_same_values(plan, tmp_path):
  plan[1] = ["--config.mode=slow"]
  stop = Stop()

  def ask():
    while not (tmp_path / "trials" / "0001" / "metrics.jsonl").exists():
      time.sleep(0.01)
    stop()

  timer = threading.Thread(target=ask)
  timer.start()
  rows = run(make(tmp_path), 3, stop=stop)
  timer.join()
  assert [row["state"] for row in rows] == ["done", "not finished"]
  again = run(make(tmp_path), 3)
  assert [row["state"] for row in again] == 3 * ["done"]
  assert again[1]["rate"] == rows[1]["rate"]
  assert [starts(tmp_path, i) for i in range(3)] == [1, 2, 1]
  assert again[1]["validations"] == 4


def test_a_metric_that_is_not_reported_ends_the_sweep(plan, tmp_path):
  plan[0] = ["--config.mode=slow"]
  message = re.escape("--metric=-loss/y: the run reports loss/x, top1: did you mean 'loss/x'? choose another --out")
  with pytest.raises(InputError, match=message):
    run(make(tmp_path, "-loss/y"), 3)
  assert len(trials(make(tmp_path, "-loss/y"))) == 1


@pytest.mark.parametrize(
  ("space", "config", "metric", "message"),
  [
    ("a=int(1, 3)", {"b": 1}, "top1", r"holds another sweep \(space.a: int\(1, 2\) there, int\(1, 3\) here\)"),
    ("a=int(1, 2)", {"b": 2}, "top1", r"holds another sweep \(config.b: 1 there, 2 here\): choose another --out"),
    ("a=int(1, 2)", {"b": 1}, "-loss", r"holds another sweep \(metric: top1 there, -loss here\)"),
  ],
)
def test_another_sweep_in_the_folder_is_refused(space, config, metric, message, tmp_path):
  claim_folder(tmp_path, {"b": 1}, read_space("a=int(1, 2)"), metric="top1")
  claim_folder(tmp_path, {"b": 1, "data": {"dir": "elsewhere"}}, read_space("a=int(1, 2)"), metric="top1")
  with pytest.raises(InputError, match=message):
    claim_folder(tmp_path, config, read_space(space), metric=metric)


def test_the_picture_shows_every_kind_of_key(tmp_path):
  space = read_space("lr=log(1e-3, 1); drop=uniform(0, 0.5); size=int(8, 64); opt=choice(optax.sgd, optax.adamw)")
  rng, rows = np.random.default_rng(0), []
  for i in range(24):
    row = {"trial": i, "state": "pruned" if i % 5 == 4 else "done", "lr": 10 ** rng.uniform(-3, 0)}
    row |= {"drop": rng.uniform(0, 0.5), "size": int(rng.integers(8, 64)), "opt": f"optax.{('sgd', 'adamw')[i % 2]}"}
    rows.append(row | {"top1": 0.6 - 0.1 * abs(np.log10(row["lr"]) + 1) - 0.2 * (row["state"] == "pruned")})
  draw(rows, space, "top1", {"lr": 0.8, "drop": 0.2}, tmp_path / "trials.png")
  assert (tmp_path / "trials.png").stat().st_size > 20_000


@pytest.mark.parametrize(("low", "high"), [(-1.1, -0.9), (-1.5, -0.8), (-2.5, -1.0), (-4.5, 0)])
def test_numbers_along_a_logarithmic_axis_stand_apart(low, high, tmp_path, monkeypatch):
  figures = []
  monkeypatch.setattr(report, "save_figure", lambda figure, path, dpi: figures.append(figure))
  rows = [{"trial": i, "state": "done", "lr": 10**x, "top1": x} for i, x in enumerate(np.linspace(low, high, 3))]
  draw(rows, read_space("lr=log(1e-5, 1); a=log(1e-5, 1); b=log(1e-5, 1)")[:1] * 3, "top1", {}, tmp_path / "a.png")
  (figure,) = figures
  figure.canvas.draw()
  axis = figure.axes[0].xaxis
  labels = [label for label in [*axis.get_majorticklabels(), *axis.get_minorticklabels()] if label.get_text()]
  low, high = figure.axes[0].get_xlim()
  boxes = sorted(
    (label.get_window_extent() for label in labels if low <= label.get_position()[0] <= high), key=lambda box: box.x0
  )
  assert len(boxes) >= 2
  assert all(one.x1 < other.x0 for one, other in itertools.pairwise(boxes))
  assert [label.get_text() for label in figure.axes[-1].yaxis.get_majorticklabels() if "." in label.get_text()] == []


def sweep(tiny_data, out, *flags):
  tiny = ["--config.data.name=folder/tiny", f"--config.data.dir={tiny_data}", "--config.sampler.num_segments=3"]
  tiny += ["--config.transforms[0].size=16", "--config.test.size=16", "--config.test.short_side=16"]
  tiny += ["--config.model.backbone.widths=(8,8,8,8)", "--config.train.batch_size=4", "--config.train.log_every=1"]
  line = ["--config=configs/quickstart.py", f"--out={out}", *tiny, "--config.train.epochs=2", *flags]
  return [sys.executable, "-m", "vidjax.sweep", *line]


REAL = "--space=schedule.learning_rate=log(1e-3, 1); model.dropout=choice(0, .5)"


@pytest.mark.slow
def test_a_real_sweep_is_killed_stopped_and_resumed(tiny_data, environment, tmp_path):
  """By SIGKILL in the middle of trial 0, whose training lives on, and by SIGTERM in trial 1."""
  out = tmp_path / "sweep"
  line = sweep(tiny_data, out, REAL, "--trials=2")

  def until(number, how):
    process = subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    log = out / "trials" / f"{number:04d}" / "metrics.jsonl"
    deadline = time.monotonic() + 240
    while process.poll() is None and time.monotonic() < deadline:
      if log.exists() and '{"step": 3,' in log.read_text():
        break
      time.sleep(0.01)
    process.send_signal(how)
    return process.communicate(timeout=120)[0], process.returncode

  output, code = until(0, signal.SIGKILL)
  assert code == -signal.SIGKILL, output
  output, code = until(1, signal.SIGTERM)
  assert code == 75, output
  assert "error: the sweep was stopped: the same command resumes it" in output
  done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=400)
  assert done.returncode == 0, done.stdout + done.stderr
  assert "trial 1 is resumed: schedule.learning_rate=" in done.stdout
  assert "2 trials: 2 done" in done.stdout
  assert re.search(r"best: trial \d, top1 [\d.]+; its run is", done.stdout)
  for number in range(2):
    folder = out / "trials" / f"{number:04d}"
    steps = re.findall(r'"step": (\d+), "(?!validation)', (folder / "metrics.jsonl").read_text())
    assert steps == [str(step) for step in range(1, 9)]
    assert (folder / "evaluation" / "validation.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
  ("flags", "message"),
  [
    (["--space=model.dropot=choice(0, .5)", "--trials=1"], "--config.model.dropot: config.model has no key 'dropot'"),
    ([REAL, "--trials=0"], "--trials=0: must be 1 or more"),
  ],
)
def test_bad_input_is_one_line_and_makes_nothing(flags, message, tiny_data, environment, tmp_path):
  line = sweep(tiny_data, tmp_path / "out", *flags)
  done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120)
  assert done.returncode == 2
  assert message in done.stderr
  assert len(done.stderr.splitlines()) == 1
  assert not (tmp_path / "out").exists()


def test_a_missing_optuna_is_one_line(monkeypatch, tmp_path):
  monkeypatch.setitem(sys.modules, "optuna", None)
  with pytest.raises(InputError, match=r"sweeps need optuna: pip install -e '\.\[sweep\]'"):
    make(tmp_path / "out")
  assert not (tmp_path / "out").exists()
