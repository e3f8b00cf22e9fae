"""What every measurement needs: repeated timings, the machine they were taken on, and its peak rate where known."""

import contextlib
import dataclasses
import importlib.metadata
import os
import platform
import shlex
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache

from vidjax import console
from vidjax.run.commit import commit

PEAK = {
  "A100": {"bfloat16": 312e12, "float32": 156e12},
  "H100 PCIe": {"bfloat16": 756e12, "float32": 378e12},
  "H100 NVL": {"bfloat16": 835e12, "float32": 417e12},
  "H100": {"bfloat16": 989e12, "float32": 494e12},
  "H200": {"bfloat16": 989e12, "float32": 494e12},
}
"""Dense FLOP/s in NVIDIA's data sheets; float32 as XLA multiplies it there by default, in TF32."""

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "grain", "simplejpeg", "opencv-contrib-python-headless")


@dataclasses.dataclass(frozen=True)
class Spread:
  """One number of every run, summed up.

  Attributes:
    median: of the runs.
    low: the smallest.
    high: the largest.
  """

  median: float
  low: float
  high: float

  @classmethod
  def of(cls, values: Sequence[float]) -> "Spread":
    """Sums up the values of the runs."""
    return cls(statistics.median(values), min(values), max(values))


def say(part: str) -> None:
  """Tells on stderr which part of a measurement starts."""
  console.say(f"measuring: {part}", error=True)


@contextlib.contextmanager
def still_alive(seconds: float = 30) -> Iterator[None]:
  """Says on stderr, at intervals of that many seconds, that the block still runs."""
  over, start = threading.Event(), time.monotonic()

  def tell() -> None:
    while not over.wait(seconds):
      console.say(f"still measuring, {time.monotonic() - start:.0f} s", error=True)

  threading.Thread(target=tell, daemon=True).start()
  try:
    yield
  finally:
    over.set()


def peak_flops(device_kind: str, dtype: str) -> float | None:
  """FLOP/s a device can reach, or None where the table does not know it.

  Args:
    device_kind: as JAX calls the device, such as "NVIDIA H200".
    dtype: "bfloat16" or "float32".
  """
  return next((rates[dtype] for name, rates in PEAK.items() if name in device_kind), None)


@contextlib.contextmanager
def fresh_compilation() -> Iterator[None]:
  """Inside, nothing comes from JAX's persistent compilation cache."""
  config: Any = jax.config
  before = config.jax_enable_compilation_cache
  try:
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()  # which asks for the setting once only
    yield
  finally:
    jax.config.update("jax_enable_compilation_cache", before)
    compilation_cache.reset_cache()


def provenance() -> dict[str, Any]:
  """Where numbers come from: command, commit (None outside a git checkout), machine and versions."""
  device = jax.devices()[0]
  return {
    "command": shlex.join(sys.orig_argv),
    "commit": commit(),
    "platform": device.platform,
    "device": f"{jax.device_count()} x {device.device_kind}",
    "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    "versions": dict(filter(None, map(_version, PACKAGES))),
  }


def _version(package: str) -> tuple[str, str] | None:
  try:
    return package, importlib.metadata.version(package)
  except importlib.metadata.PackageNotFoundError:
    return None
