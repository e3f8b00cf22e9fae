"""The classifiers to compare with, against NumPy and the layers they are made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.errors import ConfigError, InputError
from vidjax.networks.pooling import LSTMClassifier, NetVLAD, TransformerClassifier
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


def test_a_transformer_of_one_layer_by_hand():
  network = TransformerClassifier(3, 6, depth=1, heads=2)
  variables = network.init(jax.random.key(1), X, False)
  p = jax.tree.map(lambda a: np.asarray(a, np.float64), variables["params"])

  def norm(x, name):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return x * p[name]["scale"] + p[name]["bias"]

  def dense(x, name):
    return x @ p[name]["kernel"] + p[name]["bias"]

  angles = np.arange(7)[:, None] / 10_000.0 ** np.array([0, 0.5, 1])
  x = dense(np.asarray(X, np.float64), "embed") + np.concatenate([np.sin(angles), np.cos(angles)], 1)
  q, k, v = (
    np.einsum("btw,whd->bthd", norm(x, "norm0"), p["attention0"][name]["kernel"]) + p["attention0"][name]["bias"]
    for name in ("query", "key", "value")
  )
  weights = np.exp(np.einsum("bthd,bshd->bhts", q, k) / np.sqrt(3))
  weights /= weights.sum(-1, keepdims=True)
  out = p["attention0"]["out"]
  x = x + np.einsum("bhts,bshd,hdw->btw", weights, v, out["kernel"]) + out["bias"]
  x = x + dense(np.asarray(jax.nn.gelu(dense(norm(x, "wide_norm0"), "wide0"))), "narrow0")
  np.testing.assert_allclose(network.apply(variables, X, False).features, norm(x, "norm").mean(1), atol=1e-5)
  with pytest.raises(ConfigError, match="an even multiple of heads=4"):
    TransformerClassifier(3, 6).init(jax.random.key(0), X, False)


@pytest.mark.parametrize("network", [NetVLAD(3, 4, normalise=True), LSTMClassifier(3), TransformerClassifier(3, 4)])
def test_without_the_mean_a_clip_plus_a_constant_is_the_same(network):
  network = network.clone(remove_mean=True)
  variables = network.init(jax.random.key(1), X, False)
  one, other = (network.apply(variables, x, False).features for x in (X, X + 7))
  np.testing.assert_allclose(one, other, atol=1e-5)
  assert np.abs(network.clone(remove_mean=False).apply(variables, X, False).features - one).max() > 1e-3


@pytest.mark.parametrize("network", [NetVLAD(3), LSTMClassifier(3), TransformerClassifier(3)])
def test_what_does_not_fit_is_named(network):
  with pytest.raises(InputError, match=r"takes float features \[B, T, F\], got uint8"):
    network.init(jax.random.key(0), jnp.zeros((1, 2, 4), jnp.uint8), False)
  with pytest.raises(ConfigError, match=r"dropout=1\.0"):
    network.clone(dropout=1.0).init(jax.random.key(0), X, False)
