"""A network that reads a stream frame by frame, with the scores of the whole clip (TSM, Lin et al., ICCV 2019, 3.4).

A network of `TSM(bidirectional=False)` hands an eighth of each block's input on to the next frame and reads nothing of
later ones. What it hands on is the only memory; each frame is computed once.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidjax.apply.forward import forward
from vidjax.errors import ConfigError, InputError
from vidjax.types import Array, Tree

TOLERANCE = 1e-3
"""Largest difference of a clip read whole and frame by frame, as a share of the largest score; in bfloat16 30 times."""


class Memory(NamedTuple):
  """What is known of the frames so far.

  Attributes:
    stream: what modules remember, by their paths.
    total: float32 `[B, K]`, the sum of the frames' scores.
    frames: int32, how many there were.
  """

  stream: Tree
  total: jax.Array
  frames: jax.Array


def start(network: nn.Module, variables: Mapping[str, Tree], frames: Array, dtype: Any = jnp.float32) -> Memory:
  """The memory before the first frame: nothing but zeros.

  Args:
    network: called as `(clips, train)`, with scores for every frame.
    variables: `{"params", "batch_stats"}`.
    frames: `[B, H, W, C]`; their shape alone counts.
    dtype: of the computation.
  """
  shapes = jax.eval_shape(lambda v, x: _frame(network, v, x, {}, dtype), variables, frames)
  stream, scores = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
  return Memory(stream, scores, jnp.zeros((), jnp.int32))


def step(
  network: nn.Module, variables: Mapping[str, Tree], memory: Memory, frames: Array, dtype: Any = jnp.float32
) -> tuple[jax.Array, Memory]:
  """Reads one more frame of each of B streams.

  Args:
    network: as in `start`.
    variables: as in `start`.
    memory: from `start` or the step before.
    frames: `[B, H, W, C]`, normalised floats.
    dtype: of the computation.

  Returns:
    The mean scores `[B, K]` of all frames so far, before the softmax, and the new memory.
  """
  stream, scores = _frame(network, variables, frames, memory.stream, dtype)
  total, count = memory.total + scores, memory.frames + 1
  return total / count, Memory(stream, total, count)


def check_streams(network: nn.Module, variables: Mapping[str, Tree], shape: tuple[int, ...], dtype: Any) -> None:
  """Raises an InputError where a network reads a clip otherwise than frame by frame; it reads three frames both ways.

  Args:
    network: as in `start`.
    variables: as in `start`.
    shape: of a frame, `[H, W, C]`.
    dtype: of the computation.
  """
  clip = jnp.asarray(np.random.default_rng(0).normal(size=(1, 3, *shape)), jnp.float32)
  whole = jax.jit(lambda v, x: forward(network, v, x, False, dtype=dtype)[0].logits)(variables, clip)
  one = jax.jit(lambda v, m, x: step(network, v, m, x, dtype))
  try:
    memory, scores = start(network, variables, clip[:, 0], dtype), whole
  except ConfigError:
    raise
  except InputError as error:
    raise InputError(f"a stream gives one frame at a time, and the network does not take it: {error}") from error
  for number in range(3):
    scores, memory = one(variables, memory, clip[:, number])
  error = float(jnp.abs(scores - whole).max() / jnp.maximum(jnp.abs(whole).max(), 1e-12))
  if not error <= TOLERANCE * (1 if dtype == jnp.float32 else 30):
    raise InputError(
      f"{type(network).__name__} has other scores frame by frame than on a whole clip, by {error:.0%} of the largest:"
      " it has modules over time beside TSM(bidirectional=False), or pools over time before its classifier; take a run"
      " of configs/tsm.py:...,shift=past"
    )


def _frame(
  network: nn.Module, variables: Mapping[str, Tree], frames: Array, stream: Tree, dtype: Any
) -> tuple[Tree, jax.Array]:
  output, _ = forward(network, variables, frames[:, None], False, dtype=dtype, stream=stream)
  if "frame_logits" not in output.aux:
    raise InputError(
      f"{type(network).__name__} has no scores of single frames: take a Recognizer with consensus='logits'"
    )
  return output.aux["stream"], output.aux["frame_logits"][:, 0]
