"""TV-L1 optical flow (Zach, Pock and Bischof 2007; warping as Wedel et al. 2009) of whole batches, on the device."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from vidjax.bounds import Between, Count
from vidjax.checks import checked
from vidjax.errors import InputError

Array = jax.Array | np.ndarray

LEAST_SIDE = 16
"""The pyramid ends before a level with a shorter side, as OpenCV's does."""

CPU_PAIRS = 2
"""Pairs solved at once on CPUs, so that what the iterations read stays in the caches."""

_FLAT = 1e-5
"""Squared grey levels per squared pixel, far below any edge: keeps divisions by the image's gradient finite."""


class Kernels(NamedTuple):
  """Taps of every derivative the solver takes, along x and along y; TVNet trains them.

  Attributes:
    image: `[2, 3]` at x - 1, x, x + 1: central differences of the second frame.
    forward: `[2, 2]` at x, x + 1: gradient of the flow.
    backward: `[2, 2]` at x - 1, x: divergence of the dual variables.
  """

  image: Array
  forward: Array
  backward: Array


def differences() -> Kernels:
  """The kernels of TV-L1."""
  taps = [(-0.5, 0, 0.5), (-1, 1), (-1, 1)]
  return Kernels(*(np.array([one, one], np.float32) for one in taps))


def pyramid_sizes(height: int, width: int, levels: int, factor: float) -> list[tuple[int, int]]:
  """(height, width) of every level, the finest first; fewer than `levels` where sides fall under LEAST_SIDE.

  Args:
    height: of the frames in pixels.
    width: of the frames in pixels.
    levels: how many at most.
    factor: of a side from one level to the next.
  """
  sizes = [(height, width)]
  while len(sizes) < levels:
    height, width = round(height * factor), round(width * factor)
    if min(height, width) < LEAST_SIDE:
      break
    sizes.append((height, width))
  return sizes


@checked
@functools.partial(jax.jit, static_argnames=("levels", "factor", "warps", "iterations", "median"))
def tvl1_flow(
  first: Array,
  second: Array,
  *,
  levels: Count = 5,
  factor: Between = 0.8,
  warps: Count = 5,
  iterations: Count = 15,
  tau: float = 0.25,
  fidelity: float = 0.15,
  theta: float = 0.3,
  median: bool = False,
  kernels: Kernels | None = None,
  initial: Array | None = None,
) -> jax.Array:
  """The motion (u, v), in pixels, for which `second` at (x + u, y + v) looks like `first` at (x, y).

  Differentiable in both frames, the kernels and the initial flow. What moves in from outside has no data term there, so
  that its neighbours' motion goes on. A pixel that is not finite makes the flow of its pair not finite.

  Args:
    first: `[..., H, W]` grey frames, in levels of 255 (their mean does not matter, their contrast does).
    second: the frames that follow, of the same shape.
    levels: of the pyramid at most, see `pyramid_sizes`; frames of any size have at least one.
    factor: size of a level over that of the next finer one.
    warps: linearisations of the second frame on each level.
    iterations: of the primal-dual scheme for each of them, a fixed number (OpenCV stops at its epsilon, after 300).
    tau: step of the dual scheme, at most 1/4.
    fidelity: lambda, weight of the data term.
    theta: coupling of the two parts of the scheme.
    median: smooth the flow with a 3 x 3 median before every warp.
    kernels: taps of the derivatives; `differences()` by default.
    initial: flow to start from, `[..., H, W, 2]` or what broadcasts to it; zero by default.

  Returns:
    float32 `[..., H, W, 2]`.

  Raises:
    InputError: frames of different or unfit shapes.
  """
  if first.shape != second.shape or first.ndim < 2 or 0 in first.shape[-2:]:
    raise InputError(f"tvl1_flow takes two grey frames [..., H, W] of one shape, got {first.shape} and {second.shape}")
  *batch, height, width = first.shape
  flow = jnp.zeros(2) if initial is None else jnp.asarray(initial, jnp.float32)
  flow = jnp.broadcast_to(flow, (*batch, height, width, 2)).reshape(-1, height, width, 2)
  frames = [jnp.asarray(frame, jnp.float32).reshape(-1, height, width) for frame in (first, second)]
  frames = [jnp.where(jnp.isfinite(frame), frame, jnp.nan) for frame in frames]  # the threshold would hide infinity
  taps = jax.tree.map(lambda tap: jnp.asarray(tap, jnp.float32), kernels or differences())
  sizes = pyramid_sizes(height, width, levels, factor)

  def together(first: jax.Array, second: jax.Array, flow: jax.Array) -> jax.Array:
    pyramid = [(first, second)]
    for size in sizes[1:]:
      pyramid.append((_resize(pyramid[-1][0], size), _resize(pyramid[-1][1], size)))
    u, v = flow[..., 0], flow[..., 1]
    for pair in reversed(pyramid):
      u, v = _resize_flow(u, v, pair[0].shape[1:])
      u, v = _level(*pair, u, v, taps, warps, iterations, tau / theta, fidelity * theta, theta, median)
    return jnp.stack([u, v], -1)

  def in_turn(*pairs: jax.Array) -> jax.Array:
    count = pairs[0].shape[0]  # of a file for any number of clips, no int
    some = CPU_PAIRS if isinstance(count, int) and count % CPU_PAIRS == 0 else 1
    return lax.map(lambda x: together(*x), [x.reshape(-1, some, *x.shape[1:]) for x in pairs]).reshape(flow.shape)

  return lax.platform_dependent(*frames, flow, cpu=in_turn, default=together).reshape(*batch, height, width, 2)


def _level(first, second, u, v, kernels: Kernels, warps: int, iterations: int, step, threshold, theta, median: bool):
  """Flow on one level, `[n, H, W]` each, from that of the next coarser one.

  The unknowns lie flat, between one row of zeros above and one below: neighbours are plain slices and updates are in
  place. Across the ends of rows this is right, since the duals are zero in the last column, whose gradient is masked.
  """
  n, height, width = first.shape
  size = height * width
  right = (jnp.arange(size) % width < width - 1).astype(jnp.float32)[None]
  below = (jnp.arange(size) < size - width).astype(jnp.float32)[None]

  def at(x: jax.Array, offset: int = 0) -> jax.Array:
    return lax.slice_in_dim(x, width + offset, width + offset + size, axis=1)

  def put(x: jax.Array, values: jax.Array) -> jax.Array:
    return lax.dynamic_update_slice(x, values, (0, width))

  def padded(x: jax.Array) -> jax.Array:
    return jnp.pad(x.reshape(n, size), ((0, 0), (width, width)))

  def divergence(px: jax.Array, py: jax.Array) -> jax.Array:
    (left, here), (above, here_y) = kernels.backward
    return left * at(px, -1) + here * at(px) + above * at(py, -width) + here_y * at(py)

  def ascend(px: jax.Array, py: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array]:
    (here, after), (here_y, after_y) = kernels.forward
    dx = (here * at(u) + after * at(u, 1)) * right
    dy = (here_y * at(u) + after_y * at(u, width)) * below
    shrink = 1 / (1 + step * jnp.sqrt(dx**2 + dy**2 + 1e-12))
    return put(px, (at(px) + step * dx) * shrink), put(py, (at(py) + step * dy) * shrink)

  image_x, image_y = _gradient(second, kernels.image)

  def warp(state, _):
    u, v, *duals = state
    here_u, here_v = (at(x).reshape(n, height, width) for x in (u, v))
    if median:
      here_u, here_v = _median(here_u), _median(here_v)
      u, v = padded(here_u), padded(here_v)
    (warped, gx, gy), inside = _warp((second, image_x, image_y), here_u, here_v)
    gx, gy = gx * inside, gy * inside
    constant = (warped - gx * here_u - gy * here_v - first).reshape(n, size)
    inverse = (1 / (gx**2 + gy**2 + _FLAT)).reshape(n, size)
    gx, gy = gx.reshape(n, size), gy.reshape(n, size)

    def iterate(state, _):
      u, v, ux, uy, vx, vy = state
      residual = constant + gx * at(u) + gy * at(v)
      move = jnp.clip(-residual * inverse, -threshold, threshold)  # all three cases of the paper's thresholding
      u = put(u, at(u) + move * gx + theta * divergence(ux, uy))
      v = put(v, at(v) + move * gy + theta * divergence(vx, vy))
      return (u, v, *ascend(ux, uy, u), *ascend(vx, vy, v)), None

    state = (u, v, *duals)
    return lax.scan(jax.checkpoint(iterate, prevent_cse=False), state, None, length=iterations)[0], None

  state = (padded(u), padded(v), *[jnp.zeros((n, size + 2 * width))] * 4)
  (u, v, *_), _ = lax.scan(warp, state, None, length=warps)
  return at(u).reshape(n, height, width), at(v).reshape(n, height, width)


def _resize(x: jax.Array, size: tuple[int, ...]) -> jax.Array:
  return x if x.shape[1:] == tuple(size) else jax.image.resize(x, (x.shape[0], *size), "linear", antialias=False)


def _resize_flow(u: jax.Array, v: jax.Array, size: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
  """Flow on a grid of another size, in its pixels."""
  height, width = u.shape[1:]
  return _resize(u, size) * (size[1] / width), _resize(v, size) * (size[0] / height)


def _gradient(image: jax.Array, taps: Array) -> tuple[jax.Array, jax.Array]:
  """Three-tap derivatives of `[n, H, W]` along x and y, borders repeated."""
  wide = jnp.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge")
  (before, here, after), (above, here_y, below) = taps
  along_x = before * wide[:, 1:-1, :-2] + here * image + after * wide[:, 1:-1, 2:]
  return along_x, above * wide[:, :-2, 1:-1] + here_y * image + below * wide[:, 2:, 1:-1]


def _warp(images: tuple[jax.Array, ...], u: jax.Array, v: jax.Array) -> tuple[list[jax.Array], jax.Array]:
  """Every image `[n, H, W]` at (x + u, y + v), bilinearly, and 1 where that lies inside."""
  n, height, width = u.shape
  x = jnp.arange(width, dtype=u.dtype)[None, None] + u
  y = jnp.arange(height, dtype=u.dtype)[None, :, None] + v
  inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
  x, y = jnp.clip(x, 0, width - 1), jnp.clip(y, 0, height - 1)
  left, top = jnp.floor(x), jnp.floor(y)
  across, down = x - left, y - top
  columns = (left.astype(jnp.int32), jnp.minimum(left.astype(jnp.int32) + 1, width - 1))
  rows = (top.astype(jnp.int32) * width, jnp.minimum(top.astype(jnp.int32) + 1, height - 1) * width)
  start = (jnp.arange(n) * height * width)[:, None, None]

  def sample(image: jax.Array) -> jax.Array:
    flat = image.reshape(-1)
    corners = [[flat.at[start + row + column].get(mode="clip") for column in columns] for row in rows]
    upper, lower = (one + across * (other - one) for one, other in corners)
    return upper + down * (lower - upper)

  return [sample(image) for image in images], inside.astype(u.dtype)


def _median(x: jax.Array) -> jax.Array:
  """3 x 3 median of `[n, H, W]`, borders repeated: the middle of largest minimum, middle median, smallest maximum."""
  height, width = x.shape[1:]
  wide = jnp.pad(x, ((0, 0), (1, 1), (1, 1)), mode="edge")
  rows = [wide[:, i : i + height] for i in range(3)]
  parts = functools.reduce(jnp.minimum, rows), _middle(*rows), functools.reduce(jnp.maximum, rows)
  parts = lax.optimization_barrier(parts)  # or XLA computes them again for every column that reads them
  low, middle, high = ([part[:, :, j : j + width] for j in range(3)] for part in parts)
  parts = functools.reduce(jnp.maximum, low), _middle(*middle), functools.reduce(jnp.minimum, high)
  return _middle(*lax.optimization_barrier(parts))


def _middle(a: jax.Array, b: jax.Array, c: jax.Array) -> jax.Array:
  return jnp.maximum(jnp.minimum(a, b), jnp.minimum(jnp.maximum(a, b), c))
