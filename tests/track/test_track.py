"""Trackers: what they are sent, that a resumed run stays one run there, and that no tracker stops a training."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

from tests.track import fake
from tests.train.test_resume import kill_after
from vidjax.errors import EXIT_TERMINATED, InputError, TrainingStopped
from vidjax.run.folder import write_folder
from vidjax.track import beside, follow
from vidjax.track.beside import check_trackers, followed
from vidjax.track.writer import About

FAKE = "tests.track.fake"
CONFIG = {"seed": 0, "losses": [{"make": "a.B", "weights": None}]}
LINES = [(1, {"loss": 3.0}), (2, {"loss": 2.0}), (2, {"validation/top1": 0.5}), (3, {"loss": 1.0})]


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
  monkeypatch.setattr(follow, "POLL", 0.01)
  monkeypatch.setenv("FAKE_LOG", str(tmp_path / "fake.jsonl"))


def write(workdir, lines, end="\n"):
  workdir.mkdir(exist_ok=True)
  with (workdir / "metrics.jsonl").open("a") as file:
    file.write("\n".join(json.dumps({"step": step, **numbers}) for step, numbers in lines) + end)


def sent(tmp_path, kind=None):
  path = tmp_path / "fake.jsonl"
  found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
  return [tuple(rest) for name, *rest in found if name == kind] if kind else [name for name, *_ in found]


def make(tmp_path, writer=None):
  folder = tmp_path / "run" / "track"
  folder.mkdir(parents=True, exist_ok=True)
  about = About(str(tmp_path / "run"), "run", "group", {"seed": 0}, "abc", folder)
  return follow.Follower("fake", writer or fake.Writer(), about)


def test_every_line_is_sent_once_and_a_resumed_run_is_the_same_run(tmp_path):
  run, writer = tmp_path / "run", fake.Writer()
  follower = make(tmp_path, writer)
  write(run, LINES[:2])
  write(run, LINES[2:3], end="")  # half written
  follower.send()
  follower.send()
  assert sent(tmp_path, "numbers") == LINES[:2]
  with (run / "metrics.jsonl").open("a") as file:
    file.write("\nno json\n")
  (run / "batch.png").write_bytes(b"png")
  writer.fault = "once"
  with pytest.raises(ConnectionError):
    follower.send()
  follower.send()
  (run / "metrics.jsonl").write_text("")
  write(run, LINES)  # as a run that was killed writes its last lines again
  again = make(tmp_path)
  (run / "evaluation").mkdir()
  (run / "evaluation" / "validation.json").write_text('{"top1": 0.5, "split": "validation", "step": 3, "ok": true}')
  again.finish("finished")
  assert sent(tmp_path, "numbers") == LINES
  assert sent(tmp_path, "picture") == [(2, "batch", 3)]
  assert [begun[0] for begun in sent(tmp_path, "begin")] == ["", "id1"]
  assert sent(tmp_path, "finish") == [("finished", {"final/validation/top1": 0.5, "final/validation/step": 3.0})]


def test_a_writer_that_sends_later_gets_what_it_did_not_confirm_again(tmp_path):
  writer = fake.Writer()
  writer.late = True
  write(tmp_path / "run", LINES)
  make(tmp_path, writer).send()  # and is killed
  make(tmp_path, writer).finish("finished")
  make(tmp_path, writer).finish("finished")
  assert sent(tmp_path, "numbers") == [*LINES, *LINES]
  assert [begun[0] for begun in sent(tmp_path, "begin")] == ["", "id1", "id1"]


def test_a_failure_is_told_once_and_what_was_missed_is_sent(tmp_path):
  writer, told, ended = fake.Writer(), [], threading.Event()
  writer.fault = "raise"
  write(tmp_path / "run", LINES)

  def tell(text):
    told.append(text)

  def mend():
    time.sleep(0.2)
    writer.fault = ""
    ended.set()

  helper = threading.Thread(target=mend)
  helper.start()
  assert follow.follow(make(tmp_path, writer), ended, ["failed", "stopped"], tell)
  helper.join()
  assert len(told) == 2
  assert "failed (the server is down)" in told[0]
  assert "answers again" in told[1]
  assert sent(tmp_path) == ["begin", *["numbers"] * 4, "finish"]
  assert sent(tmp_path, "finish") == [("stopped", {})]


@pytest.mark.parametrize(
  ("name", "message"),
  [
    ("wandbb", r"--track=wandbb: there is mlflow, wandb: did you mean 'wandb'\?"),
    (FAKE, r"--track=tests.track.fake: not logged in: run `fake login`"),
    ("tests.track.missing", r"No module named 'tests.track.missing'"),
  ],
)
def test_bad_trackers_are_named_at_launch(name, message, monkeypatch):
  monkeypatch.setenv("FAKE_FAULT", "refuse")
  with pytest.raises(InputError, match=message):
    check_trackers([name])


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_tracker_that_is_not_installed_is_named_at_launch(name, monkeypatch, tmp_path):
  (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError(\"No module named '{name}'\")")
  monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
  with pytest.raises(InputError, match=rf"--track={name}: {name} is not installed: pip install -e '\.\[{name}\]'"):
    check_trackers([name])


@pytest.mark.parametrize(
  ("fault", "message"),
  [
    ("", ""),
    ("raise", "failed (the server is down); metrics.jsonl has all numbers"),
    ("hang", "did not take everything within 1 s"),
    ("die", "ended with code 9"),
  ],
)
def test_no_fault_of_a_tracker_stops_or_slows_a_training(fault, message, tmp_path, monkeypatch, capsys):
  monkeypatch.setenv("FAKE_FAULT", fault)
  monkeypatch.setattr(beside, "WAIT", 1.0)
  run = tmp_path / "run"
  run.mkdir()
  start = time.monotonic()

  def train():
    with followed(run, [FAKE], CONFIG):
      assert time.monotonic() - start < 5
      write(run, LINES)
      raise TrainingStopped("SIGTERM", EXIT_TERMINATED)

  with pytest.raises(TrainingStopped):
    train()
  assert time.monotonic() - start < 30
  shown = capsys.readouterr().err
  assert (message in shown) if message else not shown
  assert shown.count("failed (") <= 1
  if not fault:
    assert sent(tmp_path, "begin")[0][1]["losses[0].make"] == "a.B"
    assert sent(tmp_path, "numbers") == LINES
    assert sent(tmp_path, "finish") == [("stopped", {})]


@pytest.mark.slow
def test_a_training_that_is_killed_and_resumed_is_one_tracked_run(train, command, environment, tmp_path):
  workdir = tmp_path / "run"
  tracked = ("--track=" + FAKE, "--config.train.checkpoint_every=3")
  code, output = kill_after(command(workdir, *tracked), environment, workdir, 5)
  assert code == -signal.SIGKILL, output
  deadline = time.monotonic() + 30
  while not sent(tmp_path, "finish") and time.monotonic() < deadline:
    time.sleep(0.05)
  output = train(workdir, *tracked)
  numbers = sent(tmp_path, "numbers")
  logged = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
  assert [step for step, _ in numbers] == [line["step"] for line in logged]
  assert [begun[0] for begun in sent(tmp_path, "begin")] == ["", "id1"]
  assert [end for end, _ in sent(tmp_path, "finish")] == ["failed", "finished"]
  assert 0 <= sent(tmp_path, "finish")[-1][1]["final/validation/top1"] <= 1
  assert sent(tmp_path, "begin")[0][1]["train.batch_size"] == 4
  assert len(sent(tmp_path, "picture")) == 1


@pytest.mark.slow
def test_a_run_without_a_tracker_is_sent_afterwards(tmp_path):
  run = tmp_path / "run"
  write_folder(run, CONFIG, ["left", "right"])
  write(run, LINES)
  line = [sys.executable, "-m", "vidjax.track", f"--workdir={run}", f"--track={FAKE}"]
  done = subprocess.run(line, capture_output=True, text=True, env={**os.environ, "FAKE_FAULT": "raise"})
  assert done.returncode == 2
  own = f"python -m vidjax.track --workdir={run} --track={FAKE} sends the rest"
  assert f"{FAKE} did not get 4 lines and the end of the run: {own}" in done.stderr
  assert "training" not in done.stderr
  assert f"error: {run}: {FAKE} did not get everything" in done.stderr
  done = subprocess.run(line, capture_output=True, text=True)
  assert (done.returncode, done.stdout, done.stderr) == (0, f"{run}: sent to {FAKE}\n", "")
  assert sent(tmp_path) == ["begin", *["numbers"] * 4, "finish"]


def needs(name):
  return pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"needs {name}: pip install -e '.[{name}]'")


@needs("wandb")
@pytest.mark.slow
def test_weights_and_biases_offline(tmp_path, monkeypatch, capsys):
  monkeypatch.setenv("HOME", str(tmp_path))
  for name in ("WANDB_MODE", "WANDB_API_KEY"):
    monkeypatch.delenv(name, raising=False)
  with pytest.raises(InputError, match="--track=wandb: not logged in: run `wandb login`"):
    check_trackers(["wandb"])
  monkeypatch.setenv("WANDB_MODE", "offline")
  check_trackers(["wandb"])
  run = tmp_path / "run"
  run.mkdir()
  for lines in (LINES[:3], LINES[3:]):
    with followed(run, ["wandb"], CONFIG):
      write(run, lines)
  assert capsys.readouterr().err == ""
  files = sorted((run / "track" / "wandb").glob("offline-run-*/*.wandb"))
  place = json.loads((run / "track" / "wandb.json").read_text())
  assert [path.name for path in files] == [f"run-{place['run']}.wandb"] * 2
  assert (place["step"], place["lines"]) == (3, 1)
  assert b"validation/top1" in files[0].read_bytes()
  assert b"losses[0].make" in files[0].read_bytes()


@needs("wandb")
@pytest.mark.slow
def test_weights_and_biases_without_its_server(tmp_path, monkeypatch, capsys):
  monkeypatch.setenv("HOME", str(tmp_path))
  monkeypatch.setenv("WANDB_API_KEY", 40 * "a")
  monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
  monkeypatch.setattr(beside, "WAIT", 2.0)
  check_trackers(["wandb"])
  run = tmp_path / "run"
  run.mkdir()
  start = time.monotonic()
  with followed(run, ["wandb"], CONFIG):
    write(run, LINES)
  assert time.monotonic() - start < 60
  assert "did not take everything within 2 s" in capsys.readouterr().err


@pytest.fixture(params=["sqlite", "server"])
def mlflow_address(request, tmp_path):
  """A store of MLflow in a file, and a server of its own on it."""
  store = f"sqlite:///{tmp_path}/mlflow.db"
  if request.param == "sqlite":
    yield store
    return
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
  line = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store, "--port", str(port), "--workers", "1"]
  line += ["--artifacts-destination", str(tmp_path / "artifacts")]
  with (tmp_path / "server.log").open("w") as log:
    server = subprocess.Popen(line, stdout=log, stderr=log, start_new_session=True)
  try:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
      try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
        break
      except OSError:
        time.sleep(0.5)
    yield f"http://127.0.0.1:{port}"
  finally:
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()


@needs("mlflow")
@pytest.mark.slow
def test_mlflow_keeps_one_run(mlflow_address, tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)  # where it keeps its artifacts by default
  monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_address)
  monkeypatch.setenv("PYTHONPATH", f"{os.path.dirname(beside.__file__)}/../..:{os.environ.get('PYTHONPATH', '')}")
  monkeypatch.setattr(beside, "WAIT", 120.0)  # it fills a new database for long
  run = tmp_path / "run"
  run.mkdir()
  (run / "batch.png").write_bytes(b"png")
  for lines in (LINES[:3], LINES[3:]):
    with followed(run, ["mlflow"], CONFIG):
      write(run, lines)
  shown = capsys.readouterr().err
  assert shown == "", (run / "track" / "mlflow.log").read_text()[-2000:]
  code = (
    "import json, sys, mlflow\n"
    "c = mlflow.MlflowClient()\n"
    "r = c.get_run(sys.argv[1])\n"
    "h = [(m.step, m.value) for m in c.get_metric_history(sys.argv[1], 'loss')]\n"
    "a = [f.path for f in c.list_artifacts(sys.argv[1])]\n"
    "print(json.dumps([r.info.status, r.data.params, r.data.metrics, h, a, len(c.search_runs(['1']))]))"
  )
  place = json.loads((run / "track" / "mlflow.json").read_text())
  line = [sys.executable, "-c", code, place["run"]]
  done = subprocess.run(line, capture_output=True, text=True, check=True, timeout=120)
  status, params, metrics, history, artifacts, runs = json.loads(done.stdout.splitlines()[-1])
  assert (status, runs, artifacts) == ("FINISHED", 1, ["batch.png"])
  assert params["losses.0.make"] == "a.B"
  assert metrics["validation/top1"] == 0.5
  assert sorted(map(tuple, history)) == [(1, 3.0), (2, 2.0), (3, 1.0)]


@needs("mlflow")
@pytest.mark.parametrize("address", ["file:/nowhere", "gopher://x"])
def test_mlflow_addresses_that_it_does_not_take(address, monkeypatch):
  monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
  with pytest.raises(InputError, match=f"--track=mlflow: MLFLOW_TRACKING_URI={address}: "):
    check_trackers(["mlflow"])
