"""What a sliding window sees of a map, as strided slices."""

import operator
from collections.abc import Sequence

import jax
import numpy as np
from jax import lax


def windows(padded: jax.Array, taps: Sequence[int], strides: Sequence[int]) -> list[jax.Array]:
  """What every place of a window sees as it slides over `[N, *spatial, C]`: `[N, *spatial', C]` each, in C order.

  Args:
    padded: `[N, *spatial, C]`, at least as large as the window.
    taps: size of the window along every spatial axis.
    strides: of every spatial axis.
  """
  sizes = [(n - k) // s * s + 1 for n, k, s in zip(padded.shape[1:-1], taps, strides, strict=True)]
  starts = [(0, *place, 0) for place in np.ndindex(*taps)]
  ends = [(padded.shape[0], *map(operator.add, start[1:-1], sizes), padded.shape[-1]) for start in starts]
  return [lax.slice(padded, start, end, (1, *strides, 1)) for start, end in zip(starts, ends, strict=True)]
