"""A trained network as one object: `vidjax.open_run(DIR).predict("film.mp4")`."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.apply.forward import forward
from vidjax.command import plain_config
from vidjax.evaluate.evaluation import parse_views
from vidjax.predict.explain import explain
from vidjax.predict.predictor import Prediction, make_predictor
from vidjax.predict.streaming import Stream
from vidjax.run import opened
from vidjax.run.opened import Run
from vidjax.types import Array, Output
from vidjax.weights.load import load_weights


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
  """A network with its variables, and what belongs before and behind it.

  Attributes:
    run: what it was made of: `run.network`, `run.variables`, `run.class_names`, `run.config`.
  """

  run: Run

  def predict(self, video: str | os.PathLike | np.ndarray, views: str = "1x1", calibrated: bool = False) -> Prediction:
    """The likeliest classes of a video, through the frames, crops and precision of evaluation.

    Args:
      video: path of a file, or its frames, uint8 RGB `[N, H, W, 3]`. Of a run on stored features, those of a video,
        float `[N, F]`, or the path of such a .npy file.
      views: CLIPSxCROPS, such as "10x3".
      calibrated: correct the scores by what `python -m vidjax.evaluate --calibrate` has fitted.

    Raises:
      InputError: the file is broken, the frames are none, or nothing was fitted.
    """
    return self._predictor(views, calibrated)(video)

  def stream(self) -> Stream:
    """What reads frames one by one, as they come: `Stream.push(frame)` gives the scores of the frames so far.

    Raises:
      InputError: the network looks ahead, or reads something else than colour frames.
    """
    return Stream(self.run)

  def explain(self, prediction: Prediction, path: str | os.PathLike) -> None:
    """Draws the sampled frames of a prediction, with Grad-CAM of the likeliest class over them.

    Args:
      prediction: from `predict`.
      path: of the picture, such as "why.png" or "why.jpg".
    """
    explain(pathlib.Path(path), [self.run], [prediction])

  def __call__(self, clips: Array) -> Output:
    """Normalised float clips `[B, T, H, W, 3]`, or uint8 ones, to `Output`: logits `[B, K]`, features `[B, D]`."""
    return self._forward(self.run.variables, clips)

  @functools.cached_property
  def _predictors(self) -> dict[tuple[str, bool], Callable[[Any], Prediction]]:
    return {}

  def _predictor(self, views: str, calibrated: bool) -> Callable[[Any], Prediction]:
    key = views, calibrated
    if key not in self._predictors:
      self._predictors[key] = make_predictor(self.run, *parse_views(views), calibrated=calibrated)
    return self._predictors[key]

  @functools.cached_property
  def _forward(self) -> Callable[..., Output]:
    recipe = self.run.recipe

    @jax.jit
    def apply(variables: Mapping[str, Any], clips: Array) -> Output:
      clips = recipe.normalise(clips) if clips.dtype == jnp.uint8 else clips
      return forward(recipe.network, variables, clips, False, dtype=recipe.dtype)[0]

    return apply


def open_run(workdir: str | os.PathLike, checkpoint: str | int = "best", **options: Any) -> Model:
  """Opens the folder of a training run.

  Args:
    workdir: the folder.
    checkpoint: "best", "last" or a step.
    **options: further ones of `vidjax.run.opened.open_run`, such as `size` or `trusted`.

  Raises:
    InputError: the folder is no run's, or damaged.
  """
  return Model(opened.open_run(pathlib.Path(workdir), checkpoint, **options))


def load_model(
  config: Any,
  weights: str | os.PathLike | None = None,
  class_names: Sequence[str] | int = 400,
  *,
  new: Sequence[str] = (),
  unused: Sequence[str] = (),
) -> Model:
  """A network that a config describes, with a checkpoint's weights or fresh ones; its data set is not opened.

  Args:
    config: a ConfigDict, nested dicts, or "configs/FILE.py[:argument]".
    weights: as `vidjax.weights.load.load_weights` takes it; None leaves the network untrained.
    class_names: K names in the order of the labels, or K.
    new: path prefixes that keep their fresh values.
    unused: names of the checkpoint's tensors that may be left over.

  Raises:
    InputError: the config or the checkpoint does not fit.
  """
  names = [str(number) for number in range(class_names)] if isinstance(class_names, int) else list(class_names)
  run = Run(plain_config(config), names)
  init = jax.jit(functools.partial(run.network.init, train=False))
  variables = init(jax.random.key(run.config["seed"]), jnp.zeros((1, *run.clip_shape)))
  run.variables = {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}
  if weights is not None:
    run.variables, _ = load_weights(run.variables, os.fspath(weights), network=run.network, new=new, unused=unused)
  return Model(run)
