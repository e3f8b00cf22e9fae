import errno
import os
import subprocess
import sys

import pytest

from vidjax.command import one_line
from vidjax.errors import ConfigError, InputError

COMMAND = """
import errno
from absl import flags
from vidjax.command import define_config, run_main
from vidjax.errors import ConfigError, InputError

CONFIG = define_config()
KIND = flags.DEFINE_enum("kind", "good", ["good", "input", "disk", "write", "bug", "much", "pipe"], "how it ends")
WORKDIR = flags.DEFINE_string("workdir", None, "where to")

def main(argv):
  if not WORKDIR.value:
    raise InputError("--workdir=DIR is missing")
  try:
    CONFIG.value.to_dict()
  except OSError as error:
    raise ConfigError(f"--config: {error}") from error
  if KIND.value == "input":
    raise InputError("no data set 'x': run the other command first")
  if KIND.value == "disk":
    raise OSError(errno.ENOSPC, "No space left on device", "/some/file")
  if KIND.value == "write":
    raise OSError(errno.ENOSPC, "No space left on device")
  if KIND.value == "bug":
    raise RuntimeError("a bug")
  if KIND.value == "pipe":
    raise BrokenPipeError(errno.EPIPE, "another pipe")
  if KIND.value == "much":
    print("x\\n" * 100_000)
  print("done", KIND.value)

run_main(main)
"""
CONFIG = """
from ml_collections import ConfigDict

def get_config(epochs="3"):
  if epochs != "3":
    raise ValueError(f"choose 3, not {epochs}")
  return ConfigDict({"train": {"epochs": 3}})
"""


@pytest.fixture
def command(tmp_path, monkeypatch):
  (tmp_path / "command.py").write_text(COMMAND)
  (tmp_path / "config.py").write_text(CONFIG)
  (tmp_path / "broken.py").write_text("epochs = = 3")
  monkeypatch.delenv("VIDJAX_TRACEBACK", raising=False)

  def run(*arguments: str) -> subprocess.CompletedProcess:
    line = [sys.executable, "command.py", *arguments]
    return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

  return run


USER_ERRORS = {
  "--kind=input": "error: no data set 'x': run the other command first",
  "--kind=disk": "error: /some/file: the disk is full",
  "--knid=input": "error: Unknown command line flag 'knid'",
  "--kind=other": "error: flag --kind=other",
  "--workdir=": "error: --workdir=DIR is missing",
  "--config.train.epoch=1": "error: --config.train.epoch: config.train has no key 'epoch' (it has",
  "--config.trian.epochs=1": "error: --config.trian.epochs: config has no key 'trian' (it has",
  "--config.xyz=1": "error: --config.xyz: config has no key 'xyz' (it has",
  "--config.train.epochs=many": "error: flag --config.train.epochs=many: must be a number",
  "--config=absent.py": "error: --config: Configuration is not available",
  "--config=config.py:7": "error: --config=config.py:7: ValueError: choose 3, not 7",
  "--config=broken.py": "error: --config: invalid syntax (broken.py, line 1)",
}


@pytest.mark.parametrize("argument", USER_ERRORS)
def test_what_a_user_can_mend_is_one_line_and_exit_code_2(command, argument):
  result = command("--workdir=w", "--config=config.py", argument)
  assert result.returncode == 2, result.stderr
  assert result.stdout == ""
  assert result.stderr.startswith(USER_ERRORS[argument])
  assert result.stderr.count("\n") == 1, result.stderr
  assert "Traceback" not in result.stderr


def test_a_config_and_its_overrides_reach_the_command(command):
  result = command("--workdir=w", "--config=config.py", "--config.train.epochs=1")
  assert (result.returncode, result.stdout, result.stderr) == (0, "done good\n", "")


def test_the_traceback_shows_on_request(command, monkeypatch):
  monkeypatch.setenv("VIDJAX_TRACEBACK", "1")
  result = command("--workdir=w", "--config=config.py", "--kind=input")
  assert result.returncode != 0
  assert "Traceback" in result.stderr
  assert "no data set 'x'" in result.stderr


def test_a_bug_keeps_its_traceback(command):
  result = command("--workdir=w", "--config=config.py", "--kind=bug")
  assert result.returncode == 1
  assert "Traceback" in result.stderr


@pytest.mark.parametrize("flag", ["--kind=good", "--kind=much", "--kind=input", "--help", "--config=broken.py"])
def test_a_reader_that_leaves_ends_a_command_without_a_word(tmp_path, flag, command):
  """Both streams in one pipe that nobody reads any more, as of `... 2>&1 | head -0`."""
  reader, writer = os.pipe()
  os.close(reader)
  line = [sys.executable, "command.py", "--workdir=w", "--config=config.py", flag]
  done = subprocess.run(line, cwd=tmp_path, stdout=writer, stderr=writer, timeout=60, check=False)
  os.close(writer)
  assert done.returncode == 141


def test_a_reader_of_stdout_leaves_and_stderr_stays_empty(tmp_path, command):
  line = [sys.executable, "command.py", "--workdir=w", "--config=config.py", "--kind=much"]
  pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
  with subprocess.Popen(line, cwd=tmp_path, text=True, **pipes) as process:
    assert process.stdout.readline() == "x\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 141


def test_other_broken_pipes_are_bugs(command):
  result = command("--workdir=w", "--config=config.py", "--kind=pipe")
  assert result.returncode == 1
  assert "another pipe" in result.stderr


@pytest.mark.parametrize(
  "number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EEXIST, errno.ENAMETOOLONG, errno.ENOENT]
)
def test_disk_trouble_names_the_file_and_a_remedy(number, capsys):
  with pytest.raises(SystemExit) as stopped, one_line():
    raise OSError(number, "trouble", "runs/a")
  assert stopped.value.code == 2
  assert capsys.readouterr().err.startswith("error: runs/a: ")


def test_a_full_disk_that_the_system_does_not_name(command):
  result = command("--workdir=some/runs", "--config=config.py", "--kind=write")
  assert result.returncode == 2
  assert result.stderr.startswith("error: while writing below --workdir=some/runs: the disk is full")


def test_other_system_errors_are_bugs():
  with pytest.raises(OSError, match="trouble"), one_line():
    raise OSError(errno.ENOTTY, "trouble", "runs/a")


def test_config_errors_are_type_errors_and_input_errors():
  assert issubclass(ConfigError, TypeError)
  assert issubclass(ConfigError, InputError)


@pytest.mark.parametrize("room", ["train", "evaluate", "predict", "prepare", "benchmark", "analyse", "weights"])
def test_help_lists_the_flags_of_the_command_alone_and_exits_0(room):
  done = subprocess.run([sys.executable, "-m", f"vidjax.{room}", "--help"], capture_output=True, text=True, timeout=60)
  assert done.returncode == 0, done.stderr
  assert ("--config: " in done.stdout) == (room in ("train", "benchmark", "analyse"))
  assert f"vidjax.{room}" in done.stdout
  assert all(word not in done.stdout for word in ("grain", "orbax", "logtostderr"))


LOST = """
import gc, os, signal, sys, time
from vidjax.command import run_main
from vidjax.errors import tidy_at_sigterm

def main(argv):
  number, sent = getattr(signal, argv[1]), []

  def collected(phase, info):
    if not sent:
      sent.append(phase)
      os.kill(os.getpid(), number)  # the exception is raised here, and Python drops it

  gc.callbacks.append(collected)
  with tidy_at_sigterm():
    gc.collect()
    time.sleep(30)

run_main(main, arguments=True)
"""


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_that_comes_in_a_callback_of_the_collector_is_not_lost(name, code):
  line = [sys.executable, "-c", LOST, name]
  done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)  # 0 after 30 s: it was lost
  assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
