"""The numbers of a run, as training writes them to `metrics.jsonl`."""

import json
import math
import pathlib

VALIDATION = "validation/"
"""Before the names of what a validation measured."""


def read_metrics(workdir: pathlib.Path, step: float = math.inf) -> list[dict[str, float]]:
  """The lines of a run's `metrics.jsonl`, each with its "step"; none where the file is not there.

  Args:
    workdir: the run's folder.
    step: the last one that counts.
  """
  path = workdir / "metrics.jsonl"
  lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True) if path.is_file() else []
  return [json.loads(line) for line in lines if kept_line(line, step)]


def read_history(workdir: pathlib.Path, step: float = math.inf) -> list[dict[str, float]]:
  """The numbers of every validation of a run up to a step, by their names, the first one first.

  Args:
    workdir: the run's folder.
    step: the last one that counts.
  """
  found = [
    {key.removeprefix(VALIDATION): x for key, x in line.items() if key.startswith(VALIDATION)}
    for line in read_metrics(workdir, step)
  ]
  return [numbers for numbers in found if numbers]


def validated_steps(workdir: pathlib.Path) -> set[int]:
  """The steps after which a run was validated, as far as its `metrics.jsonl` is whole."""
  return {int(line["step"]) for line in read_metrics(workdir) if any(key.startswith(VALIDATION) for key in line)}


def is_validation(line: str, step: float) -> bool:
  """Whether a whole line of metrics.jsonl is of the validation after a step.

  Args:
    line: that `kept_line` keeps.
    step: updates done.
  """
  numbers = json.loads(line)
  return numbers["step"] == step and any(key.startswith(VALIDATION) for key in numbers)


def kept_line(line: str, step: float) -> bool:
  """Whether a line of metrics.jsonl is whole and of a step up to this one (a killed run may leave half a line).

  Args:
    line: with its end.
    step: the last one that counts.
  """
  try:
    return json.loads(line)["step"] <= step and line.endswith("\n")
  except (ValueError, KeyError, TypeError):
    return False
