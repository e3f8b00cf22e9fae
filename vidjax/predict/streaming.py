"""A trained network on a stream: `stream = vidjax.open_run(DIR).stream()`, then `stream.push(frame)` each time."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.apply.stream import Memory, check_streams, start, step
from vidjax.errors import InputError
from vidjax.evaluate.views import by_name
from vidjax.predict.predictor import check_classifies
from vidjax.run.opened import Run
from vidjax.types import Output


class Stream:
  """Scores after every frame, as those of the whole clip so far; a frame is computed once.

  Frames count alike, however far apart they are: push them at about the rate of the training's clips. `reset` starts
  another clip, as for the next window of a camera.

  Attributes:
    class_names: K names in the order of the scores.
  """

  def __init__(self, run: Run):
    """Checks the network on three random frames, both ways.

    Args:
      run: with its variables, of a network of `TSM(bidirectional=False)`.

    Raises:
      InputError: the network reads something else than colour frames, or looks ahead.
    """
    check_classifies(run)
    if "colour" not in run.recipe.stream.gives or run.recipe.sampler.clip_length != getattr(
      run.recipe.sampler, "num_segments", run.recipe.sampler.clip_length
    ):
      raise InputError(f"{run.workdir or 'this run'} does not read single frames in colour, which a stream gives")
    self.class_names = tuple(run.class_names)
    self._run, self._crop = run, run.crops(1)
    check_streams(run.network, run.variables, run.clip_shape[1:], run.recipe.dtype)
    self._step = jax.jit(functools.partial(_answer, run))
    self._memory = self._fresh()

  def reset(self) -> None:
    """Forgets all frames."""
    self._memory = self._fresh()

  def push(self, frame: np.ndarray) -> np.ndarray:
    """The task's scores `[K]` of the frames since the last reset, this one among them: uint8 RGB `[H, W, 3]`."""
    if frame.ndim != 3 or frame.shape[-1] != 3 or frame.dtype != np.uint8:
      raise InputError(f"a frame of {frame.dtype} {list(frame.shape)}: give uint8 RGB [H, W, 3]")
    view = self._crop(frame[None, None])[0]
    scores, self._memory = self._step(self._run.variables, self._memory, view)
    return np.asarray(scores[0])

  def _fresh(self) -> Memory:
    blank = jnp.zeros((1, *self._run.clip_shape[1:]))
    return start(self._run.network, self._run.variables, blank, self._run.recipe.dtype)


def _answer(run: Run, variables: Any, memory: Memory, frame: jax.Array) -> tuple[jax.Array, Memory]:
  clip = run.normalise(frame[None])
  logits, memory = step(run.network, variables, memory, clip[:, 0], run.recipe.dtype)
  return by_name(run.recipe.task.answer(Output(logits, logits)))["scores"], memory
