"""Tracing for a file that other machines run: there no operation may be chosen by the devices of this process."""

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_portable: contextvars.ContextVar[bool] = contextvars.ContextVar("portable", default=False)


@contextlib.contextmanager
def portable() -> Iterator[None]:
  """A block in which functions are traced for machines other than this one.

  `lax.platform_dependent` needs no such block: it keeps the forms of all platforms. A kernel that XLA can trace on its
  own platform alone does. The block is read while a function is traced, so trace a new function in it.
  """
  token = _portable.set(True)
  try:
    yield
  finally:
    _portable.reset(token)


def for_others() -> bool:
  """Whether what is being traced is for other machines, and for any number of clips."""
  return _portable.get()


def runs_on(platform: str) -> bool:
  """Whether what is being traced runs on this process's devices, and these are of a platform such as "gpu"."""
  return not for_others() and jax.default_backend() == platform
