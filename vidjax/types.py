"""The contracts every part of vidjax shares.

Clips are `[B, T, H, W, C]` everywhere: uint8 on the host, float on the device. The temporal axis is -4.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import flax.struct
import jax
import numpy as np

from vidjax.errors import ConfigError

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
    """`aux[name]`; raises ConfigError naming what there is where the network does not provide it."""
    if name not in self.aux:
      have = ", ".join(sorted(self.aux)) or "nothing"
      raise ConfigError(
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
  """

  step: jax.Array
  params: Tree
  batch_stats: Tree
  opt_state: Tree
  ema: Tree | None = None


Objective: TypeAlias = Callable[[Output, Batch], dict[str, jax.Array]]
"""Maps what a network returned and the batch to named scalar losses."""

Pullback: TypeAlias = Callable[[dict[str, jax.Array]], Tree]
"""Cotangents of the named losses -> gradient of the parameters (linear; each call costs one backward pass)."""

Blend: TypeAlias = Callable[[dict[str, jax.Array], Pullback, jax.Array], tuple[Tree, dict[str, jax.Array]]]
"""(losses, pullback, step) -> (gradient, named scalars to log, such as the weights it chose)."""
