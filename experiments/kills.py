"""`python -m experiments.kills --out=DIR`: a training killed at random moments and resumed, again and again.

Every trial trains the quickstart, shrunk, kills it (SIGKILL) at a moment drawn from the whole length of the run, and
starts it again until it ends. Its state must equal that of a run without kills bit for bit, and its folder must hold
the same names.
"""

import pathlib
import shutil
import subprocess
import sys
import time

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import flags

from vidjax.command import run_main
from vidjax.console import say
from vidjax.errors import InputError

SHRUNK = (
  "--config.model.backbone.widths=(8,8,8,8)",
  "--config.train.epochs=1",
  "--config.train.evaluate_every=.1",
  "--config.train.checkpoint_every=3",
  "--config.train.ema_decay=.9",
  "--config.train.log_every=5",
)


def command(workdir: pathlib.Path, data: pathlib.Path) -> list[str]:
  """The training command."""
  run = [sys.executable, "-m", "vidjax.train", "--config=configs/quickstart.py", f"--workdir={workdir}"]
  return [*run, f"--config.data.dir={data}", *SHRUNK]


def state(workdir: pathlib.Path) -> list[np.ndarray]:
  """All arrays of the last checkpoint."""
  step = max(int(path.name) for path in (workdir / "checkpoints").iterdir() if path.name.isdecimal())
  path = workdir / "checkpoints" / str(step) / "state"
  with ocp.PyTreeCheckpointer() as reader:
    tree = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), reader.metadata(path).item_metadata.tree)
    return jax.tree.leaves(reader.restore(path, args=ocp.args.PyTreeRestore(restore_args=tree)))


def listing(workdir: pathlib.Path) -> list[str]:
  """The names in a run's folder and its checkpoints; TensorBoard's change with the time."""
  names = [path.relative_to(workdir).as_posix() for pattern in ("*", "checkpoints/*") for path in workdir.glob(pattern)]
  return sorted(name for name in names if "tfevents" not in name)


def main(_: list[str]) -> None:
  """The command."""
  out = pathlib.Path(flags.FLAGS.out)
  data, whole = out / "data", out / "whole"
  start = time.monotonic()
  subprocess.run(command(whole, data), check=True, stdout=subprocess.DEVNULL)
  shutil.rmtree(whole)
  start = time.monotonic()
  subprocess.run(command(whole, data), check=True, stdout=subprocess.DEVNULL)
  length, expected, names = time.monotonic() - start, state(whole), listing(whole)
  rng = np.random.default_rng(flags.FLAGS.seed)
  equal = clean = kills = 0
  for trial in range(flags.FLAGS.trials):
    workdir = out / f"trial_{trial}"
    for _ in range(3):
      process = subprocess.Popen(command(workdir, data), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
      try:
        process.wait(rng.uniform(0.2, 1) * length)
        break
      except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        kills += 1
    done = subprocess.run(command(workdir, data), capture_output=True, text=True)
    if done.returncode:
      raise InputError(f"{workdir} cannot be resumed: {done.stderr[-500:]}")
    same = all(np.array_equal(one, other) for one, other in zip(state(workdir), expected, strict=True))
    equal, clean = equal + same, clean + (listing(workdir) == names)
    if not same or listing(workdir) != names:
      say(f"{workdir}: equal {same}; {sorted(set(listing(workdir)) ^ set(names))}")
    else:
      shutil.rmtree(workdir)
  say(f"{flags.FLAGS.trials} runs, {kills} kills: {equal} bit-equal, {clean} clean listings")


if __name__ == "__main__":
  flags.DEFINE_string("out", None, "Folder for the runs.")
  flags.DEFINE_integer("trials", 40, "Runs.", lower_bound=1)
  flags.DEFINE_integer("seed", 0, "Of the moments.")
  run_main(main)
