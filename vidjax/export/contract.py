"""What belongs to an exported network and lies in no graph, as JSON beside the file: how its clips are made of a film,
and what its numbers mean."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

import vidjax
from vidjax.apply.device_augment import Normalise
from vidjax.errors import InputError
from vidjax.evaluate.calibration import read_calibration
from vidjax.export.network import INPUT, Exported
from vidjax.files import write_text
from vidjax.run.films import stored_short_side
from vidjax.run.opened import Run

NOTES = {
  "stablehlo": "a deployment, not an archive: JAX promises to read it for six months; keep the run's folder",
  "onnx": "computes in float32",
  "safetensors": "parameters alone, by the names of PyTorch where there are any; vidjax makes the network",
}
EXAMPLE = 100
"""Frames of a video whose sampled numbers the file states, so that another program can compare its own."""


def contract(run: Run, form: str, part: Exported, preprocessing: bool, checked: Mapping[str, Any]) -> dict[str, Any]:
  """The contents of the JSON file.

  Args:
    run: that was exported.
    form: "stablehlo", "onnx" or "safetensors".
    part: its function.
    preprocessing: whether the graph normalises.
    checked: what was compared, and with which result.
  """
  recipe, task = run.recipe, run.recipe.task
  several = bool(getattr(task, "several", False))
  answers = {"scores": "sigmoid" if several else "softmax"} if "scores" in part.names else {}
  axes = ["batch", "time", "height", "width", "channel"] if len(run.clip_shape) == 4 else ["batch", "time", "feature"]
  return {
    "format": form,
    "note": NOTES[form],
    "vidjax": vidjax.__version__,
    "step": run.step,
    "trained_on": run.trained_data,
    "network": type(run.network).__name__,
    "input": {
      "name": INPUT,
      "holds": _described(recipe.config.get("stream", {}), recipe.stream),
      "dtype": str(np.dtype(part.spec.dtype)),
      "shape": [None, *run.clip_shape],
      "axes": axes,
      "normalised": "by the graph" if preprocessing and form != "safetensors" else "by the caller",
    },
    "sampling": {
      **_described(recipe.config["sampler"], recipe.sampler),
      "rate": "of the film" if getattr(recipe.sampler, "by", "frame") == "frame" else "even in time",
      "example": {"frames_of_video": EXAMPLE, "numbers": recipe.sampler.test(EXAMPLE)[0].tolist()},
    },
    "crop": {
      **_described(recipe.config["test"], run.test_crops),
      **run.crop_sizes,
      "stored_short_side": stored_short_side(run),
    },
    "normalise": _normalise(run),
    "output": {"names": list(part.names), **answers},
    "task": type(task).__name__,
    "threshold": getattr(task, "threshold", None),
    "calibration": _calibration(run),
    "class_names": list(run.class_names),
    "checked": dict(checked),
  }


def write(path: pathlib.Path, contents: Mapping[str, Any]) -> pathlib.Path:
  """Writes the JSON file of an exported file, and returns its path.

  Args:
    path: of the exported file.
    contents: from `contract`.
  """
  beside = beside_of(path)
  write_text(beside, json.dumps(contents, indent=2, ensure_ascii=False) + "\n")
  return beside


def beside_of(path: pathlib.Path) -> pathlib.Path:
  """The JSON file of an exported file: FILE.json beside FILE."""
  return path.with_name(f"{path.name}.json")


def _described(section: Mapping[str, Any], made: Any) -> dict[str, Any]:
  """A section of a config with the class it makes, all values that the file sets."""
  kind = type(made)
  return {"make": f"{kind.__module__}.{kind.__qualname__}"} | {k: v for k, v in section.items() if k != "make"}


def _normalise(run: Run) -> dict[str, Any]:
  normalise = run.normalise
  found = _described(run.config["normalise"], normalise)
  if isinstance(normalise, Normalise):
    found |= {"formula": "(x / 255 - mean) / std", "mean": list(normalise.mean), "std": list(normalise.std)}
  return found


def _calibration(run: Run) -> dict[str, Any] | None:
  """Temperature and thresholds, where the run's folder has those of this checkpoint."""
  if run.workdir is None:
    return None
  try:
    found = read_calibration(run.workdir, run.step)
  except InputError:
    return None
  return {"temperature": found.temperature, "views": found.views, "thresholds": found.thresholds}
