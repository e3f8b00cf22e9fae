"""Where a token lies: sines and cosines, rotations, and tables that were learnt for another grid.

A grid of tokens is `(T, H, W)`. Tables are resampled as the references do it: PyTorch's bicubic kernel has a = -.75
where `jax.image.resize` has -.5, which changes the scores of a released network; with antialias PyTorch has -.5, too.
"""

import functools
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.ops.resize import linear_matrix

Interpolation = Literal["cubic", "cubic_offset", "cubic_antialias", "linear", "nearest"]
Grid = tuple[int, int, int]


def sinusoids(count: int, width: int) -> np.ndarray:
  """Sines on even and cosines on odd channels, float32 `[count, width]` (Vaswani et al., NIPS 2017).

  VideoMAE numbers the tokens of a clip in the order (T, H, W).

  Args:
    count: positions, from 0 on.
    width: channels.
  """
  angles = np.arange(count)[:, None] / 10_000.0 ** (2 * (np.arange(width) // 2) / width)
  return np.where(np.arange(width) % 2, np.cos(angles), np.sin(angles)).astype(np.float32)


def resample(table: jax.Array, sizes: Sequence[int], how: Interpolation = "cubic") -> jax.Array:
  """A table of positions `[*grid, D]` for a grid of other sizes, axis by axis.

  Args:
    table: values at the positions it was learnt for.
    sizes: of the grid that is needed, one for each axis but the last.
    how: as PyTorch's `interpolate` in the modes bicubic (without and with antialias), linear and nearest, corners not
      aligned. "cubic_offset" is bicubic by the factor (size + .1) / length, as DINO's and DINOv2's code has it.
  """
  whole = how == "cubic_offset" and tuple(sizes) != table.shape[: len(sizes)]
  for axis, size in enumerate(sizes):
    if table.shape[axis] != size or whole:
      matrix = _MATRICES[how](table.shape[axis], size)
      table = jnp.moveaxis(jnp.tensordot(jnp.asarray(matrix, table.dtype), table, (1, axis)), 0, axis)
  return table


def cubic_matrix(length: int, size: int, offset: float = 0.0) -> np.ndarray:
  """What every one of `size` elements takes from `length` ones: PyTorch's bicubic kernel, float32 `[size, length]`.

  Args:
    length: elements before.
    size: elements after.
    offset: added to the size where the factor is computed.
  """
  a = -0.75
  centres = (np.arange(size) + 0.5) * length / (size + offset) - 0.5
  first = np.floor(centres).astype(int) - 1
  matrix = np.zeros((size, length))
  for tap in range(4):
    x = np.abs(centres - (first + tap))
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    np.add.at(matrix, (np.arange(size), (first + tap).clip(0, length - 1)), np.where(x <= 1, near, far))
  return matrix.astype(np.float32)


def nearest_matrix(length: int, size: int) -> np.ndarray:
  """Which of `length` elements every one of `size` ones is, float32 `[size, length]`.

  Args:
    length: elements before.
    size: elements after.
  """
  return (np.arange(size)[:, None] * length // size == np.arange(length)).astype(np.float32)


def antialias_matrix(length: int, size: int) -> np.ndarray:
  """As `cubic_matrix`, but a smaller grid takes its means from as many more elements, float32 `[size, length]`.

  Args:
    length: elements before.
    size: elements after.
  """
  with jax.ensure_compile_time_eval():
    return np.asarray(jax.image.resize(jnp.eye(length), (size, length), "cubic", antialias=True))


_MATRICES = {
  "cubic": cubic_matrix,
  "cubic_offset": functools.partial(cubic_matrix, offset=0.1),
  "cubic_antialias": antialias_matrix,
  "linear": linear_matrix,
  "nearest": nearest_matrix,
}


def rotations(grid: Grid, trained: Grid, width: int, extend: bool) -> tuple[np.ndarray, np.ndarray]:
  """Cosines and sines by which V-JEPA 2 rotates queries and keys: float32 `[T * H * W, width]` each.

  Time, height and width turn `2 * (width // 6)` channels each; the rest of the channels stays. Within an axis channel
  j has the frequency number j modulo half the channels, though neighbours 2i and 2i + 1 are turned together: so the
  released code does, and its weights are made for it.

  Args:
    grid: of the tokens.
    trained: the grid of the training; another number of rows and columns spans the same frame.
    width: channels of a head.
    extend: whether another number of frames lasts longer, in place of spanning the same time.
  """
  part = 2 * (width // 3 // 2)
  frequencies = 1 / 10_000.0 ** (np.arange(part // 2) / (part / 2))
  cosines, sines = np.ones((*grid, width)), np.zeros((*grid, width))
  for axis, (size, usual) in enumerate(zip(grid, trained, strict=True)):
    places = np.arange(size) * (1 if axis == 0 and extend else usual / size)
    angles = np.tile(places[:, None] * frequencies, 2).reshape(*(size if i == axis else 1 for i in range(3)), part)
    channels = slice(axis * part, (axis + 1) * part)
    cosines[..., channels], sines[..., channels] = np.cos(angles), np.sin(angles)
  return cosines.reshape(-1, width).astype(np.float32), sines.reshape(-1, width).astype(np.float32)


def rotate(x: jax.Array, cosines: np.ndarray, sines: np.ndarray) -> jax.Array:
  """Turns each pair of neighbouring channels: `[..., N, heads, width]`, dtype as `x`.

  Args:
    x: queries or keys; the width is even.
    cosines: `[N, width]`, see `rotations`.
    sines: the same of the sines.
  """
  pairs = x.reshape(*x.shape[:-1], -1, 2)
  crossed = jnp.stack([-pairs[..., 1], pairs[..., 0]], axis=-1).reshape(x.shape)
  shape = *(1,) * (x.ndim - 3), len(cosines), 1, x.shape[-1]
  return (x * cosines.reshape(shape) + crossed * sines.reshape(shape)).astype(x.dtype)
