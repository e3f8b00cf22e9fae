"""Several processes train together, started by the real command on the loopback address."""

import json
import shutil
import signal
import socket
import subprocess
import time

import jax
import numpy as np
import pytest

from tests.train.test_resume import last_state
from tests.xla import xla_flags
from vidjax.data import schema
from vidjax.run.folder import sole_writer

pytestmark = pytest.mark.slow


def free_port() -> int:
  with socket.socket() as s:
    s.bind(("localhost", 0))
    return s.getsockname()[1]


def together(lines, env) -> tuple[list[str], list[int]]:
  """Outputs and exit codes of the training commands, given the flags by which they find each other."""
  coordinator, count = f"--coordinator=localhost:{free_port()}", f"--num_processes={len(lines)}"
  processes = [
    subprocess.Popen(
      [*line, coordinator, count, f"--process_id={i}"],
      env=env,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
    )
    for i, line in enumerate(lines)
  ]
  return [process.communicate(timeout=240)[0] for process in processes], [process.returncode for process in processes]


def two_under_way(command, environment, workdir) -> list[subprocess.Popen]:
  """Two processes that train together, after step 3 of very many."""
  port, processes = free_port(), []
  for number in range(2):
    line = command(workdir, "--config.train.epochs=4000", "--config.train.evaluate_every=4000")
    line += [f"--coordinator=localhost:{port}", "--num_processes=2", f"--process_id={number}"]
    processes.append(
      subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    )
  log = workdir / "metrics.jsonl"
  deadline = time.monotonic() + 120
  while time.monotonic() < deadline and not (log.exists() and '{"step": 3,' in log.read_text()):
    time.sleep(0.05)
  return processes


def test_processes_with_different_configs_say_so(command, environment, tmp_path):
  """They trained on, with the rate of one of them, or waited for each other for ever."""
  for flag, words in (
    ("--config.train.epochs=3", "train.epochs: 2.0 in process 0, 3.0 in process 1"),
    ("--config.schedule.learning_rate=.5", "schedule.learning_rate: 0.1 in process 0, 0.5 in process 1"),
  ):
    outputs, codes = together([command(tmp_path / "run"), command(tmp_path / "run", flag)], environment)
    assert codes == [2, 2], outputs
    assert all(f"error: the processes have different configs ({words})" in output for output in outputs)


def test_an_error_in_one_of_two_ends_both(command, environment, tiny_data, tmp_path):
  """A validation record that is damaged on one machine: both waited for five minutes, then were aborted."""
  shutil.copytree(tiny_data, tmp_path / "data")
  file = next((tmp_path / "data/folder/tiny").rglob("*validation.array_record*"))
  content = file.read_bytes()
  file.write_bytes(content[: len(content) // 4] + bytes(len(content) - len(content) // 4))
  started = time.monotonic()
  lines = [command(tmp_path / "run"), command(tmp_path / "run", f"--config.data.dir={tmp_path}/data")]
  outputs, codes = together(lines, environment)
  assert codes == [2, 2], outputs
  assert "error: process 1 stopped: " in outputs[0]
  assert all("cannot be read" in output and "Traceback" not in output for output in outputs)
  assert last_state(tmp_path / "run")[0] == 8  # the step before that validation is kept
  assert time.monotonic() - started < 100


@pytest.mark.parametrize(
  ("name", "codes", "words"),
  [
    ("train.log", [2, 2], "error: process 0 stopped: "),
    ("metrics.jsonl", [2, 75], "error: another process is gone"),
  ],
)
def test_what_the_system_refuses_one_of_two_ends_both(name, codes, words, command, environment, tmp_path):
  """A disk that is full for process 0: both waited for five minutes, and a scheduler started them again."""
  (tmp_path / "run" / name).mkdir(parents=True)
  started = time.monotonic()
  outputs, found = together([command(tmp_path / "run")] * 2, environment)
  assert found == codes, outputs
  assert f"{name}: is a folder, not a file: choose another path" in outputs[0]
  assert words in outputs[1]
  assert not any("Traceback" in output for output in outputs)
  assert time.monotonic() - started < 100


def test_a_folder_in_use_is_told_by_both(command, environment, tmp_path):
  """The second took the words of the first for a checkpoint's number."""
  (tmp_path / "run").mkdir()
  with sole_writer(tmp_path / "run", "--workdir"):
    outputs, codes = together([command(tmp_path / "run")] * 2, environment)
  assert codes == [2, 2], outputs
  assert all("another command writes there" in output for output in outputs)


@pytest.mark.parametrize("killed", [0, 1])
def test_a_peer_that_is_gone_is_told_in_a_line(killed, command, environment, tmp_path):
  processes = two_under_way(command, environment, tmp_path / "run")
  processes[killed].kill()
  output, _ = processes[1 - killed].communicate(timeout=60)
  processes[killed].communicate()
  assert processes[1 - killed].returncode == 75
  assert "error: another process is gone" in output
  assert "Traceback" not in output


def test_processes_with_different_data_sets_say_so(command, environment, tiny_data, tmp_path):
  """They waited for each other for ever."""
  shutil.copytree(tiny_data, tmp_path / "data")
  digests = next((tmp_path / "data/folder/tiny").rglob(schema.DIGESTS))
  digests.write_text(digests.read_text().replace('"train": "', '"train": "0'))
  lines = [command(tmp_path / "run"), command(tmp_path / "run", f"--config.data.dir={tmp_path}/data")]
  outputs, codes = together(lines, environment)
  assert codes == [2, 2], outputs
  assert all("error: the processes have different data sets folder/tiny" in output for output in outputs)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_one_of_two_saves_and_ends_both(how, command, environment, tmp_path):
  processes = two_under_way(command, environment, tmp_path / "run")
  processes[1].send_signal(how)
  outputs = [process.communicate(timeout=100)[0] for process in processes]
  assert [process.returncode for process in processes] == [75, 75], outputs
  assert all("saved: the same command resumes it" in output for output in outputs)
  assert last_state(tmp_path / "run")[0] >= 3


def test_two_processes_of_two_devices_equal_one_of_four(train, command, environment, tmp_path):
  train(tmp_path / "one", devices=4)
  outputs, codes = together([command(tmp_path / "two")] * 2, {**environment, "XLA_FLAGS": xla_flags(2)})
  assert codes == [0, 0], outputs

  (_, one), (_, two) = last_state(tmp_path / "one"), last_state(tmp_path / "two")
  for name in ("params", "batch_stats", "opt_state"):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), two[name], one[name])

  def losses(run):
    lines = (tmp_path / run / "metrics.jsonl").read_text().splitlines()
    numbers = ("step", "loss", "batch_crc32", "validation/top1", "validation/loss/classification")
    return [[line.get(name, 0) for name in numbers] for line in map(json.loads, lines)]

  np.testing.assert_allclose(losses("two"), losses("one"), rtol=1e-4)  # one line a step: one process writes
  assert [row[2] for row in losses("two")] == [row[2] for row in losses("one")]  # the batches of all processes
  assert losses("one")[-1][4] > 0
  assert "done in" in outputs[0]
  assert "done in" not in outputs[1]
  reports = [json.loads((tmp_path / run / "evaluation/validation.json").read_text()) for run in ("one", "two")]
  assert reports[0]["top1"] == reports[1]["top1"]
  assert reports[0]["videos"] == reports[1]["videos"] == 5
