"""Several trainings on one machine, also at once: each has a share of the cores and of the devices.

What they compile is kept in a folder, so that the same network is compiled once, as for another seed.
"""

import contextlib
import os
import pathlib
import threading
from collections.abc import Iterator, Sequence


class Slots:
  """Shares of the cores and of the devices, one for each training at once."""

  def __init__(self, shares: Sequence[tuple[set[int], str | None]], compiled: pathlib.Path):
    """Divides.

    Args:
      shares: cores, and the value of CUDA_VISIBLE_DEVICES.
      compiled: folder for what is compiled, unless JAX_COMPILATION_CACHE_DIR names one.
    """
    self._free, self._compiled = list(shares), str(compiled.resolve())
    self._lock = threading.Lock()

  @contextlib.contextmanager
  def one(self) -> Iterator[tuple[dict[str, str], int]]:
    """Takes a share for the commands that this thread starts; yields their environment and the number of cores."""
    with self._lock:
      cores, device = self._free.pop()
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    try:
      if before is not None:
        os.sched_setaffinity(0, cores)  # of this thread, and so of the processes it starts
      kept = {"JAX_COMPILATION_CACHE_DIR": self._compiled, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5"}
      yield {**kept, **os.environ, **({"CUDA_VISIBLE_DEVICES": device} if device else {})}, len(cores)
    finally:
      if before is not None:
        os.sched_setaffinity(0, before)
      with self._lock:
        self._free.append((cores, device))


def make_slots(processes: int, compiled: pathlib.Path) -> Slots:
  """The shares of that many trainings at once: of the cores, and of the devices of CUDA_VISIBLE_DEVICES.

  Args:
    processes: trainings at once.
    compiled: see `Slots`.
  """
  cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
  devices = list(filter(None, os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")))
  shares = []
  for i in range(processes):
    own = set(cores[i::processes]) or {cores[i % len(cores)]}
    some = devices[i::processes] or devices[i % len(devices) : i % len(devices) + 1] if devices else []
    shares.append((own, ",".join(some) or None))
  return Slots(shares, compiled)
