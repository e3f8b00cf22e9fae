"""`python -m vidjax.track --workdir=DIR --track=wandb|mlflow`: sends a run to a tracker, or what it lacks of one.

The same run is continued there that a training with `--track` began. Numbers of later evaluations go along.
"""

import pathlib

from absl import flags

from vidjax.command import run_main
from vidjax.console import say
from vidjax.errors import InputError
from vidjax.run.folder import read_folder, read_phases
from vidjax.track.beside import check_trackers, followed


def define_flags() -> None:
  """The flags of the command."""
  flags.DEFINE_string("workdir", None, "Folder of the run; of one in phases, all that have begun.")
  flags.DEFINE_list("track", [], "wandb, mlflow or both, with a comma.")


def main(argv: list[str]) -> None:
  """The command."""
  given = flags.FLAGS
  if not given.workdir or not given.track:
    raise InputError("--workdir=DIR and --track=wandb or --track=mlflow are needed")
  workdir = pathlib.Path(given.workdir)
  folders = [workdir / name for name in read_phases(workdir)] or [workdir]
  configs = {folder: read_folder(folder)[0] for folder in folders if len(folders) == 1 or folder.exists()}
  check_trackers(given.track)
  for folder, config in configs.items():
    with followed(folder, given.track, config) as missed:
      pass
    if missed:
      raise InputError(f"{folder}: {', '.join(missed)} did not get everything; the same command sends the rest")
    say(f"{folder}: sent to {', '.join(given.track)}")


if __name__ == "__main__":
  define_flags()
  run_main(main)
