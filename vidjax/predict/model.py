"""A trained network as one object: `vidjax.open_run(DIR)`, `vidjax.load_model("x3d_m")`, `.predict("film.mp4")`."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidjax import models
from vidjax.apply.forward import forward
from vidjax.apply.once import jit_once
from vidjax.command import plain_config
from vidjax.console import say
from vidjax.errors import InputError
from vidjax.evaluate.evaluation import parse_views
from vidjax.predict.explain import check_explains, explain
from vidjax.predict.predictor import Prediction, Predictor, make_predictor
from vidjax.predict.streaming import Stream
from vidjax.run import opened
from vidjax.run.opened import Run
from vidjax.types import Array, Output, Tree
from vidjax.weights.fetch import NotFetched
from vidjax.weights.load import licence_line, load_weights
from vidjax.weights.read import read_class_names, read_tensors


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
  """A network with its variables, and what belongs before and behind it.

  Attributes:
    run: what it was made of, such as `run.config`.
  """

  run: Run

  @property
  def network(self) -> nn.Module:
    """Built for K classes."""
    return self.run.network

  @property
  def variables(self) -> Mapping[str, Tree]:
    """`{"params", "batch_stats"}` of the network."""
    return self.run.variables

  @property
  def class_names(self) -> list[str]:
    """K names in the order of the scores; none of an encoder without a classifier."""
    return self.run.class_names

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

  def predict_many(
    self, videos: Iterable[str | os.PathLike | np.ndarray], views: str = "1x1", batch: int = 8, calibrated: bool = False
  ) -> Iterator[Prediction]:
    """The predictions of videos in their order; the views of several go through the network together.

    Args:
      videos: as in `predict`; they are read as they are needed.
      views: as in `predict`.
      batch: views at once.
      calibrated: as in `predict`.

    Raises:
      InputError: a video is broken; those before it have been yielded.
    """
    for found in self._predictor(views, calibrated).many(videos, batch):
      if isinstance(found, InputError):
        raise found
      yield found

  def features(self, video: str | os.PathLike | np.ndarray, views: str = "1x1") -> np.ndarray:
    """The mean features of a video, float32 `[D]`: what the classifier sees, where there is one.

    Args:
      video: as in `predict`.
      views: as in `predict`.
    """
    return self.predict(video, views).features

  def explain(self, prediction: Prediction, path: str | os.PathLike) -> None:
    """Draws the sampled frames of a prediction, with Grad-CAM of the likeliest class over them.

    Args:
      prediction: from `predict`.
      path: of the picture, such as "why.png" or "why.jpg".

    Raises:
      InputError: the network has no feature map or no classes.
    """
    check_explains(self.run)
    explain(pathlib.Path(path), [self.run], [prediction])

  def __call__(self, clips: Array) -> Output:
    """Normalised float clips `[B, T, H, W, 3]`, or uint8 ones, to `Output`: logits `[B, K]`, features `[B, D]`.

    Raises:
      InputError: clips of another type.
    """
    if clips.dtype != jnp.uint8 and not jnp.issubdtype(clips.dtype, jnp.floating):
      raise InputError(f"clips of {clips.dtype}: give uint8 colours, or floats that are normalised already")
    return self._forward(self.run.variables, clips)

  @functools.cached_property
  def _predictors(self) -> dict[tuple[str, bool], Predictor]:
    return {}

  def _predictor(self, views: str, calibrated: bool) -> Predictor:
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
  class_names: Sequence[str] | int | None = None,
  *,
  new: Sequence[str] = (),
  unused: Sequence[str] = (),
  size: int | None = None,
  short_side: int | None = None,
) -> Model:
  """A released model by its name, or the network that a config describes; no data set is opened.

  Args:
    config: a name of `vidjax.models.MODELS`; or a ConfigDict, nested dicts, or "configs/FILE.py[:argument]".
    weights: as `vidjax.weights.load.load_weights` takes it. By default those of the released model, which are fetched;
      a config's network stays untrained.
    class_names: K names in the order of the labels, or K (default: those of the released model; 400).
    new: path prefixes that keep their fresh values.
    unused: names of the checkpoint's tensors that may be left over.
    size: side of the test crop in pixels, in place of the config's or the released model's.
    short_side: to which frames are resized before that crop, in place of theirs.

  Raises:
    InputError: no such model; its weights cannot be fetched; the config or the checkpoint does not fit.
  """
  name = config if isinstance(config, str) and ".py" not in config else ""
  released = models.find(name) if name else None
  if released is not None:
    say(f"{name}: {licence_line(released.licence)} ({released.address})", error=True)
    if released.note:
      say(f"note: {released.note}", error=True)
    if class_names is None:
      class_names = _by_hand(released, _class_names, released, weights or released.weights)
    config = models.config_of(name)
  if isinstance(class_names, str):
    raise InputError(f"class_names={class_names!r}: give a list of names, as [{class_names!r}]")
  names = 400 if class_names is None else class_names
  names = [str(number) for number in range(names)] if isinstance(names, int) else list(names)
  config = plain_config(config)
  config["test"] |= {key: value for key, value in (("size", size), ("short_side", short_side)) if value}
  run = Run(config, names)
  init = functools.partial(run.network.init, train=False)
  made = jit_once(init) if released is None or new else functools.partial(jax.eval_shape, init)
  variables = made(jax.random.key(run.config["seed"]), jnp.zeros((1, *run.clip_shape)))
  run.variables = {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}
  source: Any = weights if weights is None else os.fspath(weights)
  if released is not None:
    source = _by_hand(released, read_tensors, source or released.weights)
    if source.licence.lower() == released.licence.lower():
      source.licence = ""  # said above
    unused = (*unused, *(part for part in released.unused if any(name.startswith(part) for name in source)))
  if source is not None:
    try:
      run.variables, _ = load_weights(run.variables, source, network=run.network, new=new, unused=unused)
    except InputError as error:
      raise InputError(f"{name}: {error}" if name else str(error)) from error
  return Model(run)


def _class_names(released: models.Released, weights: str | os.PathLike) -> list[str]:
  """Those beside the weights, those that are kept here, or numbers."""
  found = read_class_names(os.fspath(weights)) if released.classes else None
  names = found if found and len(found) == released.classes else models.class_names(released)
  if names and names[0] == "0":
    say(f"note: there are no names of the classes of {released.data}: they are called by their numbers", error=True)
  return names


def _by_hand(released: models.Released, read: Callable[..., Any], *arguments: Any) -> Any:
  """What `read` returns; where a file cannot be fetched, the error says how a person does it."""
  try:
    return read(*arguments)
  except NotFetched as error:
    raise InputError(
      f"{error}. By hand: fetch the weights from {released.address}, with config.json beside them where there is one,"
      " and name the file as weights=FILE, of a command as --weights=FILE"
    ) from error
