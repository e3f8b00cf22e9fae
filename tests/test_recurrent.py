"""Recurrent layers against stored vectors; the carry is held where a mask says so."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.recurrent import LSTM, AttentionGate, Carry, Stack


@pytest.fixture
def stored(shared_golden):
  return np.load(shared_golden / "lstm.npz")


def params_of(stored, peephole):
  together = {"input": {"kernel": np.concatenate([stored[f"Wx{k}"] for k in "ifco"], 1)}}
  together["hidden"] = np.concatenate([stored[f"Wh{k}"] for k in "ifco"], 1)
  if peephole:
    together["input"]["bias"] = np.concatenate([stored[f"b{k}"] for k in "ifco"])
    together |= {f"peephole_{k}": stored[f"wc{k}"] for k in "ifo"}
  return {"params": jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), together)}


def test_plain_golden(stored):
  carry, steps = LSTM(4).apply(params_of(stored, False), jnp.asarray(stored["x"], jnp.float32))
  np.testing.assert_allclose(steps.h, stored["plain_h"], atol=1e-6)
  np.testing.assert_allclose(carry.c, stored["plain_c"][:, -1], atol=1e-6)
  np.testing.assert_array_equal(carry.h, steps.h[:, -1])


def test_peephole_and_attention_golden(stored):
  _, steps = LSTM(4, peephole=True).apply(params_of(stored, True), jnp.asarray(stored["x"], jnp.float32))
  np.testing.assert_allclose(steps.h, stored["alstm_h"], atol=1e-6)
  np.testing.assert_allclose(steps.o, stored["alstm_o"], atol=1e-6)
  gate = {"kernel": jnp.asarray(stored["Wao"], jnp.float32), "bias": jnp.asarray(stored["ba"], jnp.float32)}
  variables = AttentionGate(2).init(jax.random.key(0), steps.o)
  variables = {"params": {**variables["params"], "gate": gate}}
  np.testing.assert_allclose(AttentionGate(2).apply(variables, steps.o), stored["alstm_abar"], atol=1e-6)


def test_the_gate_starts_half_open():
  variables = AttentionGate(3).init(jax.random.key(0), jnp.zeros((1, 4)))
  np.testing.assert_allclose(AttentionGate(3).apply(variables, jnp.zeros((1, 4))), 0.5, atol=1e-6)


def test_the_gate_has_a_finite_gradient_where_it_is_shut():
  gate = AttentionGate(2)
  variables = jax.tree.map(jnp.zeros_like, gate.init(jax.random.key(0), jnp.zeros((1, 3, 4))))
  gradient = jax.grad(lambda v: gate.apply(v, jnp.zeros((1, 3, 4))).sum())(variables)
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradient))
  assert float(gate.apply(variables, jnp.zeros((1, 3, 4))).max()) == 0


@pytest.mark.parametrize("features", [(4,), (4, 3)])
def test_steps_that_are_masked_change_nothing(features):
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.normal(size=(2, 7, 5)), jnp.float32)
  mask = np.array([[1, 0, 1, 1, 0, 0, 1], [0, 1, 1, 0, 1, 1, 0]], bool)
  stack = Stack(features, peephole=True)
  variables = stack.init(jax.random.key(1), x)
  carries, steps = stack.apply(variables, x, mask=jnp.asarray(mask))
  for row in range(2):
    chosen = x[row : row + 1, mask[row]]
    alone, own = stack.apply(variables, chosen)
    for carry, expected in zip(carries, alone, strict=True):
      np.testing.assert_allclose(carry.h[row], expected.h[0], atol=1e-6)
      np.testing.assert_allclose(carry.c[row], expected.c[0], atol=1e-6)
    np.testing.assert_allclose(steps.h[row, mask[row]], own.h[0], atol=1e-6)


def test_a_mask_between_0_and_1_mixes():
  x = jax.random.normal(jax.random.key(0), (1, 1, 5))
  lstm = LSTM(4)
  variables = lstm.init(jax.random.key(1), x)
  old = Carry(jnp.ones((1, 4)), -jnp.ones((1, 4)))
  new, _ = lstm.apply(variables, x, old)
  mixed, _ = lstm.apply(variables, x, old, jnp.full((1, 1), 0.25))
  jax.tree.map(lambda m, n, o: np.testing.assert_allclose(m, 0.25 * n + 0.75 * o, atol=1e-6), mixed, new, old)


def test_two_halves_are_the_whole():
  x = jax.random.normal(jax.random.key(0), (2, 6, 5))
  stack = Stack((4, 4))
  variables = stack.init(jax.random.key(1), x)
  whole, steps = stack.apply(variables, x)
  first, _ = stack.apply(variables, x[:, :3])
  second, rest = stack.apply(variables, x[:, 3:], first)
  np.testing.assert_allclose(rest.h, steps.h[:, 3:], atol=1e-6)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), whole, second)


def test_windows_are_runs_of_their_own():
  x = jax.random.normal(jax.random.key(0), (2, 6, 5))
  windows = np.array([[0, 1, 2], [2, 3, 4], [3, 4, 5]])
  variables = LSTM(4).init(jax.random.key(1), x)
  carry, steps = LSTM(4).apply(variables, x, windows=windows)
  expected, own = LSTM(4).apply(variables, x[:, windows].reshape(6, 3, 5))
  np.testing.assert_allclose(steps.h, own.h, atol=1e-6)
  np.testing.assert_allclose(carry.c, expected.c, atol=1e-6)
