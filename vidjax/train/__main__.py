"""`python -m vidjax.train --config=FILE[:argument] --workdir=DIR [--config.key=value ...]`: trains, or resumes.

Exit codes: 0 trained (or found finished), 2 bad input, 3 a loss that is not finite, 75 stopped by SIGTERM with the
state saved. Several processes find each other under SLURM, Open MPI and Kubernetes; elsewhere give each
`--coordinator=HOST:PORT --num_processes=N --process_id=I`.
"""

import pathlib
import time

from absl import flags

from vidjax.apply import processes
from vidjax.apply.processes import tell
from vidjax.command import define_config, read_config, run_main
from vidjax.errors import InputError
from vidjax.train.phases import train_run

CONFIG = define_config()
WORKDIR = flags.DEFINE_string("workdir", None, "Folder for checkpoints, metrics and reports; an old one is resumed.")
COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, for training with several processes.")
NUM_PROCESSES = flags.DEFINE_integer(
  "num_processes", None, "How many processes train together; 1 keeps a scheduler out."
)
EXTEND = flags.DEFINE_bool(
  "extend", False, "Train longer than before, by a larger train.epochs, though the learning rate depends on it."
)
TRACK = flags.DEFINE_list(
  "track", [], "Trackers that the run is sent to as well: wandb, mlflow, or both with a comma; docs/runs.md."
)
PROCESS_ID = flags.DEFINE_integer("process_id", None, "Number of this process, from 0.")


def main(argv: list[str]) -> None:
  """The command."""
  started = time.monotonic()
  if not WORKDIR.value:
    raise InputError("--workdir=DIR is missing: name a folder for checkpoints and metrics")
  processes.join(COORDINATOR.value, NUM_PROCESSES.value, PROCESS_ID.value)
  with processes.ends_at_once():
    with processes.together():
      config = read_config(CONFIG.value)
    workdir = pathlib.Path(WORKDIR.value)
    train_run(config, workdir, EXTEND.value, TRACK.value)
  tell(f"done in {time.monotonic() - started:.0f} s: {workdir}")


if __name__ == "__main__":
  run_main(main)
