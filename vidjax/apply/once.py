"""Compiling what runs once: a network's first variables."""

import os
from collections.abc import Callable
from typing import Any

import jax

LEVEL = "xla_backend_optimization_level"


def jit_once(fn: Callable[..., Any], **options: Any) -> Callable[..., Any]:
  """`jax.jit` of a function that runs once, so that a fast program is not worth a long compilation.

  On CPUs XLA's default takes longer (the quickstart 6.4 s against 2.4, BQN of 16 blocks a pathway 136 s against 14),
  for the same numbers to the last bit. A level in XLA_FLAGS stays.

  Args:
    fn: the function.
    **options: of `jax.jit`.
  """
  slow = jax.default_backend() == "cpu" and LEVEL not in os.environ.get("XLA_FLAGS", "")
  return jax.jit(fn, compiler_options={LEVEL: 1} if slow else None, **options)
