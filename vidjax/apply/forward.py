"""The forward pass: the one place that knows a network's mutable collections and its precision."""

from collections.abc import Mapping
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import traverse_util

from vidjax.types import Array, Output, Tree


def forward(
  network: nn.Module,
  variables: Mapping[str, Tree],
  clips: Array,
  train: bool,
  rngs: dict[str, jax.Array] | None = None,
  dtype: Any = jnp.float32,
  intermediates: bool = False,
  stream: Tree | None = None,
) -> tuple[Output, Tree]:
  """Applies a network; the one place that knows its mutable collections and its precision.

  Parameters and clips are cast to `dtype` on the way in and the output to float32 on the way out, so float32 parameters
  compute in bfloat16 without any module knowing; running statistics stay float32.

  Args:
    network: a module called as `(clips, train)` that returns an Output.
    variables: `{"params": ..., "batch_stats": ...}`.
    clips: `[B, T, H, W, C]`, normalised floats.
    train: batch statistics and dropout on or off.
    rngs: keys by stream, such as `{"dropout": key}`; needed in training.
    dtype: of the computation.
    intermediates: also return what modules sowed for analysis, as `aux["intermediates"]`.
    stream: what modules remember of the frames before these clips, {} at the start; what they then remember is
      `aux["stream"]`, see `apply.stream`.

  Returns:
    The output, and the new running statistics (the old ones outside training). What plug-ins sowed under "aux" is in
    `output.aux[name]`, as a tuple with one value for each site, sorted by the site's path.
  """
  params = jax.tree.map(lambda x: x.astype(dtype), variables["params"])
  stats = variables.get("batch_stats", {})
  mutable = ["aux"] + ["batch_stats"] * train + ["intermediates"] * intermediates + ["stream"] * (stream is not None)
  given = {"params": params, "batch_stats": stats, **({"stream": stream} if stream else {})}
  output, changed = network.apply(given, jnp.asarray(clips, dtype), train, rngs=rngs, mutable=mutable)
  aux = {**output.aux, **_sown(changed.get("aux", {}))}
  if intermediates:
    aux["intermediates"] = changed.get("intermediates", {})
  if stream is not None:
    aux["stream"] = changed.get("stream", {})
  output = jax.tree.map(_to_float32, output.replace(aux=aux))
  return output, changed.get("batch_stats", stats)


def _to_float32(x: jax.Array) -> jax.Array:
  return x.astype(jnp.float32) if jnp.issubdtype(x.dtype, jnp.floating) else x


def _sown(collection: Tree) -> dict[str, tuple]:
  values: dict[str, tuple[Any, ...]] = {}
  for path, sown in sorted(traverse_util.flatten_dict(collection).items()):
    values[path[-1]] = (*values.get(path[-1], ()), *cast(tuple, sown))
  return values
