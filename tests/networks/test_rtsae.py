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
    "attention": (2, 6), "mask": (2, 6), "hidden": (2, 6, 8), "output_gates": (2, 6, 8), "target": (2, 6, 10),
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


def total_loss(network, x, objective, **options):
  """Variables -> the sum of the losses of a batch, and its output."""

  def loss(variables):
    output = network.apply(variables, x, True, **options)
    losses = objective(output, {"mask": np.ones(len(x), bool)})
    return sum(losses.values()), (losses, output)

  return jax.jit(jax.value_and_grad(loss, has_aux=True))


@pytest.mark.parametrize("shut", [True, False])
@pytest.mark.parametrize(
  "x",
  [
    jnp.zeros((2, 5, 4)),
    jnp.ones((1, 1, 4)),
    jnp.tile(jnp.arange(4.0), (1, 7, 1)),
    jnp.eye(2).repeat(4, 1).reshape(2, 2, 4),
  ],
  ids=["all padding", "one step", "repeated", "half padding"],
)
def test_nothing_is_no_number(x, shut):
  """Also with every gate shut, by weights that are all 0."""

  def both(output, batch):
    return {target: sum(SparseAutoencoder(target)(output, batch).values()) for target in ("all", "selected")}

  network = RTSAE(2, 8)
  variables = network.init(jax.random.key(0), x, False)
  variables = jax.tree.map(jnp.zeros_like, variables) if shut else variables
  (value, (_, output)), gradient = total_loss(network, x, both)(variables)
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((value, output, gradient)))


@pytest.mark.parametrize("target", ["all", "selected"])
@pytest.mark.parametrize("decode", ["gated", "final", "feedback"])
def test_padding_changes_nothing(decode, target):
  """Zeros to twice the length, or anything where a mask says so: attention, losses and gradients are the same.

  In float64: the nuclear norm's gradient magnifies what float32 rounds off small singular values.
  """
  x = jax.random.normal(jax.random.key(0), (2, 4, 10))
  network = RTSAE(2, 8, 2, decode)
  variables = network.init(jax.random.key(1), x, False)
  objective = SparseAutoencoder(target, least=3)
  with jax.enable_x64(True):
    x, variables = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), (x, variables))
    (_, (losses, output)), gradient = total_loss(network, x, objective)(variables)
    noise = jnp.concatenate([x, jnp.full_like(x, 7)], axis=1)
    mask = jnp.arange(8)[None] < jnp.full((2, 1), 4)
    for padded, options in ((jnp.pad(x, ((0, 0), (0, 4), (0, 0))), {}), (noise, {"mask": mask})):
      (_, (losses2, output2)), gradient2 = total_loss(network, padded, objective, **options)(variables)
      np.testing.assert_array_equal(output2.aux["mask"], mask)
      np.testing.assert_allclose(output2.aux["attention"][:, :4], output.aux["attention"], rtol=1e-9)
      np.testing.assert_array_equal(output2.aux["attention"][:, 4:], 0)
      np.testing.assert_allclose(output2.features, output.features, rtol=1e-9)
      for one, other in zip(jax.tree.leaves((losses2, gradient2)), jax.tree.leaves((losses, gradient)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9 * np.abs(other).max())


def test_a_step_of_zeros_is_padding_unless_told():
  x = jnp.zeros((1, 3, 4)).at[0, 0].set(1)
  for padding, expected in (("zeros", [True, False, False]), (None, [True] * 3)):
    network = RTSAE(1, 8, padding=padding)
    assert network.init_with_output(jax.random.key(0), x, False)[0].aux["mask"].tolist() == [expected]


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
  variables = RTSAE(1, 8).init(jax.random.key(0), jnp.zeros((1, 2, 6)), False)
  with pytest.raises(InputError, match=r"RTSAE at the top: its parameters are for features of 6 numbers, .* have 5: "):
    RTSAE(1, 8).apply(variables, jnp.zeros((1, 2, 5)), False)
  with pytest.raises(InputError, match=r"mask of the shape \(2, 1\) must be \[B, T\], \(1, 2\)"):
    RTSAE(1, 8).apply(variables, jnp.zeros((1, 2, 6)), False, jnp.ones((2, 1), bool))
  with pytest.raises(ConfigError, match="least"):
    SparseAutoencoder(least=0)
  np.testing.assert_array_equal(unit(jnp.zeros((2, 3))), 0)
