"""What a file holds of a run: one function from clips to scores, for any number of clips."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from vidjax.apply.forward import forward
from vidjax.evaluate.views import by_name
from vidjax.run.opened import Run
from vidjax.types import Array

INPUT = "clips"


class Exported(NamedTuple):
  """A function to write, and how it is called.

  Attributes:
    call: clips `[B, ...]` -> arrays `[B, ...]` by name: "scores", the task's answer, "logits" and "features"; of a
      network that classifies nothing "features" alone.
    spec: of the clips; B is symbolic.
    names: of the results, in their order.
  """

  call: Callable[[Array], dict[str, jax.Array]]
  spec: jax.ShapeDtypeStruct
  names: tuple[str, ...]

  def made(self, count: int) -> np.ndarray:
    """Noise to try the function on."""
    rng, shape = np.random.default_rng(0), (count, *self.spec.shape[1:])
    if self.spec.dtype == np.uint8:
      return rng.integers(0, 256, shape).astype(np.uint8)
    return rng.standard_normal(shape).astype(np.float32)


def exported(run: Run, preprocessing: bool = True, dtype: Any = None) -> Exported:
  """The function of a run, its variables in it.

  Args:
    run: with its variables.
    preprocessing: take clips as the run's stream makes them, such as uint8 frames, and normalise them inside; else
      take normalised floats.
    dtype: of the computation (default: that of the training).
  """
  kind = np.dtype(run.recipe.stream.dtype if preprocessing else np.float32)
  (batch,) = jax.export.symbolic_shape("batch")

  def call(clips: Array) -> dict[str, jax.Array]:
    clips = run.normalise(clips) if preprocessing else jnp.asarray(clips)
    output, _ = forward(run.network, run.variables, clips, False, dtype=dtype or run.recipe.dtype)
    found = {} if output.logits is None else {"scores": by_name(run.recipe.task.answer(output))["scores"]}
    return found | ({} if output.logits is None else {"logits": output.logits}) | {"features": output.features}

  names = tuple(jax.eval_shape(call, jax.ShapeDtypeStruct((1, *run.clip_shape), kind)))
  ordered = tuple(name for name in ("scores", "logits", "features") if name in names)
  return Exported(call, jax.ShapeDtypeStruct((batch, *run.clip_shape), kind), ordered)


def difference(found: Array, wanted: Array) -> float:
  """The largest difference of two arrays, as a share of the largest magnitude wanted.

  Args:
    found: an array.
    wanted: what it should be.
  """
  found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
  largest = np.abs(wanted).max(initial=0)
  return float(np.abs(found - wanted).max(initial=0) / (largest if largest > 0 else 1))
