"""Cross-entropy of the clip's class scores, or of those of a part of the network: of one class, or of each."""

import dataclasses
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import optax

from vidjax.bounds import NonNegative, Positive, Rate
from vidjax.checks import check_fields
from vidjax.errors import ConfigError, MissingOutput
from vidjax.types import Array, Batch, Output


@dataclasses.dataclass(frozen=True)
class CrossEntropy:
  """Softmax cross-entropy, averaged over the clips that count; the loss is named `name`.

  Attributes:
    label_smoothing: share of the target spread evenly over all classes.
    name: under which the loss is logged and weighted.
    of: scores `[B, K]` in `output.aux` to judge in place of the clip's, such as "spatial_logits" of TwoStream or
      "busy_logits" of BQN; give each such loss a name.
    weights: of the K classes, for sets in which some are rare. A run turns "frequency" into weights in inverse
      proportion to the records of each class in training, whose mean over records is 1 (`vidjax.data.balance`).
  """

  label_smoothing: Rate = 0.0
  name: str = "classification"
  of: str | None = None
  weights: Literal["frequency"] | tuple[NonNegative, ...] | None = None

  one_class: ClassVar[bool] = True

  def __post_init__(self):
    check_fields(self)

  def __call__(self, output: Output, batch: Batch) -> dict[str, jax.Array]:
    """Reads `label` `[B]`, or `target` `[B, K]` where mixing has written one, and `mask` `[B]`."""
    logits = _scores(self, output)
    target = batch["target"] if "target" in batch else jax.nn.one_hot(batch["label"], logits.shape[-1])
    _check_shapes(self, logits, target)
    smooth = optax.smooth_labels(jnp.asarray(target), self.label_smoothing)
    losses = optax.softmax_cross_entropy(logits, smooth)
    if self.weights is not None:
      losses *= jnp.asarray(target, jnp.float32) @ self._given(logits.shape[-1])
    return {self.name: jnp.mean(losses, where=jnp.asarray(batch["mask"]))}

  def _given(self, num_classes: int) -> jax.Array:
    if self.weights == "frequency" or len(self.weights or ()) != num_classes:
      given = "the frequencies, which a run counts" if self.weights == "frequency" else f"{len(self.weights or ())}"
      raise ConfigError(
        f"{type(self).__name__}(weights=...) needs a weight of each of {num_classes} classes, not {given}"
      )
    return jnp.asarray(self.weights, jnp.float32)


@dataclasses.dataclass(frozen=True)
class BinaryCrossEntropy:
  """Sigmoid cross-entropy of each class, averaged over classes and over the clips that count (`tasks.multilabel`).

  Attributes:
    positive_weight: times the loss of the classes that a video has, for sets in which it has few of many.
    name: as in `CrossEntropy`.
    of: as in `CrossEntropy`.
  """

  positive_weight: Positive = 1.0
  name: str = "classification"
  of: str | None = None

  def __post_init__(self):
    check_fields(self)

  def __call__(self, output: Output, batch: Batch) -> dict[str, jax.Array]:
    """Reads `target` `[B, K]`, from 0 to 1, and `mask` `[B]`."""
    logits = _scores(self, output)
    target = jnp.asarray(batch["target"])
    _check_shapes(self, logits, target)
    weights = 1 + (self.positive_weight - 1) * target
    losses = (weights * optax.sigmoid_binary_cross_entropy(logits, target)).mean(-1)
    return {self.name: jnp.mean(losses, where=jnp.asarray(batch["mask"]))}


def _scores(loss: Any, output: Output) -> jax.Array:
  """The scores that a loss judges, in float32; MissingOutput where a network has none."""
  scores: Any = output.logits if loss.of is None else output.take(loss.of)
  if scores is None:
    raise MissingOutput(
      f"{type(loss).__name__} judges scores of classes, and this network has none: leave config.model.num_classes out,"
      " or take another network"
    )
  return scores.astype(jnp.float32)


def _check_shapes(loss: CrossEntropy | BinaryCrossEntropy, logits: jax.Array, target: Array) -> None:
  if target.shape != logits.shape:
    raise ConfigError(
      f"{type(loss).__name__}(name={loss.name!r}, of={loss.of!r}) reads scores {logits.shape} for targets"
      f" {target.shape}: name scores of whole clips, and leave the network's num_classes to the data"
    )
