"""Configs of runs that an older version trained, in the words of this one."""

from typing import Any

RENAMED = {"vidjax.train.device_augment.": "vidjax.apply.device_augment."}
"""Start of a dotted path -> what it is now."""
SEPARATE = "vidjax.train.multitask.Separate"
"""Two phases in one run, which are two runs now: such a run can be evaluated, and not resumed."""

STREAMS = {"video": "vidjax.data.streams.Frames", "flow": "vidjax.data.streams.Flow"}
"""`data.stream` -> what `config.stream` makes."""


def updated(config: Any) -> Any:
  """A config, or a part of one, with the present dotted paths."""
  if isinstance(config, dict) and config.get("make") == SEPARATE:
    return {"make": "vidjax.train.multitask.Weighted", "weights": {}}
  if isinstance(config, dict) and isinstance(config.get("data"), dict) and "stream" in config["data"]:
    stream = STREAMS.get(config["data"].pop("stream"), "")
    config |= {"stream": {"make": stream}} if stream else {}
  if isinstance(config, dict):
    return {key: _path(value) if key == "make" else updated(value) for key, value in config.items()}
  if isinstance(config, list):
    return [updated(part) for part in config]
  return config


def _path(make: Any) -> Any:
  for old, new in RENAMED.items():
    if isinstance(make, str) and make.startswith(old):
      return new + make.removeprefix(old)
  return make
