"""Max pooling: the largest of shifted slices on CPUs, XLA's own elsewhere.

On 2 CPU cores XLA takes 4 times as long for the first pool of a ResNet, and 11 to 13 times with its gradient.
"""

import functools
import math
import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from vidjax.errors import InputError
from vidjax.ops.windows import windows

Padding = tuple[tuple[int, int], ...]


def max_pool(
  x: jax.Array, window: Sequence[int], strides: Sequence[int], padding: str | Sequence[tuple[int, int]]
) -> jax.Array:
  """The largest value under a window, channel by channel; of several, the first gets the gradient (reverse mode only).

  Args:
    x: `[..., *spatial, C]` of floats, as many spatial axes as the window has.
    window: size along every spatial axis.
    strides: of every spatial axis.
    padding: (before, after) of every spatial axis, or a name lax knows; what is beyond the border never counts.

  Returns:
    `[..., *spatial', C]`.

  Raises:
    InputError: the padded map is smaller than the window.
  """
  lead, spatial = x.shape[: -1 - len(window)], x.shape[-1 - len(window) : -1]
  pads = lax.padtype_to_pads(spatial, window, strides, padding) if isinstance(padding, str) else padding
  flat = x.reshape(math.prod(lead), *spatial, x.shape[-1])
  if any(n + sum(edge) < k for n, k, edge in zip(spatial, window, pads, strict=True)):
    raise InputError(f"max_pool: x {x.shape} padded by {tuple(pads)} is smaller than the window {tuple(window)}")
  edges = tuple((int(before), int(after)) for before, after in pads)
  y: jax.Array = _max_pool(flat, tuple(window), tuple(strides), edges)
  return y.reshape(*lead, *y.shape[1:])


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _max_pool(x: jax.Array, window: tuple[int, ...], strides: tuple[int, ...], padding: Padding) -> jax.Array:
  def largest(x: jax.Array) -> jax.Array:
    return functools.reduce(jnp.maximum, _seen(x, window, strides, padding))

  native = functools.partial(_native, window=window, strides=strides, padding=padding)
  return lax.platform_dependent(x, cpu=largest, default=native)


def _native(x: jax.Array, window: tuple[int, ...], strides: tuple[int, ...], padding: Padding) -> jax.Array:
  pads = ((0, 0), *padding, (0, 0))
  return lax.reduce_window(x, -jnp.inf, lax.max, (1, *window, 1), (1, *strides, 1), pads)


def _seen(x: jax.Array, window: tuple[int, ...], strides: tuple[int, ...], padding: Padding) -> list[jax.Array]:
  padded = lax.pad(x, jnp.array(-jnp.inf, x.dtype), [(0, 0, 0), *((*pads, 0) for pads in padding), (0, 0, 0)])
  return windows(padded, window, strides)


def _forward(x: jax.Array, window: tuple[int, ...], strides: tuple[int, ...], padding: Padding):
  return _max_pool(x, window, strides, padding), x


def _backward(
  window: tuple[int, ...], strides: tuple[int, ...], padding: Padding, x: jax.Array, g: jax.Array
) -> tuple[jax.Array]:
  def native(x: jax.Array, g: jax.Array) -> jax.Array:
    return jax.vjp(functools.partial(_native, window=window, strides=strides, padding=padding), x)[1](g)[0]

  def selected(x: jax.Array, g: jax.Array) -> jax.Array:
    largest, *others = _seen(x, window, strides, padding)
    first = lax.full_like(largest, 0, jnp.int32)  # number of the first place of the window with the largest value
    for number, part in enumerate(others, 1):
      first = jnp.where(part > largest, number, first)
      largest = jnp.maximum(part, largest)
    return _to_places(first.astype(jnp.uint16), g, x.shape, window, strides, padding)

  return (lax.platform_dependent(x, g, cpu=selected, default=native),)


def _to_places(
  first: jax.Array,
  g: jax.Array,
  shape: tuple[int, ...],
  window: tuple[int, ...],
  strides: tuple[int, ...],
  padding: Padding,
) -> jax.Array:
  """Adds every `g` to the place of the map `shape` that its window chose, by gathering.

  With stride s a map consists of s phases along an axis, each of which sees every s-th place of the window.
  """
  reach = [(k - 1) // s for k, s in zip(window, strides, strict=True)]
  sizes = [math.ceil((n + sum(pads)) / s) for n, pads, s in zip(shape[1:-1], padding, strides, strict=True)]
  fill = [(r, m - n, 0) for r, m, n in zip(reach, sizes, g.shape[1:-1], strict=True)]
  fill = [(0, 0, 0), *fill, (0, 0, 0)]
  first = lax.pad(first, np.array(math.prod(window), first.dtype), fill)
  first, g = lax.optimization_barrier((first, lax.pad(g, jnp.zeros((), g.dtype), fill)))  # padded once
  phases = []
  for phase in np.ndindex(*strides):
    total = jnp.zeros((shape[0], *sizes, shape[-1]), g.dtype)
    for back in np.ndindex(*(r + 1 for r in reach)):
      place = [b * s + p for b, s, p in zip(back, strides, phase, strict=True)]
      if all(p < k for p, k in zip(place, window, strict=True)):
        start = (0, *map(operator.sub, reach, back), 0)
        end = tuple(map(operator.add, start, total.shape))
        chosen = lax.slice(first, start, end) == np.ravel_multi_index(place, window)
        total += jnp.where(chosen, lax.slice(g, start, end), 0)
    phases.append(total)
  for axis, s in reversed(list(enumerate(strides, 1))):  # the phases of an axis side by side
    phases = [jnp.stack(phases[i : i + s], axis + 1) for i in range(0, len(phases), s)]
    phases = [phase.reshape(*phase.shape[:axis], s * phase.shape[axis], *phase.shape[axis + 2 :]) for phase in phases]
  start = (0, *(before for before, _ in padding), 0)
  return lax.slice(phases[0], start, tuple(map(operator.add, start, shape)))


_max_pool.defvjp(_forward, _backward)
