"""Why a network, or several, find a class in a video: Grad-CAM over its frames (thesis Fig. 4.11)."""

import difflib
import pathlib
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from vidjax.analyse.gradcam import cell_centres, grad_cam, map_names, to_pixels
from vidjax.analyse.pictures import Strip, save_strips
from vidjax.errors import InputError
from vidjax.predict.predictor import Prediction
from vidjax.run.films import check_reads_films
from vidjax.run.opened import Run


def check_explains(run: Run, name: str | None = None) -> None:
  """Raises an InputError where Grad-CAM cannot explain the network of a run, or the run has no such class.

  Args:
    run: the run.
    name: of a class, or None.
  """
  check_reads_films(run)
  if not run.class_names:
    raise InputError(f"{run.called} has no classes to explain: leave --explain out; --features stores its features")
  if not map_names(run.network, (1, *run.clip_shape)):
    raise InputError(f"{type(run.network).__name__} marks no feature map for Grad-CAM: leave --explain out")
  if name is not None and name not in run.class_names:
    near = difflib.get_close_matches(name, run.class_names, 1, 0) or run.class_names[:1]
    raise InputError(
      f"--class={name}: {run.called} has no such class; the nearest of its {len(run.class_names)} is {near[0]}"
    )


def explain(
  path: str | pathlib.Path, runs: Sequence[Run], predictions: Sequence[Prediction], name: str | None = None
) -> None:
  """Draws the sampled frames with Grad-CAM over them, a row for each feature map of each run.

  The score of the class stands with it. The frames are in colour, also where a run reads flow.

  Args:
    path: of the picture.
    runs: of networks with feature maps; several are told apart by the names of their folders.
    predictions: of one video, from these runs.
    name: of the class (default: what each run finds likeliest).
  """
  strips, found = [], []
  for run, prediction in zip(runs, predictions, strict=True):
    label = int(prediction.scores.argmax()) if name is None else run.class_names.index(name)
    found.append(f"{run.class_names[label]}, {prediction.scores[label]:.1%}")
    own = f"{run.workdir.name if run.workdir else 'run'}\n{run.class_names[label]} ({prediction.scores[label]:.1%})"
    clips = run.normalise(jnp.asarray(prediction.clip[None]))
    evidence = grad_cam(run.network, run.variables, clips, np.array([label]))
    parts = zip(evidence, cell_centres(run.network, clips.shape), map_names(run.network, clips.shape), strict=True)
    for cells, centre, part in parts:
      maps = to_pixels(np.asarray(cells[0]), prediction.clip.shape, *centre)
      title = part if len(runs) == 1 else "\n".join(filter(None, (own, part)))
      strips.append(Strip(prediction.shown, prediction.frames, maps, title))
  file = pathlib.Path(predictions[0].file).name
  save_strips(path, strips, f"{found[0]}: {file}" if len(runs) == 1 else file)
