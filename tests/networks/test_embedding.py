"""The deep temporal embedding: its windows, its layers against NumPy, and what it refuses."""

import functools
import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.errors import ConfigError, InputError
from vidjax.losses.clustering import ClusterKL
from vidjax.losses.prediction import Prediction
from vidjax.networks.embedding import DeepEmbedding
from vidjax.networks.windows import unit_range, window_places

X = jax.random.uniform(jax.random.key(0), (2, 9, 5))


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def lstm(params, x):
  """Eq. 14, step by step."""
  kernel, hidden = (np.asarray(a, np.float64) for a in (params["input"]["kernel"], params["hidden"]))
  width = len(hidden)
  h, c, found = np.zeros((len(x), width)), np.zeros((len(x), width)), []
  for t in range(x.shape[1]):
    i, f, g, o = np.split(x[:, t] @ kernel + h @ hidden, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    found.append(h)
  return np.stack(found, 1)


def decoder(params, before, context):
  read_out = jax.tree.map(lambda a: np.asarray(a, np.float64), params["read_out"])
  h = lstm(params["lstm"], np.concatenate([before, context], -1))
  return sigmoid(h @ read_out["kernel"] + read_out["bias"])


@pytest.mark.parametrize(
  ("steps", "window", "stride", "starts"),
  [(9, 4, 2, [0, 2, 4, 5]), (9, 3, 3, [0, 3, 6]), (4, 4, 2, [0]), (5, 4, 7, [0, 1])],
)
def test_windows_overlap_and_the_last_one_ends_with_the_clip(steps, window, stride, starts):
  places = window_places(steps, window, stride)
  np.testing.assert_array_equal(places, np.array(starts)[:, None] + np.arange(window))


@pytest.mark.parametrize("greedy", [True, False])
def test_layers_are_those_of_equations_14_to_17(greedy):
  network = DeepEmbedding((6, 3), window=4, stride=2, steps=2, greedy=greedy)
  variables = network.init(jax.random.key(1), X, False)
  params = variables["params"]
  assert ("decoder0" in params) != greedy
  assert not [path for path in jax.tree_util.tree_leaves_with_path(params["embedding"]) if "bias" in str(path)]
  output = network.apply(variables, X, True)
  x = np.concatenate([np.asarray(X, np.float64), np.zeros((2, 2, 5))], 1)
  places = window_places(9, 4, 2)
  longer = places[:, :1] + np.arange(6)
  windows = x[:, longer].reshape(-1, 6, 5)
  first = lstm(params["embedding"]["lstm0"], windows)
  context = lstm(params["embedding"]["lstm1"], first[:, :4])[:, -1]
  np.testing.assert_allclose(output.aux["embedding"].reshape(-1, 3), context, atol=1e-6)
  np.testing.assert_allclose(output.features, context.reshape(2, 4, 3).mean(1), atol=1e-6)
  above = decoder(params["decoder1"], first[:, 3:5], np.repeat(context[:, None], 2, 1))
  expected, target = above, (first[:, 4:] + 1) / 2
  if not greedy:
    expected, target = decoder(params["decoder0"], windows[:, 3:5], 2 * above - 1), windows[:, 4:]
  found = {
    name: np.asarray(output.aux[name]).reshape(8, 2, -1) for name in ("prediction", "prediction_logits", "target")
  }
  np.testing.assert_allclose(found["prediction"], expected, atol=1e-6)
  np.testing.assert_allclose(sigmoid(found["prediction_logits"]), expected, atol=1e-6)
  np.testing.assert_allclose(found["target"], target, atol=1e-6)
  np.testing.assert_array_equal(output.aux["exists"][1], longer[:, 4:] < 9)
  np.testing.assert_array_equal(output.aux["places"][1], places)


def test_what_follows_a_window_changes_no_embedding_and_no_earlier_prediction():
  network = DeepEmbedding((6, 3), window=4, stride=9, steps=3)
  variables = network.init(jax.random.key(1), X[:, :7], False)
  one, other = (network.apply(variables, x[:, :7], False).aux for x in (X, X.at[:, 5:].set(0.5)))
  np.testing.assert_array_equal(one["embedding"][:, 0], other["embedding"][:, 0])
  np.testing.assert_array_equal(one["prediction"][:, 0, :2], other["prediction"][:, 0, :2])
  assert np.abs(one["prediction"][:, 0, 2] - other["prediction"][:, 0, 2]).max() > 1e-4
  blind = network.clone(feed="nothing")
  one, other = (blind.apply(variables, x[:, :7], False).aux for x in (X, X.at[:, 4:].set(0.5)))
  np.testing.assert_array_equal(one["prediction"][:, 0], other["prediction"][:, 0])


def test_layers_of_one_phase_are_those_of_the_next():
  first = DeepEmbedding((6,), 4, 2).init(jax.random.key(1), X, False)
  second = DeepEmbedding((6, 3), 4, 2, greedy=True).init(jax.random.key(1), X, False)
  whole = DeepEmbedding((6, 3), 4, 2).init(jax.random.key(1), X, False)
  shapes = [jax.tree.map(jnp.shape, variables) for variables in (first, second, whole)]
  params = [one["params"] for one in shapes]
  assert params[0]["embedding"]["lstm0"] == params[1]["embedding"]["lstm0"]
  assert params[2] == {**params[1], "decoder0": params[0]["decoder0"]}
  assert shapes[0]["batch_stats"] == shapes[2]["batch_stats"]


def test_attention_weighs_all_steps():
  network = DeepEmbedding((6, 3), 4, 2, "attention", output="linear")
  variables = network.init(jax.random.key(1), X, False)
  params = variables["params"]["embedding"]
  x = np.asarray(X, np.float64)[:, window_places(9, 4, 2)].reshape(-1, 4, 5)
  hidden = lstm(params["lstm1"], lstm(params["lstm0"], x))
  inner, outer = (np.asarray(params[f"attention1{name}"]["kernel"], np.float64) for name in ("_inner", ""))
  weights = np.exp(np.tanh(hidden @ inner) @ outer)
  expected = (weights * hidden).sum(1) / weights.sum(1)
  output = network.apply(variables, X, False)
  np.testing.assert_allclose(output.aux["embedding"].reshape(-1, 3), expected, atol=1e-6)
  assert "prediction_logits" not in output.aux


def test_clusters_may_keep_the_decoder():
  """IDEC: both losses reach the encoder, the prediction alone the decoder, the clustering alone the centres."""
  network = DeepEmbedding((6, 3), 4, 2, steps=2, clusters=3)
  variables = network.init(jax.random.key(1), X, False)
  batch = {"mask": np.ones(2, bool)}

  def loss(params, objective):
    (value,) = objective(network.apply({**variables, "params": params}, X, True), batch).values()
    return value

  predicting, clustering = (jax.grad(loss)(variables["params"], one) for one in (Prediction(), ClusterKL()))
  parts = (("embedding", "lstm0", "hidden"), ("decoder0", "read_out", "kernel"), ("clusters", "centres"))
  reach = [
    [bool(np.abs(functools.reduce(operator.getitem, path, g)).max() > 0) for path in parts]
    for g in (predicting, clustering)
  ]
  assert reach == [[True, True, False], [True, False, True]]


def test_without_layers_a_window_is_its_mean():
  network = DeepEmbedding((), 4, 2, remove_mean=True, steps=0, clusters=3)
  variables = network.init(jax.random.key(1), X, False)
  assert set(variables["params"]) == {"clusters"}
  x = np.clip(X - X.mean(1, keepdims=True), 0, 1)
  expected = np.asarray(x)[:, window_places(9, 4, 2)].mean(2)
  np.testing.assert_allclose(network.apply(variables, X, False).aux["embedding"], expected, atol=1e-6)


def test_features_are_scaled_by_the_running_statistics():
  x = jnp.array([[[2.0, 7.0, -5.0], [4.0, 7.0, 9.0]]])
  scaled = unit_range(x, jnp.array([1.0, 7.0, 0.0]), jnp.array([5.0, 7.0, 3.0]))
  np.testing.assert_allclose(scaled, [[[0.25, 0, 0], [0.75, 0, 1]]])
  gradient = jax.grad(lambda x: unit_range(x, jnp.zeros(3), jnp.zeros(3)).sum())(x)
  np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize(
  ("network", "x", "error", "message"),
  [
    (DeepEmbedding(window=10), X, InputError, "a clip of 9 steps holds no such window: sample that many"),
    (DeepEmbedding(window=9), X, InputError, "nothing follows a window of 9 in a clip of 9 steps"),
    (DeepEmbedding(steps=0), X, ConfigError, r"no decoder \(steps=0\) and no clusters"),
    (DeepEmbedding(widths=(), clusters=3), X, ConfigError, "no layer to decode: set steps=0"),
    (DeepEmbedding(clusters=3, table=True), X, ConfigError, "set records to the number of training records"),
    (DeepEmbedding(), X.astype(int), InputError, r"takes float features \[B, T, F\], got int32"),
    (DeepEmbedding(widths=(0,)), X, ConfigError, r"widths=\(0,\)"),
  ],
)
def test_what_does_not_fit_is_named(network, x, error, message):
  with pytest.raises(error, match=message):
    network.init(jax.random.key(0), x, False)
