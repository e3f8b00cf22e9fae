"""Host memory: on the CPU every step takes fresh memory from the system, unless malloc is told to keep freed memory."""

import ctypes
import importlib.util
import os
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8  # of glibc's malloc.h


def keep_freed_memory() -> None:
  """Lets glibc keep what XLA frees; `import vidjax` calls it, best before JAX starts its threads.

  XLA allocates the buffers of every step anew, and glibc maps and unmaps large ones each time: page faults took a third
  of the quickstart's step on 2 cores, and half of MobileNetV2's and X3D-M's. The process then holds its peak. Does
  nothing without glibc, where JAX has a plugin for an accelerator, or with VIDJAX_KEEP_MEMORY=0 in the environment.
  """
  if (
    os.environ.get("VIDJAX_KEEP_MEMORY") == "0"
    or not sys.platform.startswith("linux")
    or any(map(importlib.util.find_spec, ("jax_plugins", "libtpu")))
  ):
    return
  mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
  if mallopt is None:
    return
  for option, value in ((_M_ARENA_MAX, 1), (_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_TOP_PAD, 2**28)):
    mallopt(option, value)
