"""Predictions for video files, or stored features: the frames, crops and precision of evaluation, and why."""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.analyse.gradcam import cell_centres, grad_cam, map_names, to_pixels
from vidjax.analyse.pictures import save_explanation
from vidjax.apply.forward import forward
from vidjax.data.schema import DamagedRecord, Record
from vidjax.errors import InputError
from vidjax.evaluate.views import by_name
from vidjax.run.opened import Run

SHORT_SIDE = 256
"""To which frames are shrunk where the run's data set is not there to ask: the default of `vidjax.prepare`."""


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
  """What the network says about one file.

  Attributes:
    file: its path.
    scores: float32 `[K]`, the task's mean answer over the views.
    features: float32 `[D]`, the mean features over the views.
    clip: uint8 `[T, H, W, C]`, the middle view, of what the run's stream reads; float32 `[T, F]` of features.
    frames: int `[T]`, 0-based numbers of its frames in the video.
    class_names: K names in the order of the scores.
    kept: int, the first frame of each step that a network which skips others kept in the middle view; None of others.
  """

  file: str
  scores: np.ndarray
  features: np.ndarray
  clip: np.ndarray
  frames: np.ndarray
  class_names: tuple[str, ...] = ()
  kept: np.ndarray | None = None

  def best(self, count: int = 5) -> list[tuple[str, float]]:
    """The likeliest classes and their scores, likeliest first."""
    order = np.argsort(-self.scores, kind="stable")[:count].tolist()
    return [(self.class_names[label], float(self.scores[label])) for label in order]


def make_predictor(
  run: Run, clips: int = 1, crops: int = 1, short_side: int | None = None
) -> Callable[[Any], Prediction]:
  """The function that predicts one film.

  Args:
    run: with its variables.
    clips: clips of each video.
    crops: crops of each clip: 1, 3, 5 or 10.
    short_side: to which larger frames are shrunk before they are cropped (default: `stored_short_side`).

  Returns:
    path, or uint8 RGB frames `[N, H, W, 3]`, or of a run on stored features float `[N, F]` or the path of such a .npy
    file -> Prediction; it raises InputError naming the file where that is broken.
  """
  check_classifies(run)
  test_crops = run.crops(crops)
  pixels = "pixels" in run.recipe.stream.gives
  short_side = short_side or stored_short_side(run) or SHORT_SIDE

  @jax.jit
  def score(variables: Any, views: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    output, _ = forward(run.network, variables, run.normalise(views), False, dtype=run.recipe.dtype)
    return (
      by_name(run.recipe.task.answer(output))["scores"],
      output.features,
      output.aux.get("chosen", jnp.zeros((len(views), 0), bool)),
    )

  stream: Any = run.recipe.stream

  def choose(count: int, times: np.ndarray | None) -> np.ndarray:
    return run.recipe.sampler.test(count, clips, times)

  def predict(video: Any) -> Prediction:
    if isinstance(video, np.ndarray) and not pixels:
      file = "features"
      numbers, video = stream.read(video, choose, file)
    elif isinstance(video, np.ndarray):
      file = f"frames {list(video.shape)}"
      if video.ndim != 4 or video.shape[-1] != 3 or video.dtype != np.uint8 or not len(video):
        raise InputError(f"{file} of {video.dtype}: give uint8 RGB frames [N, H, W, 3]")
      if "colour" not in stream.gives:
        raise InputError(f"this network reads {type(stream).__name__}, not frames alone: give the path of a film")
      numbers = choose(len(video), None)
      video = video[numbers]
    else:
      file = os.fspath(video)
      numbers, video = stream.read_file(file, choose, short_side)
    views = test_crops(video)
    batches = [score(run.variables, views[i : i + crops]) for i in range(0, len(views), crops)]
    scores, features, chosen = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    scores, features = scores.mean(axis=0), features.mean(axis=0)
    if not np.isfinite(scores).all():
      raise InputError(f"{file}: the network's scores are not finite: choose another --checkpoint")
    clip, crop = clips // 2, {1: 0, 3: 1, 5: 4, 10: 4}[crops]
    place = clip * crops + crop
    kept = numbers[clip].reshape(chosen.shape[1], -1)[chosen[place], 0] if chosen.size else None
    return Prediction(file, scores, features, views[place], numbers[clip], tuple(run.class_names), kept)

  return predict


def check_classifies(run: Run) -> None:
  """Raises an InputError where the network of a run gives no scores of classes, as in a phase without labels."""
  clip = jax.ShapeDtypeStruct((1, *run.clip_shape), jnp.float32)
  output, _ = jax.eval_shape(lambda v, x: forward(run.network, v, x, False), run.variables, clip)
  if output.logits is None:
    raise InputError(
      f"{run.workdir or 'this run'}: {type(run.network).__name__} gives no scores of classes: name the folder of a"
      " classifier, such as that of the whole training; python -m vidjax.summarize draws attention"
    )


def check_explains(run: Run) -> None:
  """Raises an InputError where Grad-CAM cannot explain the network of a run."""
  check_reads_films(run)
  if not map_names(run.network, (1, *run.clip_shape)):
    raise InputError(f"{type(run.network).__name__} marks no feature map for Grad-CAM: leave --explain out")


def check_reads_films(run: Run) -> None:
  """Raises an InputError where a run reads what no film holds."""
  if "pixels" not in run.recipe.stream.gives:
    stream = type(run.recipe.stream).__name__
    raise InputError(f"this network reads {stream}, not films: python -m vidjax.predict takes .npy files of them")


def stored_short_side(run: Run) -> int | None:
  """The short side of the frames a run was trained on, as its data set stores them; None where that is not there.

  Films smaller than the data set was prepared for are stored as they are: the largest of a few records tells.
  """
  if "pixels" not in run.recipe.stream.gives:
    return None
  return max((record.short_side or min(record.decode([0]).shape[1:3]) for record in _records(run)), default=None)


def stored_length(run: Run) -> int | None:
  """The median number of frames of the videos a run was trained on; None where its data set is not there."""
  lengths = [record.num_frames for record in _records(run)]
  return int(np.median(lengths)) if lengths else None


def _records(run: Run) -> list[Record]:
  """A few sound records of a run's validation split, if its data set is there."""
  if not any(pathlib.Path(run.data.dir).glob(f"{run.data.name.partition('/')[0]}/*")):
    return []  # opening a synthetic data set would generate it
  records: list[Record] = []
  with contextlib.suppress(InputError):
    source = run.dataset.source(run.data.validation_split)
    for index in np.unique(np.linspace(0, len(source) - 1, 16).astype(int)):
      with contextlib.suppress(DamagedRecord):
        record = Record.parse(source[int(index)])
        if "pixels" in run.recipe.stream.gives:
          record.decode([0])
        records.append(record)
  return records


def explain(run: Run, prediction: Prediction, path: str | pathlib.Path) -> None:
  """Draws the sampled frames with Grad-CAM of the likeliest class over them.

  Args:
    run: of a network with feature maps.
    prediction: of a video, from the same run.
    path: of the picture.
  """
  label = int(prediction.scores.argmax())
  clips = run.normalise(jnp.asarray(prediction.clip[None]))
  evidence = grad_cam(run.network, run.variables, clips, np.array([label]))
  maps = [
    to_pixels(np.asarray(cells[0]), prediction.clip.shape, *place)
    for cells, place in zip(evidence, cell_centres(run.network, clips.shape), strict=True)
  ]
  title = f"{run.class_names[label]}, {prediction.scores[label]:.1%}: {pathlib.Path(prediction.file).name}"
  names = map_names(run.network, clips.shape)
  save_explanation(path, prediction.clip[..., :3], maps, prediction.frames, title, names=names)
