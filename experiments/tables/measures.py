"""What tables read of a trained run."""

import json
import pathlib
from typing import Any

from vidjax.run.folder import run_folder


def top1(folder: pathlib.Path, report: str = "validation") -> dict[str, float]:
  """The accuracy in a report of a run, in per cent; after training there is that of the best checkpoint."""
  return {"top-1 %": 100 * json.loads((run_folder(folder) / "evaluation" / f"{report}.json").read_text())["top1"]}


def manifest(folder: pathlib.Path, report: str = "validation") -> dict[str, Any]:
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
