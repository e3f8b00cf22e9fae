"""Steps chosen in other ways than by the gates, and what a trained network makes of them (rtsae Fig. 12 and 13)."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.networks.rtsae_dscnn import choose
from vidjax.run.opened import Run

Chooser = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""(bool `[N, T]`, the steps that the gates choose; a generator) -> bool `[N, T]`."""


def uniform(chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """As many steps of each video, evenly spread: the middles of equal parts."""
  result = np.zeros_like(chosen)
  for row, count in zip(result, chosen.sum(1), strict=True):
    row[((np.arange(count) + 0.5) * len(row) / count).astype(int)] = True
  return result


def at_random(chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """As many steps of each video, drawn."""
  order = rng.permuted(np.tile(np.arange(chosen.shape[1]), (len(chosen), 1)), axis=1)
  return order < chosen.sum(1, keepdims=True)


def with_others(share: float) -> Chooser:
  """The chosen steps and a share of the others, drawn (Fig. 13)."""

  def put_back(chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return chosen | ((rng.random(chosen.shape) < share) & ~chosen)

  return put_back


def accuracy(run: Run, choosers: dict[str, Chooser], seed: int = 0) -> dict[str, float]:
  """Top-1 of a trained RTSAE-DSCNN on its validation split, the steps chosen in each way.

  Args:
    run: of `configs/rtsae_dscnn.py`, its last phase.
    choosers: name -> a way.
    seed: of their draws.
  """
  network: Any = run.network
  rng = np.random.default_rng(seed)

  @jax.jit
  def attend(variables: Any, clips: jax.Array) -> Any:
    return network.apply(variables, run.normalise(clips), False, method="attend")[:2]

  @functools.partial(jax.jit)
  def decide(variables: Any, maps: Any, chosen: jax.Array, attention: jax.Array) -> jax.Array:
    steps = network.apply(variables, maps, False, method="represent")
    return network.apply(variables, steps, chosen, attention, method="decide").logits.argmax(-1)

  right = dict.fromkeys(choosers, 0)
  videos = 0
  for batch in run.eval_loader(batch_size=32).batches():
    maps, attention = attend(run.variables, jnp.asarray(batch["video"][:, 0]))
    chosen, mask = np.asarray(choose(attention)), np.asarray(batch["mask"])
    videos += int(mask.sum())
    for name, chooser in choosers.items():
      label = np.asarray(decide(run.variables, maps, jnp.asarray(chooser(chosen, rng)), attention))
      right[name] += int((label == np.asarray(batch["label"]))[mask].sum())
  return {name: count / videos for name, count in right.items()}
