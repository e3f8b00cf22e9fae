"""The contracts every part of vidjax shares.

Clips are `[B, T, H, W, C]` everywhere: uint8 on the host, float on the device. The temporal axis is -4.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias

import flax.struct
import jax
import numpy as np

from vidjax.errors import MissingOutput

Array: TypeAlias = jax.Array | np.ndarray
Tree: TypeAlias = Any
"""A pytree of arrays."""

Batch: TypeAlias = Mapping[str, Array]
"""What the loader yields, one leading batch axis on every entry.

- `video` uint8 `[B, T, H, W, C]` in training, `[B, V, T, H, W, C]` with V views in evaluation.
- `label` int32 `[B]`.
- `mask` bool `[B]`: False marks padding, which counts nowhere.
- `index` int32 `[B]`: position of the record in its split.
- `frame_index` int32 `[B, T]` or `[B, V, T]`: which frames of the video were read.
- `damaged` bool `[B]`: the wanted record could not be read; in training another one stands in its place.

On the device, mixing adds `target` float32 `[B, K]`, the soft labels that replace `label`.
"""


@flax.struct.dataclass
class Output:
  """What every network returns.

  Attributes:
    logits: `[B, K]` class scores before the softmax.
    features: `[B, D]` the pooled vector the classifier sees (mean over time).
    aux: named extras an objective may ask for: reconstructions, projections, per-frame or per-task logits.
  """

  logits: jax.Array
  features: jax.Array
  aux: dict[str, Any] = flax.struct.field(default_factory=dict)

  def take(self, name: str) -> Any:
    """`aux[name]`; raises MissingOutput naming what there is where the network does not provide it."""
    if name not in self.aux:
      have = ", ".join(sorted(self.aux)) or "nothing"
      raise MissingOutput(
        f"an objective asks for aux[{name!r}], which this network does not provide; it provides: {have}"
      )
    return self.aux[name]


@flax.struct.dataclass
class State:
  """Everything training changes, and nothing else: arrays only.

  Attributes:
    step: int32 scalar, optimizer updates done.
    params: trainable parameters, float32.
    batch_stats: running statistics of the normalisation layers, float32.
    opt_state: the optimizer's state.
    ema: `{"params", "batch_stats"}` averaged over the updates, or None.
    blend: what the blend remembers, such as learned weights of the losses, or None.
  """

  step: jax.Array
  params: Tree
  batch_stats: Tree
  opt_state: Tree
  ema: Tree | None = None
  blend: Tree | None = None


Objective: TypeAlias = Callable[[Output, Batch], dict[str, jax.Array]]
"""Maps what a network returned and the batch to named scalar losses."""

Pullback: TypeAlias = Callable[[dict[str, jax.Array]], Tree]
"""Cotangents of named losses -> gradient of the parameters (linear).

Each call costs one backward pass through what the losses it names depend on; those left out count as 0, at no cost.
"""


class Blend(NamedTuple):
  """How the gradients of named losses become one update; `train.multitask.make_blend` makes one of a rule.

  Attributes:
    init: what it remembers at first, None for nothing; kept in `State.blend`.
    update: `(losses, pullback, step, memory) -> (gradient, named scalars to log, new memory)`.
    linear: its weights do not depend on losses or gradients, so that with `accumulate` it is called for each part of
      the batch. Others are called once, with the mean gradient of each loss over the parts.
  """

  init: Callable[[], Tree]
  update: Callable[[dict[str, jax.Array], Pullback, jax.Array, Tree], tuple[Tree, dict[str, jax.Array], Tree]]
  linear: bool = False


class Task(Protocol):
  """What is learnt: how batches, outputs and answers are read. See `vidjax.tasks`.

  Attributes:
    targets: what else of a batch goes to the device beside the clips.
    metric: the number of a validation that chooses the best checkpoint. Higher is better, lower with "-" before it.
  """

  @property
  def targets(self) -> tuple[str, ...]:
    """See above."""
    ...

  @property
  def metric(self) -> str:
    """See above."""
    ...

  def prepare(self, batch: Batch) -> Batch:
    """The batch with what the losses compare with, on the device, before clips are mixed."""
    ...

  def measure(self, output: Output, batch: Batch) -> dict[str, jax.Array]:
    """Named numbers `[B]` of every clip, averaged over those whose `mask` is True."""
    ...

  def answer(self, output: Output) -> jax.Array:
    """What is kept of a view, `[B, ...]`; the answers to a video's views are averaged."""
    ...
