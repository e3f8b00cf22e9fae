"""The deep residual representation against NumPy, in each space, assignment and way to add up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.errors import ConfigError
from vidjax.networks.deep_residual import DeepResidual
from vidjax.networks.embedding import DeepEmbedding
from vidjax.recurrent import LSTM

X = jax.random.uniform(jax.random.key(0), (2, 9, 5))
SMALL = {"widths": (6, 3), "window": 4, "stride": 2, "clusters": 4}


@pytest.mark.parametrize("aggregate", ["vlad", "sequence", "mean"])
@pytest.mark.parametrize("assign", ["hard", "soft"])
@pytest.mark.parametrize("space", ["embedded", "input"])
def test_a_residual_is_the_data_without_its_cluster(assign, space, aggregate):
  network = DeepResidual(3, **SMALL, assign=assign, space=space, aggregate=aggregate, units=7)
  variables = network.init(jax.random.key(1), X, False)
  output = network.apply(variables, X, False)
  params = variables["params"]
  z = np.asarray(output.aux["embedding"], np.float64)
  centres = np.asarray(params["clusters"]["centres"], np.float64)
  q = 1 / (1 + ((z[:, :, None] - centres) ** 2).sum(-1))
  q /= q.sum(-1, keepdims=True)
  np.testing.assert_allclose(output.aux["assignment"], q, rtol=1e-5)
  x = z
  if space == "input":
    x = np.asarray(X, np.float64)[:, np.asarray(output.aux["places"][0])].mean(2)
    centres = np.asarray(params["input_centres"], np.float64)
  weights = np.eye(4)[q.argmax(-1)] if assign == "hard" else q
  left = x - weights @ centres
  np.testing.assert_allclose(output.aux["residual"], left, atol=1e-6)
  if aggregate == "vlad":
    sums = np.einsum("bnk,bnkd->bkd", weights, x[:, :, None] - centres)
    rows = sums / np.maximum(np.linalg.norm(sums, axis=-1, keepdims=True), 1e-12)
    expected = rows.reshape(2, -1) / np.linalg.norm(rows.reshape(2, -1), axis=-1, keepdims=True)
  elif aggregate == "mean":
    expected = left.mean(1)
  else:
    expected = LSTM(7).apply({"params": params["sequence"]}, jnp.asarray(left, jnp.float32))[0].h
  np.testing.assert_allclose(output.features, expected, atol=1e-5)
  assert output.logits.shape == (2, 3)


def test_it_holds_what_the_embedding_has_learnt():
  """Under the same paths, so that a phase starts from the one before it."""
  shapes = [
    jax.tree.map(jnp.shape, network.init(jax.random.key(0), X, False))
    for network in (DeepEmbedding(**SMALL, steps=0), DeepResidual(3, **SMALL))
  ]
  for kind in ("params", "batch_stats"):
    assert {name: shapes[1][kind][name] for name in shapes[0][kind]} == shapes[0][kind]
  assert set(shapes[1]["params"]) == {"embedding", "clusters", "classifier"}


def test_a_window_that_is_its_centre_leaves_nothing():
  network = DeepResidual(3, **{**SMALL, "clusters": 1}, normalise=True, hidden=4, dropout=0.5)
  variables = network.init(jax.random.key(1), X[:1, :4], False)
  z = network.apply(variables, X[:1, :4], False).aux["embedding"][0]
  variables["params"]["clusters"]["centres"] = z
  output = network.apply(variables, X[:1, :4], False)
  np.testing.assert_array_equal(output.aux["residual"], 0)
  assert np.isfinite(output.logits).all()
  with pytest.raises(ConfigError, match="clusters=0"):
    DeepResidual(3, clusters=0).init(jax.random.key(0), X, False)
