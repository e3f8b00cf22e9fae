"""Where a point of a clip looks: one row of the attention maps of a network (thesis Fig. 4.1, 4.8-4.10; TTSN Eq. 3).

Non-local blocks, their regional form and the temporal transformer weigh, for every position, all positions of the clip:
the point's row is drawn. Pyramid attention, CBAM and GC have one weight for a position, whoever looks.
"""

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from vidjax.analyse.gradcam import cell_centres, to_pixels
from vidjax.analyse.pictures import Strip
from vidjax.apply.forward import forward
from vidjax.errors import InputError
from vidjax.ops.attention import AttentionMap
from vidjax.ops.heads import HeadsMap
from vidjax.types import Array, Tree

if TYPE_CHECKING:  # the data stack
  from vidjax.run.films import Clip
  from vidjax.run.opened import Run

ATTENTION = "attention"
"""What modules sow under "intermediates": one of `MAPS`, or weights `[B, T, h, w]` that are those of no query."""

MAPS = AttentionMap, HeadsMap

EVEN = 3.0
"""The full colour stands for this many times the mean weight, or for a higher peak: a map without a peak stays pale."""

Point = tuple[int, float, float]
"""(frame of the clip, from 0 on; y and x as shares of height and width, 0 to 1)."""


class Row(NamedTuple):
  """What a point looks at.

  Attributes:
    weights: float32 `[T, H, W]`, for every pixel of the clip; magnitudes where a weight may be negative.
    frames: float32 `[T]`, the same where a whole frame has one weight, as of a temporal transformer; None of others.
    of_point: False of weights that are the same for all points.
  """

  weights: np.ndarray
  frames: np.ndarray | None
  of_point: bool


def check_point(point: Point, clip_shape: tuple[int, ...]) -> None:
  """Raises an InputError for a point outside a clip.

  Args:
    point: the point.
    clip_shape: `[T, H, W, C]`.
  """
  frame, y, x = point
  if not 0 <= frame < clip_shape[0] or not 0 <= y <= 1 or not 0 <= x <= 1:
    raise InputError(
      f"--point={frame},{y:g},{x:g} lies outside the clip: its frames are 0 to {clip_shape[0] - 1}, and y and x are"
      " shares of height and width, 0 to 1"
    )


def sites(network: nn.Module, clip_shape: tuple[int, ...], at: str = "") -> tuple[str, ...]:
  """Paths of the modules that sow attention, in their order; nothing is computed.

  Args:
    network: called as `(clips, train)`.
    clip_shape: `[T, H, W, C]`.
    at: start of the paths, such as "backbone/res3".

  Raises:
    InputError: there is none.
  """
  clips = jax.ShapeDtypeStruct((1, *clip_shape), jnp.float32)
  made = jax.eval_shape(lambda x: network.init(jax.random.key(0), x, False, mutable=True), clips)
  known = ["/".join(path) for path in _found(made.get("intermediates", {}))]
  found = tuple(path for path in known if path.startswith(at))
  if not found:
    has = (
      f"it has {', '.join(known)}" if known else "name a run with NL, RNL, CPA, CBAM, GC or ETT (configs/attention.py)"
    )
    raise InputError(f"{type(network).__name__} has no attention{f' at --at={at}' * bool(at)}: {has}")
  return found


def rows_of_point(
  network: nn.Module, variables: Mapping[str, Tree], clip: Array, point: Point, at: str = ""
) -> dict[str, Row]:
  """The row of a point in every attention map of a network, by the path of the module.

  Args:
    network: called as `(clips, train)`.
    variables: `{"params", "batch_stats"}`.
    clip: `[T, H, W, C]`, normalised floats.
    point: the query.
    at: start of the modules' paths, such as "backbone/res3".

  Raises:
    InputError: the point lies outside the clip, or there is no attention.
  """
  check_point(point, clip.shape)
  found = sites(network, clip.shape, at)
  maps = _attend(network, variables, jnp.asarray(clip, jnp.float32)[None])
  centres = dict(zip(maps, cell_centres(network, (1, *clip.shape), _grids), strict=True))
  return {path: _row(maps[path], centres[path], clip.shape, point) for path in found}


def strips_of_point(run: "Run", clip: "Clip", point: Point, at: str = "", name: str = "") -> list[Strip]:
  """The rows of a point as pictures, one for each attention map of a run's network.

  Args:
    run: with its variables.
    clip: of a film.
    point: the query.
    at: start of the modules' paths, such as "backbone/res3".
    name: of the run, where several stand above each other.

  Raises:
    InputError: the point lies outside the clip, or there is no attention.
  """
  strips: list[Strip] = []
  for site, row in rows_of_point(run.network, run.variables, run.normalise(clip.clip), point, at).items():
    notes = () if row.frames is None else [f"{weight:.3f}" for weight in row.frames]
    mean = max(float(row.weights.mean()), 1e-12)
    peak = f"{row.weights.max() / mean:.3g} x the mean"
    lines = (name, site.removeprefix("backbone/"), peak if row.of_point else f"any point, {peak}")
    caption = "\n".join(filter(None, lines))
    strips.append(Strip(clip.frames, clip.numbers, row.weights, caption, EVEN * mean, point, notes))
  return strips


def _row(found: Any, centre: tuple[float, float], shape: tuple[int, ...], point: Point) -> Row:
  """The weights for every pixel; `centre` is the first cell's and the distance of the next, in pixels."""
  first, stride = centre
  length = shape[0]
  if not isinstance(found, MAPS):
    return Row(to_pixels(np.asarray(found[0]), shape[:3], first, stride), None, False)
  times, *grid = found.queries
  place = [point[0] * times // length]
  for cells, share, pixels in zip(grid, point[1:], shape[1:3], strict=False):
    place.append(int(np.clip(round((share * pixels - 0.5 - first) / stride), 0, cells - 1)))
  weights = np.abs(np.asarray(found.row(*place)[0], np.float32))
  if not grid:
    frames = weights[np.arange(length) * len(weights) // length]
    return Row(np.broadcast_to(frames[:, None, None], shape[:3]), frames, True)
  ratio = grid[0] // weights.shape[1]  # of keys that are pooled
  return Row(to_pixels(weights, shape[:3], first + stride * (ratio - 1) / 2, stride * ratio), None, True)


@functools.partial(jax.jit, static_argnums=0)
def _attend(network: nn.Module, variables: Mapping[str, Tree], clips: jax.Array) -> dict[str, Any]:
  output, _ = forward(network, variables, clips, False, intermediates=True)
  return {"/".join(path): found for path, found in _found(output.aux["intermediates"]).items()}


def _found(intermediates: Tree) -> dict[tuple[str, ...], Any]:
  """What was sown as attention, by the path of the module."""
  flat: dict[tuple[str, ...], Any] = dict(flax.traverse_util.flatten_dict(intermediates))
  sown = {path[:-1]: value[0] for path, value in flat.items() if path[-1] == ATTENTION}
  return {path: one for path, one in sown.items() if isinstance(one, MAPS) or len(one.shape) == 4}


def _grids(intermediates: Tree) -> dict[tuple[str, ...], Any]:
  """Shapes `[T, h, w, 1]` of the maps; a frame that is one token is one cell."""
  grids = {path: one.queries if isinstance(one, MAPS) else one.shape[1:] for path, one in _found(intermediates).items()}
  return {path: jax.ShapeDtypeStruct((*grid, *(1,) * (4 - len(grid))), jnp.float32) for path, grid in grids.items()}
