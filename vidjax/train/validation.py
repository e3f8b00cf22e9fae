"""What training measures and shows while it runs."""

import functools
import io
import pathlib
from collections.abc import Callable, Mapping
from typing import BinaryIO

import jax
import numpy as np
from jax.sharding import Mesh

from vidjax.analyse.confusion import save_confusion
from vidjax.analyse.pictures import save_batch
from vidjax.apply.processes import tell
from vidjax.data.loader import video_id
from vidjax.evaluate.metrics import confusion, summarize
from vidjax.evaluate.views import make_scorer, measurable, score_split
from vidjax.run.opened import Run
from vidjax.train.log import MetricsLog
from vidjax.train.loop import Validation
from vidjax.train.trainer import Trainer
from vidjax.types import State


def make_validation(run: Run, mesh: Mesh) -> Callable[[State], Validation]:
  """The function that measures a state on the validation split."""
  objectives, left_out = measurable(run.network, run.clip_shape, run.recipe.objectives)
  for objective in left_out:
    tell(
      f"{type(objective).__name__}, which reads what the network has in training alone, is not measured in validation"
    )
  scorer = make_scorer(run.recipe, mesh, objectives)
  source = run.dataset.source(run.data.validation_split)

  def validate(state: State) -> Validation:
    variables = state.ema or {"params": state.params, "batch_stats": state.batch_stats}
    loader = run.eval_loader(batch_size=run.recipe.settings.batch_size, skip_damaged=run.data.skip_damaged)
    scores = score_split(scorer, variables, loader.batches(), name=functools.partial(video_id, source))
    summary = summarize(scores, run.class_names)
    numbers = {name: summary[name] for name in ("top1", "top5", "mean_class")}
    numbers |= {f"loss/{name}": loss for name, loss in scores.losses.items()}
    numbers |= {"damaged": len(loader.damaged)} if loader.damaged else {}
    if jax.process_index() > 0:
      return Validation(numbers)
    picture = io.BytesIO()
    save_confusion(picture, confusion(scores), run.class_names, f"top-1 {summary['top1']:.1%}")
    return Validation(numbers, {"confusion": to_array(picture)})

  return validate


def show_batch(
  workdir: pathlib.Path, log: MetricsLog, run: Run, trainer: Trainer, batch: Mapping[str, np.ndarray]
) -> None:
  """Writes `batch.png`, and to TensorBoard: the first clips of a batch as the network sees them."""
  if jax.process_index() == 0:
    clips = jax.jit(trainer.prepare)({name: batch[name][:8] for name in trainer.reads}, trainer.key)["video"]
    titles = [run.class_names[label] for label in batch["label"][:8]]
    save_batch(workdir / "batch.png", np.asarray(clips), titles, run.normalise.mean, run.normalise.std)
    with (workdir / "batch.png").open("rb") as picture:
      log.picture(1, "batch", to_array(picture))


def to_array(picture: BinaryIO) -> np.ndarray:
  """The uint8 `[H, W, 3]` of a PNG."""
  from matplotlib.image import imread

  picture.seek(0)
  return (255 * imread(picture)[..., :3]).round().astype(np.uint8)
