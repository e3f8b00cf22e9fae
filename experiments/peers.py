"""`python -m experiments.peers --out=DIR`: what becomes of two processes that train together when one of them fails.

Every failure is brought about in real processes of the training command on this machine. Printed: the exit codes, the
seconds until both have ended, from the failure on where that comes in the middle, and the last line of each.
"""

import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

from absl import flags

from experiments.kills import SHRUNK
from vidjax.command import run_main
from vidjax.console import say

LONG = ("--config.train.epochs=400", "--config.train.evaluate_every=400", "--config.train.log_every=1")
NAMES = ("learning rate", "epochs", "data set", "damaged validation", "damaged training", "port in use")
UNWRITABLE = {"no train.log": "train.log", "no metrics": "metrics.jsonl"}
"""What process 0 cannot write, because a folder has its name."""
SIGNALS = {
  "process 0 killed": (0, signal.SIGKILL),
  "process 1 killed": (1, signal.SIGKILL),
  "SIGTERM to process 1": (1, signal.SIGTERM),
  "Ctrl-C in process 0": (0, signal.SIGINT),
}


def start(
  out: pathlib.Path, own: Sequence[Sequence[str]], data: Sequence[pathlib.Path], port: int
) -> list[subprocess.Popen]:
  """Two processes of one training, each with flags of its own."""
  processes = []
  for number in range(2):
    line = [sys.executable, "-m", "vidjax.train", "--config=configs/quickstart.py", f"--workdir={out / 'run'}"]
    line += [f"--config.data.dir={data[number]}", *SHRUNK, *own[number]]
    line += [f"--coordinator=localhost:{port}", "--num_processes=2", f"--process_id={number}"]
    log = (out / f"{number}.log").open("w")
    processes.append(subprocess.Popen(line, stdout=log, stderr=subprocess.STDOUT))
  return processes


def free_port() -> int:
  """A port nobody listens on."""
  with socket.socket() as server:
    server.bind(("localhost", 0))
    return server.getsockname()[1]


def damage(data: pathlib.Path, split: str) -> None:
  """Wipes the last three quarters of a split's first file."""
  file = sorted((data / "synthetic_actions").rglob(f"*{split}.array_record*"))[0]
  content = file.read_bytes()
  file.write_bytes(content[: len(content) // 4] + bytes(len(content) - len(content) // 4))


def fail(name: str, out: pathlib.Path, data: pathlib.Path) -> None:
  """Brings one failure about and prints what came of it."""
  shutil.rmtree(out / "run", ignore_errors=True)
  shutil.rmtree(out / "other", ignore_errors=True)
  own, where, port = [[], []], [data, data], free_port()
  if name in SIGNALS:
    own = [LONG, LONG]
  elif name in ("learning rate", "epochs"):
    own[1] = ["--config.schedule.learning_rate=.5" if name == "learning rate" else "--config.train.epochs=9"]
  elif name in UNWRITABLE:
    (out / "run" / UNWRITABLE[name]).mkdir(parents=True)
  elif name != "port in use":
    where[1] = out / "other"
    shutil.copytree(data, where[1])
    if name == "data set":
      (path,) = where[1].rglob("digests.json")
      path.write_text(path.read_text().replace('"train": "', '"train": "0'))
    else:
      damage(where[1], "validation" if name == "damaged validation" else "train")
  with socket.socket() as server:
    if name == "port in use":
      server.bind(("localhost", port))
      server.listen()
    began = time.monotonic()
    processes = start(out, own, where, port)
    if name in SIGNALS:
      number, sent = SIGNALS[name]
      while "step 5/" not in (out / "0.log").read_text() and time.monotonic() < began + 200:
        time.sleep(0.1)
      began = time.monotonic()
      processes[number].send_signal(sent)
    codes = [process.wait(400) for process in processes]
  lines = [(out / f"{number}.log").read_text().splitlines() or [""] for number in range(2)]
  say(f"{name}: codes {codes}, {time.monotonic() - began:.1f} s, {', '.join(str(len(own)) for own in lines)} lines")
  for number, own in enumerate(lines):
    say(f"  {number}: {own[-1][:180]}")


def main(_: list[str]) -> None:
  """The command."""
  out = pathlib.Path(flags.FLAGS.out)
  out.mkdir(parents=True, exist_ok=True)
  for name in flags.FLAGS.failure or (*NAMES, *UNWRITABLE, *SIGNALS):
    fail(name, out, pathlib.Path(flags.FLAGS.data))


if __name__ == "__main__":
  flags.DEFINE_string("out", None, "Folder for the runs.")
  flags.DEFINE_string("data", "data", "Data folder; synthetic_actions/order is made there.")
  flags.DEFINE_multi_string("failure", None, f"One of {', '.join((*NAMES, *UNWRITABLE, *SIGNALS))}; all by default.")
  run_main(main)
