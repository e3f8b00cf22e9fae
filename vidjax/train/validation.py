"""What training measures and shows while it runs."""

import functools
import io
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import jax
import numpy as np
from jax.sharding import Mesh

from vidjax.analyse.pictures import save_batch
from vidjax.apply.device_augment import Normalise
from vidjax.apply.parts import laid_over
from vidjax.apply.processes import tell
from vidjax.data.loader import video_id
from vidjax.evaluate.views import make_scorer, measurable, score_split
from vidjax.run.opened import Run
from vidjax.train.log import MetricsLog
from vidjax.train.loop import Validation
from vidjax.train.trainer import Trainer
from vidjax.types import State


def make_validation(run: Run, mesh: Mesh) -> Callable[[State], Validation]:
  """The function that measures a state on the validation split.

  Args:
    run: to be validated.
    mesh: the devices.
  """
  task = run.recipe.task
  objectives, left_out = measurable(run.recipe, run.blank(2))
  for objective in left_out:
    tell(
      f"{type(objective).__name__}, which reads what the network has in training alone, is not measured in validation"
    )
  scorer = make_scorer(run.recipe, mesh, objectives)
  source = run.dataset.source(run.data.validation_split)

  def validate(state: State) -> Validation:
    variables = laid_over({"params": state.params, "batch_stats": state.batch_stats}, state.ema or {})
    loader = run.eval_loader(batch_size=run.recipe.settings.batch_size, skip_damaged=run.data.skip_damaged)
    name = functools.partial(video_id, source)
    scores = score_split(scorer, variables, loader.batches(), targets=task.targets, name=name)
    summary = task.summarize(scores, run.class_names)
    numbers = {**summary.numbers, **{name: x for name, x in scores.losses.items() if name not in summary.numbers}}
    numbers |= _whole(run.config["blend"], scores.losses) if not left_out else {}
    numbers |= {"damaged": len(loader.damaged)} if loader.damaged else {}
    pictures = {}
    for name, draw in summary.pictures.items() if jax.process_index() == 0 else ():
      picture = io.BytesIO()
      draw(picture)
      pictures[name] = to_array(picture)
    return Validation(numbers, pictures)

  return validate


def _whole(blend: Mapping[str, Any], losses: Mapping[str, float]) -> dict[str, float]:
  """`loss`, the sum by the weights of a `Weighted` blend with fixed ones; nothing of another blend."""
  parts = {name.removeprefix("loss/"): x for name, x in losses.items() if name.startswith("loss/")}
  weights = blend.get("weights") or {}
  if len(parts) < 2 or not blend["make"].endswith(".Weighted") or any(isinstance(w, Mapping) for w in weights.values()):
    return {}
  return {"loss": sum(weights.get(name, 1.0) * x for name, x in parts.items())}


def show_batch(
  workdir: pathlib.Path, log: MetricsLog, run: Run, trainer: Trainer, batch: Mapping[str, np.ndarray]
) -> None:
  """Writes `batch.png`, and to TensorBoard: the first clips of a batch as the network sees them.

  Args:
    workdir: the run's folder.
    log: shows the picture in TensorBoard.
    run: names the classes.
    trainer: prepares the clips.
    batch: from the training loader, on the host.
  """
  if jax.process_index() == 0 and "pixels" in run.recipe.stream.gives and isinstance(run.normalise, Normalise):
    clips = jax.jit(trainer.prepare)({name: batch[name][:8] for name in trainer.reads}, trainer.key)["video"]
    titles = [", ".join(run.class_names[k] for k in _classes(label)) for label in batch["label"][:8]]
    shown = np.asarray(clips)[..., :3]
    save_batch(workdir / "batch.png", shown, titles, run.normalise.mean[:3], run.normalise.std[:3])
    with (workdir / "batch.png").open("rb") as picture:
      log.picture(1, "batch", to_array(picture))


def _classes(label: np.ndarray) -> list[int]:
  """The numbers of the classes of a label, none where it is not known."""
  return np.flatnonzero(label).tolist() if np.ndim(label) else [int(label)] if label >= 0 else []


def to_array(picture: BinaryIO) -> np.ndarray:
  """The uint8 `[H, W, 3]` of a PNG."""
  from matplotlib.image import imread

  picture.seek(0)
  return (255 * imread(picture)[..., :3]).round().astype(np.uint8)
