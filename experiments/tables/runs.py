"""The runs of a sweep: their commands and folders, and what is read of them."""

import contextlib
import fcntl
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from experiments.tables.measures import top1
from experiments.tables.row import Measure, Training
from vidjax.console import say
from vidjax.errors import EXIT_TERMINATED, InputError, TrainingStopped
from vidjax.run.children import POLL, Stop, end_process, in_use
from vidjax.run.folder import PHASES, read_phases

WORKDIR = "--workdir="
ALONE = "--num_processes=1"
"""The tasks of a scheduler train different rows: not one training together."""
TOOK = "# the command took "
"""What stands in a log before the seconds of a command."""
TAIL = 3
"""Last lines of a failed command that are repeated."""


@contextlib.contextmanager
def one_at_a_time(path: pathlib.Path, stop: Stop) -> Iterator[None]:
  """Waits until no other process is in a block of this path.

  Args:
    path: of a file.
    stop: ends the wait.

  Raises:
    TrainingStopped: it was stopped.
  """
  with path.open("w") as file:
    while True:
      try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        break
      except BlockingIOError:
        if stop.asked.wait(POLL):
          raise TrainingStopped(f"{path} was waited for", EXIT_TERMINATED) from None
    yield


def seconds(log: pathlib.Path) -> int:
  """How long the commands of a log took, those that were stopped and resumed, too; see `run_command`."""
  return round(sum(map(float, re.findall(rf"^{TOOK}([\d.]+) s$", log.read_text(errors="replace"), re.MULTILINE))))


def machine(log: pathlib.Path) -> str:
  """The devices that a training named in its log, and the cores."""
  found = re.findall(r"parameters on (\d+ \w+) device", log.read_text(encoding="utf-8", errors="replace"))
  return f"{found[-1] if found else '1 cpu'} device(s), {os.cpu_count()} cores, {platform.machine()}"


def take(source: pathlib.Path, target: pathlib.Path, tested_alike: bool) -> None:
  """Links a finished run; one that was tested otherwise is copied, without its reports.

  Args:
    source: folder of the run.
    target: name of the link or copy.
    tested_alike: its reports are those that are wanted.
  """
  if tested_alike:
    target.symlink_to(os.path.relpath(source, target.parent))
    return
  partial = target.with_name(target.name + ".partial")
  shutil.rmtree(partial, ignore_errors=True)
  shutil.copytree(source, partial, ignore=shutil.ignore_patterns("evaluation"))
  partial.replace(target)


def copy_phases(source: pathlib.Path, target: pathlib.Path, training: Training) -> None:
  """Copies the first phases of another row's run, unless the folder is begun; later ones may be others.

  Args:
    source: folder of that run.
    target: folder to begin.
    training: of the row; it says how many phases.
  """
  if target.exists():
    return
  assert training.shares
  if not (source / PHASES).exists():
    raise InputError(f"it shares phases with {source.name}, which is not trained: run that row, too")
  partial = target.with_name(target.name + ".partial")
  shutil.rmtree(partial, ignore_errors=True)
  for name in read_phases(source)[: training.shares[1]]:
    shutil.copytree(source / name, partial / name)
  partial.replace(target)


def run_command(command: Sequence[str], log: pathlib.Path, environment: dict[str, str], stop: Stop) -> None:
  """Runs a vidjax command, its output appended to a file.

  Args:
    command: module and flags.
    log: the file.
    environment: of the process.
    stop: ends it, once its state is saved.

  Raises:
    InputError: it failed.
    TrainingStopped: it was stopped.
  """
  folder = next(pathlib.Path(flag.removeprefix(WORKDIR)) for flag in command if flag.startswith(WORKDIR))
  if in_use(folder):
    say(f"{folder} is in use, as by the training of a command that was killed: waiting for its end")
  while in_use(folder) and not stop.asked.wait(POLL):
    pass
  if stop.asked.is_set():
    raise TrainingStopped(f"{folder} was not begun", EXIT_TERMINATED)
  with log.open("a", encoding="utf-8") as file:
    file.write(f"$ python -m {' '.join(command)}\n")
    file.flush()
    line = [sys.executable, "-m", *command, *[ALONE] * (command[0] == "vidjax.train")]
    start = time.monotonic()
    process = subprocess.Popen(line, stdout=file, stderr=file, env=environment, start_new_session=True)
    try:
      while process.poll() is None and not stop.asked.is_set():
        with contextlib.suppress(subprocess.TimeoutExpired):
          process.wait(POLL)
    finally:
      end_process(process, stop)
      file.write(f"{TOOK}{time.monotonic() - start:.1f} s\n")
  if process.returncode and stop.asked.is_set():
    raise TrainingStopped(f"{folder} was stopped", EXIT_TERMINATED)
  if process.returncode:
    last = " ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL - 1 : -1])
    raise InputError(f"python -m {' '.join(command)} ended with code {process.returncode}: {last}")


def measured(measure: Measure, folder: pathlib.Path, environment: dict[str, str], stop: Stop) -> dict[str, float]:
  """The numbers of a run; a measure other than `top1` may compute, so that it has a process of its own.

  Args:
    measure: of the table.
    folder: of the run.
    environment: of the process.
    stop: ends it.

  Raises:
    InputError: the run has not what is measured.
    TrainingStopped: it was stopped.
  """
  if measure is top1:
    return top1(folder)
  specification = sys.modules[measure.__module__].__spec__
  module = specification.name if specification else measure.__module__
  code = (
    "import importlib, json, pathlib, sys\n"
    "module, name, folder = sys.argv[1:]\n"
    "print(json.dumps(dict(getattr(importlib.import_module(module), name)(pathlib.Path(folder)))))"
  )
  command = [sys.executable, "-c", code, module, measure.__name__, str(folder)]
  pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
  with subprocess.Popen(command, env=environment, start_new_session=True, **pipes) as process:
    output, errors = None, ""
    while output is None and not stop.asked.is_set():
      with contextlib.suppress(subprocess.TimeoutExpired):
        output, errors = process.communicate(timeout=POLL)
    end_process(process, stop)
  if output is None:
    raise TrainingStopped(f"{folder} was not measured", EXIT_TERMINATED)
  if process.returncode:
    raise InputError(f"{folder} cannot be measured: {' '.join(errors.splitlines()[-TAIL:])}")
  return json.loads(output.splitlines()[-1])
