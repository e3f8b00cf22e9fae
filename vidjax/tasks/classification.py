"""One class of K for each video."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp

from vidjax.tasks.metrics import class_rows, confusion, confusion_rows, summarize, worst_pairs
from vidjax.types import Batch, Output, Scores, Summary


@dataclasses.dataclass(frozen=True)
class Classification:
  """The softmax of the network's scores names the class.

  Attributes:
    num_classes: K.
    targets: see `types.Task`.
    metric: see `types.Task`: "top1", "top5", "mean_class", or "-loss/NAME", the lowest mean of a loss.
  """

  num_classes: int
  targets: tuple[str, ...] = ("label", "mask")
  metric: str = "top1"

  several: ClassVar[bool] = False
  numbers: ClassVar[tuple[str, ...]] = ("top1", "top5", "mean_class")

  def prepare(self, batch: Batch) -> Batch:
    """Adds `target` `[B, K]`, one-hot labels that a transform may mix."""
    return {**batch, "target": jax.nn.one_hot(batch["label"], self.num_classes)}

  def measure(self, output: Output, batch: Batch) -> dict[str, jax.Array]:
    """`top1` `[B]`: whether the class with the highest score is the label."""
    return {"top1": jnp.argmax(output.logits, -1) == jnp.asarray(batch["label"])}

  def answer(self, output: Output) -> jax.Array:
    """Softmax scores `[B, K]`."""
    return jax.nn.softmax(output.logits)

  def summarize(self, scores: Scores, class_names: Sequence[str]) -> Summary:
    """Top-1, top-5 and mean class accuracy; what each class is taken for, as tables and a picture."""
    from vidjax.analyse.confusion import save_confusion

    found, matrix = summarize(scores, class_names), confusion(scores)
    numbers = {name: found.pop(name) for name in ("top1", "top5", "mean_class")}
    del found["per_class"]
    title = f"top-1 {numbers['top1']:.1%} of {found['videos']} videos"
    classes, scored = found["classes"], found["classes_with_videos"]
    line = "top-1 {top1:.2%}  top-5 {top5:.2%}  mean class accuracy {mean_class:.2%}".format_map(numbers)
    if scored < classes:
      line += f" (scored among all {classes} classes; the mean is over the {scored} that have videos)"
    return Summary(
      numbers,
      found | {"worst_confused": worst_pairs(matrix, class_names)},
      {"classes": class_rows(matrix, class_names), "confusion": confusion_rows(matrix, class_names)},
      {"confusion": lambda path: save_confusion(path, matrix, class_names, title)},
      line,
    )
