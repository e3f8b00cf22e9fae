"""What a network gains on the classes that are confused most (TTSN, Fig. 4 and 5), in a picture.

`python -m experiments.ttsn.classes --workdir=RUN --workdir=RUN2 --out=PICTURE`: accuracy of the classes that the runs
together confuse most, of every run side by side, from the reports that `vidjax.train` and `vidjax.evaluate` left. They
hold Fig. 6, too: `evaluation/<split>_confusion.png`.
"""

import pathlib

import numpy as np
from absl import flags

from vidjax.analyse.class_accuracy import save_class_accuracy
from vidjax.analyse.pictures import check_picture_path
from vidjax.command import run_main
from vidjax.console import say
from vidjax.errors import InputError
from vidjax.run.folder import read_folder
from vidjax.tasks.metrics import confusion
from vidjax.types import Scores


def read_confusion(folder: pathlib.Path, split: str | None) -> tuple[np.ndarray, list[str]]:
  """The confusion matrix of a run's report, and the class names.

  Args:
    folder: of the run.
    split: whose report; None: the one that the run is validated on.
  """
  config, class_names = read_folder(folder)
  split = split or config.get("data", {}).get("validation_split", "validation")
  path = folder / "evaluation" / f"{split}_scores.npz"
  if not path.is_file():
    raise InputError(f"{path} is missing: run python -m vidjax.evaluate --workdir={folder} --split={split} first")
  with np.load(path) as stored:
    return confusion(Scores(stored["index"], stored["label"], stored["scores"])), class_names


def main(argv: list[str]) -> None:
  """The command."""
  values = flags.FLAGS
  if not values.workdir or not values.out:
    raise InputError("--workdir=RUN (once for each run) and --out=PICTURE are needed")
  out = check_picture_path(values.out)
  folders = [pathlib.Path(folder) for folder in values.workdir]
  found = [read_confusion(folder, values.split) for folder in folders]
  names = found[0][1]
  for folder, (_, others) in zip(folders, found, strict=True):
    if others != names:
      raise InputError(f"{folder} has other classes than {folders[0]}: compare runs on one data set")
  if len({folder.resolve().name for folder in folders}) < len(folders):
    raise InputError("two runs have folders of the same name, which the picture could not tell apart")
  matrices = {folder.resolve().name: matrix for folder, (matrix, _) in zip(folders, found, strict=True)}
  out.parent.mkdir(parents=True, exist_ok=True)
  classes = save_class_accuracy(out, matrices, names)
  say(f"{out}: {', '.join(names[label] for label in classes) or 'no class is confused with another'}")


if __name__ == "__main__":
  flags.DEFINE_multi_string("workdir", [], "Folder of a training run; name each.")
  flags.DEFINE_string("out", None, "The picture.")
  flags.DEFINE_string("split", None, "Whose report (default: each run's validation split, test on UCF101 and HMDB51).")
  run_main(main)
