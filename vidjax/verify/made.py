"""Weights and clips that anyone can make: a function of their names and shapes, by NumPy's frozen generator.

`np.random.RandomState` gives the same numbers in every version of NumPy. This file needs NumPy alone, so that released
code can be run on the same weights where vidjax is not installed.
"""

import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np


def tensor(name: str, shape: Sequence[int]) -> np.ndarray:
  """The float32 values of a tensor of a PyTorch state dict.

  Kernels keep the size of their input's values, and batch normalisations lower that of a residual branch, so that the
  values of a deep network stay within reach of float32.

  Args:
    name: in the state dict.
    shape: in PyTorch's layout, `[out, in, ...]`.
  """
  rng = np.random.RandomState(zlib.crc32(name.encode()))
  if len(shape) > 1:
    return (rng.standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))).astype(np.float32)
  if name.endswith("running_var"):
    return rng.uniform(0.5, 1.5, shape).astype(np.float32)
  if name.endswith("weight"):
    return rng.uniform(0.3, 0.7, shape).astype(np.float32)
  return (0.1 * rng.standard_normal(shape)).astype(np.float32)


def tensors(shapes: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
  """All tensors of a state dict, by the shape of each name."""
  return {name: tensor(name, shape) for name, shape in shapes.items()}


def clip(frames: int, size: int) -> np.ndarray:
  """A film of drifting coarse noise, uint8 `[T, size, size, 3]`.

  Args:
    frames: T.
    size: of its sides, a multiple of 8.
  """
  image = np.random.RandomState(0).randint(0, 256, (size // 8, size // 8, 3)).astype(np.uint8)
  image = image.repeat(8, axis=0).repeat(8, axis=1)
  return np.stack([np.roll(image, (3 * i, 5 * i), axis=(0, 1)) for i in range(frames)])
