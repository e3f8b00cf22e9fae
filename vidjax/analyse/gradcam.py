"""Grad-CAM (Selvaraju et al. 2017): where a network looks for the evidence of a class."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from vidjax.errors import ConfigError, InputError
from vidjax.types import Array, Tree

FEATURE_MAP = "feature_map"
MANY = 960
"""Pixels: a multiple of every likely stride."""


def grad_cam(network: nn.Module, variables: Mapping[str, Tree], clips: Array, labels: Array) -> tuple[jax.Array, ...]:
  """Grad-CAM of every feature map a network marks with `perturb("feature_map", x)` and sows under "intermediates".

  The gradient of the class's logit with respect to the map, averaged over the pixels of each frame, weighs the
  channels of that frame; what remains is their weighted sum where it is positive (Eqs. 1 and 2 for each frame).

  Args:
    network: called as `(clips, train)`, returns an Output. What comes before "feature_map" in the name of a mark, as in
      "busy_feature_map", and the modules it lies in name the map (`map_names`).
    variables: `{"params", "batch_stats"}`.
    clips: `[B, T, H, W, C]`, normalised floats.
    labels: int `[B]`, the class to explain.

  Returns:
    Evidence `[B, T', h, w]`, float32, in logits per pixel (not negative): one array for each map, usually one.

  Raises:
    ConfigError: the network marks no feature map.
  """
  arguments = (variables, jnp.asarray(clips, jnp.float32), jnp.asarray(labels, jnp.int32))
  shapes = _feature_maps(jax.eval_shape(functools.partial(_logits, network), {}, *arguments)[1])
  if not shapes:
    raise ConfigError(f"{type(network).__name__} marks no {FEATURE_MAP!r}: Grad-CAM needs one to explain")
  zeros = {path: jnp.zeros(shape.shape, shape.dtype) for path, shape in shapes.items()}
  return _grad_cam(network, flax.traverse_util.unflatten_dict(zeros), *arguments)


def map_names(network: nn.Module, shape: tuple[int, ...]) -> tuple[str, ...]:
  """What the maps of `grad_cam` are of, in their order: "spatial" and "temporal", "busy", or "" for the only one.

  Args:
    network: as in `grad_cam`.
    shape: of the clips, `[B, T, H, W, C]`.
  """
  return tuple(
    "/".join([*path[:-1], path[-1].removesuffix(FEATURE_MAP)]).strip("/_")
    for path in _sown(network, shape, _feature_maps)
  )


@functools.lru_cache(maxsize=8)
def cell_centres(
  network: nn.Module, shape: tuple[int, ...], maps: Callable[[Tree], dict[tuple[str, ...], Any]] | None = None
) -> tuple[tuple[float, float], ...]:
  """Where the cells of the maps of `grad_cam` lie: cell i is centred at pixel `first + stride * i`.

  A stack of convolutions and pools, padded alike on both sides, makes `1 + floor((size - k) / stride)` cells of `size`
  pixels, and the first is centred at pixel (k - 1) / 2: 0 where each pads half its kernel, whatever the stride. Shapes
  of other sizes, which compute nothing, tell k and the stride.

  Args:
    network: as in `grad_cam`.
    shape: of the clips, `[B, T, H, W, C]`.
    maps: chooses others of the "intermediates", by path, anything with a shape `[..., h, w, D]`.

  Returns:
    (first, stride) of each map, in pixels. A network that takes no other size, or makes the same cells of every size,
    is taken to cut the frame into equal cells.
  """
  batch, frames, size, width, channels = shape

  @functools.cache
  def count(*sides: int) -> list[tuple[int, int]]:
    sown = _sown(network, (batch, frames, *sides, channels), maps or _feature_maps)
    return [one.shape[-3:-1] for one in sown.values()]

  def centres(number: int) -> tuple[float, float]:
    cells = count(size, width)[number][0]
    even = (size / cells - 1) / 2, size / cells
    try:
      small, large = count(size, size + MANY)[number]
      if small == large:
        return even
      stride = round(MANY / (large - small))
      low, high = size, size + stride  # the most pixels known to make `cells` cells, and the fewest to make more
      probes = (stride * cells, stride * cells + 1)  # tells all where each layer pads half its kernel
      while high - low > 1:
        for side, found in zip(probes, count(*probes)[number], strict=True):
          low, high = (low, min(high, side)) if found > cells else (max(low, side), high)
        third = max((high - low) // 3, 1)
        probes = (low + third, high - third)
    except InputError:
      return even
    return (high - stride * cells - 1) / 2, float(stride)

  return tuple(centres(number) for number in range(len(count(size, width))))


def to_pixels(evidence: np.ndarray, shape: Sequence[int], first: float, stride: float) -> np.ndarray:
  """Evidence of cells `[T', h, w]` for every pixel of `shape` (T, H, W): linear between the centres of the cells.

  Args:
    evidence: one clip's, from `grad_cam`.
    shape: of the clip.
    first: pixel at the centre of the first cell, as its `stride` from `cell_centres`.
    stride: pixels from cell to cell. In time the T' cells are equal parts of the T frames.
  """
  length, cells = shape[0], evidence.shape[0]
  frames = _weights(length, cells, (length / cells - 1) / 2, length / cells)
  rows, columns = (_weights(shape[i], evidence.shape[i], first, stride) for i in (1, 2))
  return np.einsum("tT,hH,wW,THW->thw", frames, rows, columns, evidence, optimize=True)


def _weights(length: int, cells: int, first: float, stride: float) -> np.ndarray:
  """Linear interpolation `[length, cells]`, constant beyond the first and the last centre."""
  place = ((np.arange(length) - first) / stride).clip(0, cells - 1)
  return np.maximum(1 - np.abs(place[:, None] - np.arange(cells)), 0)


@functools.partial(jax.jit, static_argnums=0)
def _grad_cam(
  network: nn.Module, zeros: Tree, variables: Mapping[str, Tree], clips: jax.Array, labels: jax.Array
) -> tuple[jax.Array, ...]:
  gradient = jax.grad(functools.partial(_logits, network), has_aux=True)
  weights, intermediates = gradient(zeros, variables, clips, labels)
  evidence = jax.tree.map(_evidence, _feature_maps(intermediates), flax.traverse_util.flatten_dict(weights))
  return tuple(evidence.values())


def _logits(
  network: nn.Module, perturbations: Tree, variables: Mapping[str, Tree], clips: jax.Array, labels: jax.Array
) -> tuple[jax.Array, Tree]:
  """Sum of the chosen logits (clips do not see each other, so their gradients stay apart) and what was sown."""
  added = {"perturbations": perturbations} if perturbations else {}
  output, changed = network.apply({**variables, **added}, clips, False, mutable=["intermediates"])
  chosen = jnp.take_along_axis(output.logits, labels[:, None], axis=1)
  return chosen.sum(), changed.get("intermediates", {})


def _sown(
  network: nn.Module, shape: tuple[int, ...], maps: Callable[[Tree], dict[tuple[str, ...], Any]]
) -> dict[tuple[str, ...], Any]:
  """Shapes of the maps by their paths, in the order of `grad_cam`, without computing them."""
  clips = jax.ShapeDtypeStruct(shape, jnp.float32)
  made = jax.eval_shape(lambda x: network.init(jax.random.key(0), x, False, mutable=True), clips)
  return maps(made.get("intermediates", {}))


def _feature_maps(intermediates: Tree) -> dict[tuple[str, ...], Any]:
  flat: dict[tuple[str, ...], Any] = dict(flax.traverse_util.flatten_dict(intermediates))
  return {path: sown[0] for path, sown in flat.items() if path[-1].endswith(FEATURE_MAP)}


def _evidence(feature_map: jax.Array, gradient: jax.Array) -> jax.Array:
  """`[B, T, h, w, D]` twice to `[B, T, h, w]`."""
  weights = gradient.mean(axis=(-3, -2), keepdims=True)
  return nn.relu((weights * feature_map).sum(axis=-1))
