"""What tables read of a trained run."""

import json
import pathlib
from typing import Any

import numpy as np

from vidjax.run.folder import run_folder

FEW = 20
"""Of so few classes, a right one among five says little: top-5 is left out."""


def split(folder: pathlib.Path) -> str:
  """The split a run is validated on, and the name of its report."""
  return json.loads((run_folder(folder) / "config.json").read_text())["data"].get("validation_split", "validation")


def top1(folder: pathlib.Path, report: str = "") -> dict[str, float]:
  """The accuracies in a report of a run, in per cent; after training there is that of the best checkpoint.

  Args:
    folder: of the run.
    report: its name; by default that of the split the run is validated on.
  """
  found = json.loads((run_folder(folder) / "evaluation" / f"{report or split(folder)}.json").read_text())
  names = {"top-1 %": "top1", **({"top-5 %": "top5"} if found["classes"] > FEW else {})}
  return {name: 100 * found[key] for name, key in names.items()}


def manifest(folder: pathlib.Path, report: str) -> dict[str, Any]:
  """What a report of a run was measured on, see `vidjax.evaluate.manifest`; empty where an older version wrote it.

  Args:
    folder: of the run.
    report: its name.
  """
  path = run_folder(folder) / "evaluation" / f"{report}.json"
  runs = json.loads(path.read_text()).get("runs", [{}]) if path.is_file() else [{}]
  return {"runs": [run.get("manifest", {}) for run in runs]} if len(runs) > 1 else runs[0].get("manifest", {})


def logged(folder: pathlib.Path) -> list[dict[str, float]]:
  """The lines of a run's log."""
  return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def last(folder: pathlib.Path, key: str) -> float:
  """The last logged value of a number, NaN where there is none."""
  return next((line[key] for line in reversed(logged(folder)) if key in line), float("nan"))


def validated(folder: pathlib.Path, key: str) -> float:
  """A number of the validation that the best checkpoint was chosen by, as its accuracy is; NaN where it has none.

  Args:
    folder: of the run, or of a phase.
    key: of the number in a validation, such as "loss/projection".
  """
  step = json.loads((folder / "evaluation" / f"{split(folder)}.json").read_text())["step"]
  found = [line for line in logged(folder) if line["step"] == step]
  return next((line[f"validation/{key}"] for line in found if f"validation/{key}" in line), float("nan"))


def training_accuracy(folder: pathlib.Path) -> float:
  """Mean top-1 in per cent over the batches of the last epoch that the log holds; NaN where it holds none."""
  lines = [line for line in logged(folder) if "top1" in line]
  last = [line["top1"] for line in lines if line["epoch"] > lines[-1]["epoch"] - 1]
  return 100 * float(np.mean(last)) if last else float("nan")
