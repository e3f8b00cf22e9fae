"""Chosen steps move together and back: a property over masks and sizes."""

import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vidjax.ops.compaction import compact, expand


@settings(deadline=None, max_examples=60)
@given(chosen=st.lists(st.booleans(), min_size=1, max_size=12), spare=st.integers(0, 3))
def test_they_come_back(chosen, spare):
  chosen = np.array(chosen)
  x = np.arange(1.0, 2 * len(chosen) + 1, dtype=np.float32).reshape(-1, 2)
  size = max(int(chosen.sum()) + spare, 1)
  packed, place = compact(jnp.asarray(x), jnp.asarray(chosen), size)
  assert packed.shape == (size, 2)
  np.testing.assert_array_equal(packed[: chosen.sum()], x[chosen])
  np.testing.assert_array_equal(expand(packed, place, -1.0), np.where(chosen[:, None], x, -1))


def test_what_has_no_place_is_left_out():
  packed, place = compact(jnp.arange(4.0), jnp.ones(4, bool), 2)
  np.testing.assert_array_equal(packed, [0, 1])
  np.testing.assert_array_equal(expand(packed, place), [0, 1, 0, 0])
