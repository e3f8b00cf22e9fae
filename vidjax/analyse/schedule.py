"""The learning rate and the weights of the losses over a training, drawn from its config (thesis Fig. 3.12)."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.analyse.pictures import legible, save_figure
from vidjax.build import build
from vidjax.recipe import Recipe

POINTS = 512
"""Of a curve, at most."""


def scheduled(recipe: Recipe, steps_per_epoch: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
  """What a config says of every step beforehand: the learning rate, and weights of losses that are not learnt.

  Args:
    recipe: of the config.
    steps_per_epoch: of the training.

  Returns:
    Numbers of steps `[N]`, and by name `[N]` values: "learning rate", and "weight/NAME" of each loss that the blend
    gives a weight of its own. A blend by gradients has none before the training.
  """
  total = recipe.settings.total(steps_per_epoch)
  steps = np.unique(np.linspace(0, total, min(total + 1, POINTS)).round()).astype(int)
  rule: Any = recipe.rule
  rule = rule.over(total) if hasattr(rule, "over") else rule
  weights = getattr(rule, "weights", {})
  weights = weights if isinstance(weights, Mapping) else {}
  curves = {"learning rate": _values(recipe.schedule(steps_per_epoch), steps)}
  return steps, curves | {f"weight/{name}": _values(weight, steps) for name, weight in weights.items()}


def scales(pairs: Sequence[tuple[float, float]], steps: np.ndarray) -> dict[str, np.ndarray]:
  """Curves of scale schedulers (Eq. 3.19), as those of `scheduled`.

  Args:
    pairs: gamma and lambda of each.
    steps: int `[N]`, up to the training's last one.
  """
  curves = {}
  for gamma, lam in pairs:
    scale = build({"make": "vidjax.train.schedules.Scale", "gamma": gamma, "lam": lam})
    curves[f"weight/gamma {gamma:g}, lambda {lam:g}"] = _values(scale.over(int(steps[-1])), steps)
  return curves


def _values(schedule: Callable[[Any], Any] | float, steps: np.ndarray) -> np.ndarray:
  if not callable(schedule):
    return np.full(len(steps), float(schedule))
  return np.asarray(jax.vmap(lambda step: jnp.asarray(schedule(step), jnp.float32))(jnp.asarray(steps)))


def save_schedule(
  path: str | os.PathLike, steps: np.ndarray, curves: Mapping[str, np.ndarray], steps_per_epoch: int, title: str
) -> None:
  """Draws the learning rate, and the weights below it.

  Args:
    path: of the picture; its ending is one of `pictures.ENDINGS`.
    steps: int `[N]`.
    curves: from `scheduled`.
    steps_per_epoch: of the training.
    title: of the picture.
  """
  from matplotlib.figure import Figure

  weights = {name.removeprefix("weight/"): curve for name, curve in curves.items() if name.startswith("weight/")}
  panels = [{"learning rate": curves["learning rate"]}] + [weights] * bool(weights)
  figure = Figure(figsize=(5, 0.6 + 2.2 * len(panels)), dpi=150, layout="constrained")
  grid = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
  for axes, panel, label in zip(grid, panels, ("learning rate", "weight of the loss"), strict=False):
    for name, curve in panel.items():
      axes.plot(steps / steps_per_epoch, curve, label=legible(name))
    axes.set_ylabel(label, fontsize=8)
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    if panel is weights:
      axes.legend(fontsize=7)
  grid[-1].set_xlabel(f"epoch, of {steps_per_epoch} steps", fontsize=8)
  figure.suptitle(legible(title), fontsize=10, parse_math=False)
  save_figure(figure, path)
