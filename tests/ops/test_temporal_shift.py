import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidjax.ops.temporal_shift import temporal_shift


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_golden(shared_golden, name):
  golden = np.load(shared_golden / "temporal_shift.npz")
  x, expected = (
    golden[f"{name}_{key}"].reshape(-1, golden[f"{name}_n_segment"], *golden[f"{name}_x"].shape[1:]) for key in "xy"
  )
  fold = x.shape[2] // int(golden[f"{name}_fold_div"])
  shifted = temporal_shift(jnp.moveaxis(x, 2, -1), fold)
  np.testing.assert_array_equal(shifted, np.moveaxis(expected, 2, -1))


@settings(max_examples=15, deadline=None)
@given(frames=st.integers(1, 5), fold=st.integers(1, 3))
def test_each_group_reads_its_neighbour(frames, fold):
  x = np.random.default_rng(0).normal(size=(2, frames, 2, 2, 7)).astype("float32")
  expected = np.zeros_like(x)
  for t in range(frames):
    expected[:, t, ..., 2 * fold :] = x[:, t, ..., 2 * fold :]
    if t + 1 < frames:
      expected[:, t, ..., :fold] = x[:, t + 1, ..., :fold]
    if t > 0:
      expected[:, t, ..., fold : 2 * fold] = x[:, t - 1, ..., fold : 2 * fold]
  np.testing.assert_array_equal(temporal_shift(jnp.asarray(x), fold), expected)


def test_the_online_shift_never_sees_the_future():
  x = jnp.arange(1.0, 25.0).reshape(1, 3, 1, 1, 8)
  shifted = temporal_shift(x, 2, bidirectional=False)
  np.testing.assert_array_equal(shifted[0, :, 0, 0, :2], [[0, 0], [1, 2], [9, 10]])
  np.testing.assert_array_equal(shifted[..., 2:], x[..., 2:])
  changed = temporal_shift(x.at[:, 2].add(1), 2, bidirectional=False)
  np.testing.assert_array_equal(changed[:, :2], shifted[:, :2])
