"""The classifiers to compare with, against NumPy and the layers they are made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.errors import ConfigError, InputError
from vidjax.networks.pooling import LSTMClassifier, NetVLAD
from vidjax.recurrent import LSTM

X = jax.random.normal(jax.random.key(0), (2, 7, 5))


def test_netvlad_adds_up_residuals_by_cluster():
  network = NetVLAD(3, clusters=4)
  variables = network.init(jax.random.key(1), X, False)
  output = network.apply(variables, X, False)
  params = jax.tree.map(lambda a: np.asarray(a, np.float64), variables["params"])
  x = np.asarray(X, np.float64)
  x /= np.linalg.norm(x, axis=-1, keepdims=True)
  weights = np.exp(x @ params["assign"]["kernel"] + params["assign"]["bias"])
  weights /= weights.sum(-1, keepdims=True)
  rows = np.einsum("btk,btkd->bkd", weights, x[:, :, None] - params["centres"])
  rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
  expected = rows.reshape(2, -1) / 2  # four rows of length 1
  np.testing.assert_allclose(output.features, expected, atol=1e-6)
  assert np.isfinite(network.apply(variables, jnp.zeros_like(X), False).logits).all()


def test_the_last_hidden_state_is_classified():
  network = LSTMClassifier(3, (6, 4))
  variables = network.init(jax.random.key(1), X, False)
  layers = variables["params"]["layers"]
  _, first = LSTM(6, bias=True).apply({"params": layers["lstm0"]}, X)
  carry, _ = LSTM(4, bias=True).apply({"params": layers["lstm1"]}, first.h)
  np.testing.assert_allclose(network.apply(variables, X, False).features, carry.h, atol=1e-6)


@pytest.mark.parametrize("network", [NetVLAD(3), LSTMClassifier(3)])
def test_what_does_not_fit_is_named(network):
  with pytest.raises(InputError, match=r"takes float features \[B, T, F\], got uint8"):
    network.init(jax.random.key(0), jnp.zeros((1, 2, 4), jnp.uint8), False)
  with pytest.raises(ConfigError, match=r"dropout=1\.0"):
    network.clone(dropout=1.0).init(jax.random.key(0), X, False)
