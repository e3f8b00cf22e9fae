"""RTSAE: what it gives, how its gates shut, and each term of its objective against NumPy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.errors import ConfigError, InputError
from vidjax.losses.sparse_autoencoder import SparseAutoencoder, opened
from vidjax.networks.rtsae import RTSAE, unit
from vidjax.types import Output

NAMES = ["reconstruction", "diversity", "low_rank", "output_l1", "gate_l1"]


def outputs(attention, rng=None):
  rng = rng or np.random.default_rng(0)
  batch, steps = attention.shape
  arrays = {"hidden": (5,), "target": (6,), "reconstruction": (6,)}
  aux = {name: jnp.asarray(rng.normal(size=(batch, steps, *shape)), jnp.float32) for name, shape in arrays.items()}
  aux["output_gates"] = jnp.asarray(rng.uniform(size=(batch, steps, 5)), jnp.float32)
  return Output(None, jnp.zeros((batch, 5)), {**aux, "attention": jnp.asarray(attention, jnp.float32)})


@pytest.mark.parametrize("target", ["all", "selected"])
def test_terms_are_those_of_equation_12(target):
  attention = np.array([[0.9, 0.1, 0.6, 0.2, 0.8], [0.1, 0.2, 0.0, 0.3, 0.1], [0.9] * 5])
  output = outputs(attention)
  losses = SparseAutoencoder(target, least=2)(output, {"mask": np.array([True, True, False])})
  expected = dict.fromkeys(NAMES, 0.0)
  chosen = [[0, 2, 4], [1, 3]]  # of the second clip the two highest
  for b, steps in enumerate(chosen):
    aux = {name: np.asarray(x[b], np.float64) for name, x in output.aux.items()}
    error = ((aux["reconstruction"] - aux["target"]) ** 2).sum(-1)
    expected["reconstruction"] += error.sum() if target == "all" else error[steps].sum()
    h = aux["hidden"]
    expected["diversity"] -= sum(np.log(1 + ((h[i] - h[j]) ** 2).sum()) for i, j in itertools.pairwise(steps))
    s = np.linalg.svd(aux["output_gates"], compute_uv=False)
    expected["low_rank"] += (np.sqrt(s**2 + 1e-4) - 1e-2).sum()
    expected["output_l1"] += np.abs(aux["output_gates"]).sum()
    expected["gate_l1"] += np.abs(aux["attention"]).sum()
  assert list(losses) == NAMES
  for name in NAMES:
    np.testing.assert_allclose(losses[name], expected[name] / 2, rtol=1e-4, err_msg=name)


def test_printed_loss_is_nothing_with_all_gates_shut_but_for_the_floor():
  """Eq. 12 as printed sums over the open gates alone."""
  attention = np.zeros((1, 4))
  output = outputs(attention)
  np.testing.assert_array_equal(opened(jnp.asarray(attention), 1).sum(), 4)  # all are equally the highest
  attention[0, 2] = 0.1
  assert opened(jnp.asarray(attention), 1).tolist() == [[False, False, True, False]]
  assert float(SparseAutoencoder()(output, {"mask": np.ones(1, bool)})["gate_l1"]) == 0


@pytest.mark.parametrize("decode", ["gated", "final", "feedback"])
@pytest.mark.parametrize("depth", [1, 2])
def test_it_rebuilds_and_every_parameter_learns(decode, depth):
  x = jax.random.normal(jax.random.key(0), (2, 6, 10))
  network = RTSAE(depth, 8, 2, decode)
  variables = network.init(jax.random.key(1), x, False)
  output = network.apply(variables, x, True)
  assert output.logits is None
  shapes = {name: value.shape for name, value in output.aux.items()}
  assert shapes == {
    "attention": (2, 6), "hidden": (2, 6, 8), "output_gates": (2, 6, 8), "target": (2, 6, 10),
    "reconstruction": (2, 6, 10),
  }  # fmt: skip
  np.testing.assert_allclose(np.square(output.aux["target"]).mean(-1), 1, rtol=1e-5)

  def loss(variables):
    losses = SparseAutoencoder()(network.apply(variables, x, True), {"mask": np.ones(2, bool)})
    return sum(losses.values())

  gradient = jax.grad(loss)(variables)
  for path, g in jax.tree_util.tree_leaves_with_path(gradient):
    assert np.isfinite(g).all(), path
    unread = decode == "final" and jax.tree_util.keystr(path) == "['params']['decoder']['lstm0']['input']['kernel']"
    assert np.abs(g).max() > 0 or unread or "peephole" in str(path), path


@pytest.mark.parametrize("x", [jnp.zeros((2, 5, 4)), jnp.ones((1, 1, 4)), jnp.tile(jnp.arange(4.0), (1, 7, 1))])
def test_nothing_is_no_number(x):
  """All gates shut, one step, repeated steps."""
  network = RTSAE(2, 8)
  variables = jax.tree.map(jnp.zeros_like, network.init(jax.random.key(0), x, False))

  def loss(variables):
    return sum(SparseAutoencoder()(network.apply(variables, x, True), {"mask": np.ones(len(x), bool)}).values())

  value, gradient = jax.value_and_grad(loss)(variables)
  assert np.isfinite(value)
  assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradient))


def test_shut_gates_hide_the_sequence_from_the_decoder():
  x = jax.random.normal(jax.random.key(0), (1, 6, 10))
  network = RTSAE(1, 8)
  variables = network.init(jax.random.key(1), x, False)
  shut = jax.tree.map(lambda leaf: leaf, variables)
  shut["params"]["encoder"]["attention"]["gate"] = jax.tree.map(
    jnp.zeros_like, shut["params"]["encoder"]["attention"]["gate"]
  )
  output = network.apply(shut, x, False)
  assert float(output.aux["attention"].max()) == 0
  other = network.apply(shut, -2 * x, False)
  np.testing.assert_array_equal(output.aux["reconstruction"], other.aux["reconstruction"])


def test_what_does_not_fit_is_named():
  with pytest.raises(InputError, match=r"RTSAE at the top takes features \[B, T, F\], got the shape \(1, 2, 3, 4, 5\)"):
    RTSAE().init(jax.random.key(0), jnp.zeros((1, 2, 3, 4, 5)), False)
  with pytest.raises(ConfigError, match="least"):
    SparseAutoencoder(least=0)
  np.testing.assert_array_equal(unit(jnp.zeros((2, 3))), 0)
