"""What a training does for its trackers: it checks them at launch, and starts the process that follows its folder."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vidjax.apply.processes import tell
from vidjax.build import nearest
from vidjax.errors import EXIT_TERMINATED, InputError, TrainingStopped
from vidjax.run.commit import commit
from vidjax.run.folder import flatten
from vidjax.track.follow import EXIT_UNSENT, FOLDER

WAIT = 20.0
"""Seconds that a tracker has after the end of a training to take what it lacks."""
CHECK = 60.0
"""Seconds for the check at launch, most of which is the import of the tracker's library."""
PACKAGES = {path.stem.removeprefix("to_"): path for path in pathlib.Path(__file__).parent.glob("to_*.py")}
"""The trackers there are."""


def check_trackers(names: Sequence[str]) -> None:
  """Raises InputError unless all trackers are installed, logged in and named right; no server is asked."""
  for name in names:
    if "." not in name and name not in PACKAGES:
      raise InputError(f"--track={name}: there is {', '.join(sorted(PACKAGES))}{nearest(name, PACKAGES)}")
    if names.count(name) > 1:
      raise InputError(f"--track names {name} twice")
    try:
      done = subprocess.run(_command(name, pathlib.Path(), 0), capture_output=True, text=True, timeout=CHECK)
    except subprocess.TimeoutExpired:
      raise InputError(f"--track={name}: it did not answer within {CHECK:g} s: train without it") from None
    if done.returncode:
      found = (done.stdout.splitlines() or done.stderr.splitlines() or ["it ends with an error"])[-1]
      if name in PACKAGES and found == f"No module named '{name}'":
        found = f"{name} is not installed: pip install -e '.[{name}]'"
      raise InputError(f"--track={name}: {found}")


@contextlib.contextmanager
def followed(workdir: pathlib.Path, names: Sequence[str], config: Mapping[str, Any]) -> Iterator[list[str]]:
  """A block whose run is sent to trackers, by a process for each; enter it once `metrics.jsonl` is cut to the start.

  Args:
    workdir: the run's folder.
    names: of the trackers; none starts nothing.
    config: of the run.

  Yields:
    The names of trackers that did not get everything, empty before the end.
  """
  missed: list[str] = []
  wait = True
  running = [_Tracker(name, workdir, config) for name in names]
  end = "failed"
  try:
    yield missed
    end = "finished"
  except TrainingStopped as error:
    end = "stopped" if error.code == EXIT_TERMINATED else "failed"
    raise
  except KeyboardInterrupt:  # at once: what is left they send by themselves
    wait = False
    raise
  finally:
    for one in running:
      one.end(end)
    missed += [one.name for one in running if wait and not one.join()]


class _Tracker:
  """The process of one tracker. Nothing here waits for it but `join`."""

  def __init__(self, name: str, workdir: pathlib.Path, config: Mapping[str, Any]):
    folder = workdir / FOLDER
    folder.mkdir(exist_ok=True)
    whole = workdir.resolve()
    about = {"workdir": str(whole), "name": whole.name, "group": "/".join(whole.parent.parts[-2:]).strip("/")}
    about |= {"config": flatten(config), "commit": commit() or ""}
    self.name, self._process, self._reader = name, None, None
    try:
      with (folder / f"{name}.log").open("ab") as log:
        self._process = subprocess.Popen(
          _command(name, workdir, WAIT),
          stdin=subprocess.PIPE,
          stdout=subprocess.PIPE,
          stderr=log,
          text=True,
          start_new_session=True,  # Ctrl-C is for the training
        )
      self._reader = threading.Thread(target=self._read, daemon=True)
      self._reader.start()
      self._write(json.dumps(about, default=str))
    except OSError as error:
      tell(f"{name} does not start ({error}); metrics.jsonl has all numbers", error=True)

  def _read(self) -> None:
    assert self._process is not None
    assert self._process.stdout is not None
    for line in self._process.stdout:
      tell(line.strip(), error=True)

  def _write(self, line: str) -> None:
    if self._process is not None and self._process.stdin is not None:
      with contextlib.suppress(OSError, ValueError):  # it is gone, and has said why
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

  def end(self, how: str) -> None:
    """Tells it that the training is over."""
    self._write(how)
    if self._process is not None and self._process.stdin is not None:
      with contextlib.suppress(OSError):
        self._process.stdin.close()

  def join(self) -> bool:
    """Waits for it, but no longer than it may take; returns whether it got everything."""
    if self._process is None or self._reader is None:
      return False
    try:
      code = self._process.wait(WAIT + 5)
    except subprocess.TimeoutExpired:
      with contextlib.suppress(ProcessLookupError):
        os.killpg(self._process.pid, signal.SIGKILL)
      code = self._process.wait()
    self._reader.join(1)
    if not self._reader.is_alive() and self._process.stdout is not None:
      self._process.stdout.close()
    if code not in (0, EXIT_UNSENT):
      tell(f"{self.name} ended with code {code}: see {FOLDER}/{self.name}.log; metrics.jsonl has all", error=True)
    return code == 0


def _command(name: str, workdir: pathlib.Path, wait: float) -> list[str]:
  return [sys.executable, "-m", "vidjax.track.follow", name, str(workdir), f"{wait:g}"]
