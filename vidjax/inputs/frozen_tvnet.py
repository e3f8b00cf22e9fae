"""TVNet as the thesis's baseline has it (Tables 3.12 and 5.2): ten iterations with kernels of their own, untrained.

Read in the Busy-Quiet Net's released code, which takes the TVNet of another repository. `vidjax.inputs.tvnet` is that
of the TVNet paper, trained with the classifier.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidjax.bounds import Count
from vidjax.inputs.checks import Frames, split

SMOOTH = np.array([0.000874, 0.006976, 0.01386, 0.055700, 0.110656, 0.219833])
"""Taps of the 5 x 5 Gaussian at distances (2, 2), (2, 1), (2, 0), (1, 1), (1, 0) and (0, 0)."""
THETA, FIDELITY, TAU = 0.3, 0.15, 0.25
_TINY = 1e-12


class FrozenTVNet(nn.Module):
  """Stacks flow that no training changes: `[B, S frames, H, W, C] -> [B, S, H, W, 2 (frames - 1)]`.

  Grey is the mean of the normalised channels, smoothed. TV-L1 runs on one level with one warp, from a flow of zero, so
  that nothing is warped. The flow stays in pixels.

  170 numbers, among the running statistics, so that neither a gradient nor weight decay reaches them: `image` `[2, 3]`,
  the taps of the derivatives of a frame along x and y; `forward` and `backward` `[iterations, 2, 2, 2]`, for u and v
  those of the gradient of the flow and of the divergence along x and y; and `loss` `[2, 2]` of its own unsupervised
  loss, which nothing reads.

  Attributes:
    frames: of a segment; 6 in the thesis.
    iterations: of the primal-dual scheme.
  """

  frames: Frames = 6
  iterations: Count = 10

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Returns the stacks in pixels; raises ConfigError and InputError where segments do not fit."""
    segments = split(self, x, self.frames)
    pair, central = np.array([-1.0, 1.0], np.float32), np.array([-0.5, 0.0, 0.5], np.float32)
    starts = {"image": np.tile(central, (2, 1)), "loss": np.tile(pair, (2, 1))}
    starts |= {name: np.tile(pair, (self.iterations, 2, 2, 1)) for name in ("forward", "backward")}
    taps = {
      name: self.variable("batch_stats", name, lambda start=start: jnp.asarray(start)).value
      for name, start in starts.items()
    }
    grey = _smooth(segments.astype(jnp.float32).mean(axis=-1))
    flow = frozen_flow(grey[..., :-1, :, :], grey[..., 1:, :, :], taps["image"], taps["forward"], taps["backward"])
    stacked = jnp.moveaxis(flow, -4, -2)
    return stacked.reshape(*stacked.shape[:-2], -1).astype(x.dtype)


def frozen_flow(
  first: jax.Array, second: jax.Array, image: jax.Array, forward: jax.Array, backward: jax.Array
) -> jax.Array:
  """The flow of one warp of TV-L1 from zero.

  Args:
    first: `[..., H, W]`.
    second: the frames that follow, of the same shape.
    image: `[2, 3]`, taps of central differences along x and y.
    forward: `[iterations, 2, 2, 2]`, for u and v the taps of the flow's gradient along x and y.
    backward: likewise of the divergence of the dual variables.

  Returns:
    float32 `[..., H, W, 2]`, in pixels.
  """
  gx, gy = _central(second, image[0], -1), _central(second, image[1], -2)
  norm = gx**2 + gy**2 + _TINY
  constant, threshold = second - first, FIDELITY * THETA

  def iterate(state, kernels):
    flow, duals = state
    gradient, divergence = kernels
    residual = constant + gx * flow[0] + gy * flow[1] + _TINY
    move = jnp.clip(-residual / norm, -threshold, threshold)  # the three cases of the thresholding
    moved = []
    for part, (g, (px, py)) in enumerate(zip((gx, gy), duals, strict=True)):
      spread = _backward(px, divergence[part, 0], -1) + _backward(py, divergence[part, 1], -2)
      moved.append(flow[part] + move * g + THETA * spread)
    new = []
    for part, (px, py) in enumerate(duals):
      dx, dy = _forward(moved[part], gradient[part, 0], -1), _forward(moved[part], gradient[part, 1], -2)
      scale = 1 + TAU / THETA * jnp.sqrt(dx**2 + dy**2 + _TINY)
      new.append(((px + TAU / THETA * dx) / scale, (py + TAU / THETA * dy) / scale))
    return (tuple(moved), tuple(new)), None

  zero = jnp.zeros_like(first)
  start = ((zero, zero), ((zero, zero), (zero, zero)))
  (flow, _), _ = jax.lax.scan(iterate, start, (forward, backward))
  return jnp.stack(flow, axis=-1)


def _smooth(x: jax.Array) -> jax.Array:
  """The 5 x 5 Gaussian over `[..., H, W]`, zeros around it."""
  taps = {frozenset((i, j)) if i != j else i: tap for (i, j), tap in zip(_DISTANCES, SMOOTH, strict=True)}
  *_, height, width = x.shape
  wide = jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(2, 2), (2, 2)])
  total = jnp.zeros_like(x)
  for i in range(5):
    for j in range(5):
      a, b = abs(i - 2), abs(j - 2)
      total += taps[frozenset((a, b)) if a != b else a] * wide[..., i : i + height, j : j + width]
  return total


_DISTANCES = ((2, 2), (2, 1), (2, 0), (1, 1), (1, 0), (0, 0))


def _shift(x: jax.Array, by: int, axis: int) -> jax.Array:
  """Moves values by one along an axis, a zero coming in: `by` -1 reads what lies before."""
  axis %= x.ndim
  before, after = ((1, 0), slice(None, -1)) if by < 0 else ((0, 1), slice(1, None))
  cut = x[tuple(after if k == axis else slice(None) for k in range(x.ndim))]
  return jnp.pad(cut, [before if k == axis else (0, 0) for k in range(x.ndim)])


def _at(length: int, places: tuple[int, ...], axis: int) -> jax.Array:
  """Whether a position along an axis, -1 or -2, is one of these."""
  positions = jnp.arange(length)
  found = jnp.isin(positions, jnp.array([place % length for place in places]))
  return found if axis == -1 else found[:, None]


def _central(x: jax.Array, taps: jax.Array, axis: int) -> jax.Array:
  """Central differences; at the borders half the difference to the neighbour."""
  before, after = _shift(x, -1, axis), _shift(x, 1, axis)
  inner = taps[0] * before + taps[1] * x + taps[2] * after
  length = x.shape[axis]
  border = jnp.where(_at(length, (0,), axis), 0.5 * (after - x), 0.5 * (x - before))
  return jnp.where(_at(length, (0, -1), axis), border, inner)


def _forward(x: jax.Array, taps: jax.Array, axis: int) -> jax.Array:
  """Differences to the next; 0 at the end."""
  return jnp.where(_at(x.shape[axis], (-1,), axis), 0, taps[0] * x + taps[1] * _shift(x, 1, axis))


def _backward(x: jax.Array, taps: jax.Array, axis: int) -> jax.Array:
  """Differences from the one before; the last value counts as 0."""
  here = jnp.where(_at(x.shape[axis], (-1,), axis), 0, x)
  return taps[0] * _shift(x, -1, axis) + taps[1] * here
