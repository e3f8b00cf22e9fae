"""What a number was measured on: the evaluation manifest that stands beside it in the report.

Two evaluations with the same manifest read the same frames of the same videos, cut alike, with the same parameters.
Where two numbers differ, their manifests say what was not the same.
"""

import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import traverse_util

import vidjax
from vidjax.run.opened import Run

SETTINGS = "settings.json"
"""Of a prepared data set; what decoded its videos stands there."""


def manifest(
  run: Run, split: str, video_ids: Sequence[str], frames: np.ndarray | None, views: tuple[int, int]
) -> dict[str, Any]:
  """The manifest of one run's scores of a split.

  Args:
    run: with its variables.
    split: of its data set.
    video_ids: of the videos that count, in their order.
    frames: int `[N, V, T]`, the numbers of the frames of every view; None where they are not known.
    views: clips of each video, and crops of each clip.

  Returns:
    Strings, numbers and mappings of them: data set, split and the SHA-256 of what it holds; number of the videos and
    SHA-256 of their list; SHA-256 of the frames' numbers; sampler, crops and views; the libraries that read the records
    and those that made them; step and SHA-256 of the parameters.
  """
  import av  # the data stack
  import cv2

  clips, crops = views
  return {
    "data": {"name": run.data.name, "split": split, "sha256": run.dataset.digests.get(split, "")},
    "videos": {"count": len(video_ids), "sha256": _of_text(video_ids)},
    "frames": "" if frames is None else _of_array(frames),
    "sampler": run.config["sampler"],
    "crop": {**run.config["test"], **run.crop_sizes},
    "views": {"clips": clips, "crops": crops},
    "decoder": {"reads": {"OpenCV": cv2.__version__, "PyAV": av.__version__}, "made": _made(run, split)},
    "parameters": {"step": run.step, "sha256": of_variables(run.variables or {})},
    "vidjax": vidjax.__version__,
  }


def digest(found: Mapping[str, Any]) -> str:
  """SHA-256 of a manifest, in 16 digits: equal where two manifests are."""
  return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]


def of_variables(variables: Mapping[str, Any]) -> str:
  """SHA-256 of the names, shapes and values of a network's arrays."""
  found = hashlib.sha256()
  for path, x in sorted(traverse_util.flatten_dict(dict(variables), sep="/").items()):
    array = np.ascontiguousarray(jax.device_get(x))
    found.update(f"{path} {array.dtype} {array.shape}".encode() + array.tobytes())
  return found.hexdigest()


def _of_text(lines: Sequence[str]) -> str:
  return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def _of_array(x: np.ndarray) -> str:
  return hashlib.sha256(f"{x.shape}".encode() + np.ascontiguousarray(x, "<i4").tobytes()).hexdigest()


def _made(run: Run, split: str) -> dict[str, str]:
  """The versions of the libraries that a data set's preparation names."""
  path = pathlib.Path(run.dataset.shards[split][0][0]).parent / SETTINGS
  try:
    settings = json.loads(path.read_text(encoding="utf-8"))
  except (OSError, ValueError):
    return {}
  return {name: str(settings[name]) for name in ("PyAV", "OpenCV", "--encoding") if name in settings}
