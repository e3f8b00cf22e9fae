"""The mean of runs over the folds of a data set, each on the test split of its own fold."""

import collections
import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from jax.sharding import Mesh

from vidjax.data.dataset import folds_of
from vidjax.errors import InputError
from vidjax.evaluate.evaluation import Options, evaluate
from vidjax.files import write_text
from vidjax.run.opened import Run


def by_fold(runs: Sequence[Run]) -> dict[int, list[Run]]:
  """The runs of every fold, in the order of the folds.

  Args:
    runs: of one data set; those of one fold, such as two streams, average their scores.

  Raises:
    InputError: another data set or none with folds, or more runs of one fold than of another.
  """
  found: dict[int, list[Run]] = collections.defaultdict(list)
  for run in runs:
    if run.data.name != runs[0].data.name:
      raise InputError(
        f"{run.workdir} reads {run.data.name}, {runs[0].workdir} {runs[0].data.name}: --folds is about one data set"
      )
    if run.data.fold is None:
      raise InputError(f"{run.workdir} has no fold: leave --folds out, or train it with --config.data.fold=1")
    found[run.data.fold].append(run)
  counts = {fold: len(members) for fold, members in found.items()}
  if len(set(counts.values())) > 1:
    told = ", ".join(f"{count} of fold {fold}" for fold, count in sorted(counts.items()))
    raise InputError(f"there are {told} among the runs: give as many of each fold")
  return dict(sorted(found.items()))


def evaluate_folds(
  runs: Sequence[Run], options: Options, mesh: Mesh, command: str, progress: bool = True
) -> dict[str, Any]:
  """Evaluates the runs of every fold, writes their reports and that of the mean, beside the first run's.

  Args:
    runs: with their variables, see `by_fold`.
    options: how; the split is "test" by default.
    mesh: devices to use.
    command: the command line, for the reports.
    progress: show a bar on stderr.

  Returns:
    `folds` (fold -> what `evaluate` returns), `mean` (of each number), `missing` (folds without a run) and `report`.
  """
  members = by_fold(runs)
  split = options.split or "test"
  options = dataclasses.replace(options, split=split)
  names = getattr(runs[0].recipe.task, "numbers", ())
  if not names:
    raise InputError(f"{type(runs[0].recipe.task).__name__} has no numbers to average: leave --folds out")
  for run in runs:
    run.check_labels(split)
  results = {fold: evaluate(own, options, mesh, command, progress) for fold, own in members.items()}
  mean = {name: sum(result[name] for result in results.values()) / len(results) for name in names}
  missing = [fold for fold in folds_of(runs[0].data.name, runs[0].data.dir) if fold not in results]
  path = pathlib.Path(runs[0].workdir or ".") / "evaluation" / f"{split}_folds.json"
  document = {
    "data": runs[0].data.name,
    "split": split,
    "views": f"{options.clips}x{options.crops}",
    "mean": mean,
    "folds": {
      str(fold): {
        "runs": [str(run.workdir) for run in members[fold]],
        "videos": result["videos"],
        **{name: result[name] for name in names},
      }
      for fold, result in results.items()
    },
    "missing": missing,
    "command": command,
  }
  write_text(path, json.dumps(document, indent=2) + "\n")
  return {"folds": results, "mean": mean, "missing": missing, "report": path}
