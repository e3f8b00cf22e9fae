import itertools

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from optax.experimental import aggregating

from vidjax.errors import ConfigError
from vidjax.train import aggregate
from vidjax.train.aggregate import cagrad_weights, mgda_weights, min_norm_weights, pcgrad_weights

KEY = jax.random.key(3)
DTYPES = ("float32", "float64")
TOLERANCE = {"float32": 2e-6, "float64": 1e-10}
min_norm = jax.jit(min_norm_weights)
project = jax.jit(pcgrad_weights)
conflict_averse = jax.jit(cagrad_weights, static_argnums=1)


def gram_of(rows, dtype="float32"):
  return jnp.asarray(rows @ np.swapaxes(rows, -1, -2), dtype)


def dots(weights, rows):
  return np.einsum("bi,bij->bj", weights, rows)


@pytest.fixture
def golden(shared_golden):
  return np.load(shared_golden / "mgda.npz")


@pytest.fixture(params=DTYPES)
def dtype(request):
  with jax.enable_x64(request.param == "float64"):
    yield request.param


def test_golden_two_tasks(golden, dtype):
  for one, other, wanted in (("g1", "g2", "alpha"), ("rand_g1", "rand_g2", "rand_alpha")):
    rows = np.stack([golden[one], golden[other]], axis=1)
    weights = jax.jit(jax.vmap(min_norm_weights))(gram_of(rows, dtype))
    np.testing.assert_allclose(weights[:, 0], golden[wanted], atol=TOLERANCE[dtype])
    np.testing.assert_allclose(weights.sum(1), 1, atol=TOLERANCE[dtype])
    if one == "g1":
      np.testing.assert_allclose(dots(weights, rows), golden["combined"], atol=TOLERANCE[dtype])


@pytest.mark.parametrize(
  ("normalise", "name"),
  [("none", "weights"), ("l2", "weights_l2"), ("loss", "weights_loss"), ("loss+", "weights_lossplus")],
)
def test_golden_four_tasks(golden, dtype, normalise, name):
  gram, losses = gram_of(golden["J"], dtype), jnp.asarray(golden["losses"], dtype)
  weights = jax.jit(jax.vmap(lambda g, loss: mgda_weights(g, normalise, loss)))(gram, losses)
  np.testing.assert_allclose(weights, golden[name], atol=TOLERANCE[dtype])
  if normalise == "none":
    shortest = (dots(weights, golden["J"]) ** 2).sum(1)
    np.testing.assert_allclose(shortest, golden["min_norm_sq"], rtol=TOLERANCE[dtype])


def test_golden_pcgrad_and_cagrad(golden, dtype):
  rows = np.stack([golden["pc_g1"], golden["pc_g2"]], axis=1)
  weights = np.stack([project(gram, KEY) for gram in gram_of(rows, dtype)])
  np.testing.assert_allclose(dots(weights, rows), golden["pcgrad_sum"], atol=TOLERANCE[dtype])
  weights = np.stack([conflict_averse(gram, float(golden["cagrad_c"])) for gram in gram_of(rows, dtype)])
  np.testing.assert_allclose(dots(weights, rows), golden["cagrad"], atol=2e-6)  # the golden w is an optimiser's


def gradients(elements):
  shapes = st.tuples(st.integers(2, 5), st.integers(1, 6))
  return shapes.flatmap(lambda shape: hnp.arrays("float64", shape, elements=elements))


@settings(deadline=None, max_examples=150)
@given(gradients(st.floats(-10, 10, width=32)) | gradients(st.integers(-2, 2).map(float)))
def test_mgda_makes_no_loss_larger(rows):
  """d . g_j >= |d|^2 for every task j (it is what makes d the shortest): degenerate and conflicting gradients, too."""
  size = np.abs(rows).max() + 1e-30
  for dtype, tolerance in (("float64", 1e-7), ("float32", 2e-3)):
    with jax.enable_x64(dtype == "float64"):
      weights = np.asarray(min_norm(gram_of(rows, dtype)), "float64")
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(), 1, atol=1e-5)
    combined = weights @ rows
    products = float(np.finfo("float32").tiny)  # smaller ones float32 does not have
    assert (rows @ combined - combined @ combined).min() >= -tolerance * size**2 - products


@pytest.mark.parametrize("n", [2, 3, 5])
def test_gradients_of_very_different_lengths_in_float32(n):
  rows = np.random.default_rng(n).standard_normal((n, 40)) * np.logspace(-6, 6, n)[:, None]
  combined = np.asarray(min_norm(gram_of(rows)), "float64") @ rows
  cosines = rows @ combined / np.linalg.norm(rows, axis=1) / np.linalg.norm(combined)
  assert cosines.min() > -1e-6
  shortest = np.linalg.norm(rows, axis=1).min()
  assert 0.1 * shortest < np.linalg.norm(combined) <= shortest * (1 + 1e-6)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_equal_and_zero_gradients(n):
  row = np.random.default_rng(0).standard_normal(7)
  np.testing.assert_allclose(min_norm(gram_of(np.stack([row] * n))), np.full(n, 1 / n), atol=1e-6)
  rows = np.stack([row, *[np.zeros(7)] * (n - 1)])
  np.testing.assert_allclose(min_norm(gram_of(rows)), [0] + [1 / (n - 1)] * (n - 1), atol=1e-6)
  nothing = jnp.zeros((n, n))
  np.testing.assert_allclose(min_norm(nothing), np.full(n, 1 / n), atol=1e-6)
  for normalise in ("none", "l2", "loss", "loss+"):
    assert np.isfinite(jax.jit(mgda_weights, static_argnums=1)(nothing, normalise, jnp.zeros(n))).all()
  np.testing.assert_array_equal(project(nothing, KEY), np.ones(n))
  np.testing.assert_allclose(conflict_averse(nothing, 0.5), np.full(n, 1 / n), rtol=1e-6)
  for weights in (project(gram_of(rows), KEY), conflict_averse(gram_of(rows), 0.5)):
    assert np.isfinite(weights).all()


@pytest.mark.parametrize("n", [2, 3, 5])
def test_pcgrad_against_the_algorithm_on_vectors(n):
  rows = np.random.default_rng(n).standard_normal((n, 4))
  orders = [np.asarray(jax.random.permutation(key, n)) for key in jax.random.split(KEY, n)]
  expected, conflicts = np.zeros(4), 0
  for i, order in enumerate(orders):
    g = rows[i].copy()
    for j in order:
      if j != i and g @ rows[j] < 0:
        g -= g @ rows[j] / (rows[j] @ rows[j]) * rows[j]
        conflicts += 1
    expected += g
  assert conflicts
  np.testing.assert_allclose(np.asarray(project(gram_of(rows), KEY)) @ rows, expected, rtol=1e-4)


@pytest.mark.parametrize("c", [0.0, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("n", [2, 3])
def test_cagrad_against_a_search_of_the_simplex(c, n, dtype):
  """Its dual problem, min g_w . g_0 + c |g_0| |g_w| (Liu et al. 2021, Eq. 4), on a fine grid."""
  grid = np.array([w for w in itertools.product(np.linspace(0, 1, 201), repeat=n - 1) if sum(w) <= 1 + 1e-9])
  grid = np.concatenate([grid, 1 - grid.sum(1, keepdims=True)], axis=1)
  for seed in range(6):
    rows = np.random.default_rng(seed).standard_normal((n, 3 + seed)) + 0.3 * seed
    mean = rows.mean(0)
    points = grid @ rows
    best = points[np.argmin(points @ mean + c * np.linalg.norm(mean) * np.linalg.norm(points, axis=1))]
    expected = mean + c * np.linalg.norm(mean) * best / np.linalg.norm(best)
    result = np.asarray(conflict_averse(gram_of(rows, dtype), c), "float64") @ rows
    np.testing.assert_allclose(result, expected, atol=0.02 * np.linalg.norm(mean))
    np.testing.assert_allclose(np.linalg.norm(result - mean), c * np.linalg.norm(mean), rtol=1e-4, atol=1e-5)


@settings(deadline=None, max_examples=100)
@given(gradients(st.floats(-10, 10, width=32)) | gradients(st.integers(-2, 2).map(float)))
def test_cagrad_helps_the_worst_task_as_much_as_it_can(rows):
  """Strong duality: the least g_j . d over the tasks equals the dual's value at w, an upper bound for any d."""
  with jax.enable_x64(True):
    weights = np.asarray(conflict_averse(gram_of(rows, "float64"), 0.4), "float64")
  mean, w = rows.mean(0), weights - 1 / len(rows)
  assert np.isfinite(weights).all()
  if w.sum() > 1e-9:  # else g_w is 0 and the mean gradient stays
    w /= w.sum()
    dual = w @ rows @ mean + 0.4 * np.linalg.norm(mean) * np.linalg.norm(w @ rows)
    np.testing.assert_allclose((rows @ (weights @ rows)).min(), dual, atol=1e-6 * (rows**2).sum(1).max())


def losses_of(params):
  one = jnp.sum((params["shared"] - jnp.array([1.0, 0.0])) ** 2) + jnp.sum(params["first"] ** 2)
  two = 3 * jnp.sum((params["shared"] - jnp.array([0.0, 2.0])) ** 2) + jnp.sum((params["second"] - 1) ** 2)
  return jnp.stack([one, two])


PARAMS = {"first": jnp.array([2.0]), "second": jnp.array([3.0, 5.0]), "shared": jnp.array([4.0, 1.0])}
MASK = {"first": False, "second": False, "shared": True}


@pytest.mark.parametrize("shared", [MASK, lambda tree: {name: name == "shared" for name in tree}])
def test_mgda_with_optax_alone_is_algorithm_1(shared):
  rule = aggregating.process(optax.identity(), aggregate.mgda(shared), optax.sgd(0.1))
  updates, _ = jax.jit(rule.update)(jax.jacrev(losses_of)(PARAMS), rule.init(PARAMS), PARAMS)
  x = np.asarray(PARAMS["shared"], "float64")
  one, two = 2 * (x - [1, 0]), 6 * (x - [0, 2])
  alpha = np.clip((two - one) @ two / ((one - two) @ (one - two)), 0, 1)
  np.testing.assert_allclose(updates["shared"], -0.1 * (alpha * one + (1 - alpha) * two), rtol=1e-5)
  np.testing.assert_allclose(updates["first"], [-0.1 * 4])
  np.testing.assert_allclose(updates["second"], [-0.1 * 4, -0.1 * 8], rtol=1e-6)


@pytest.mark.parametrize(
  "rule", [aggregate.mgda(MASK), aggregate.mgda(MASK, "loss+"), aggregate.pcgrad(MASK), aggregate.cagrad(MASK, 0.4)]
)
def test_every_rule_finds_a_point_where_no_loss_can_fall_alone(rule):
  """Pareto-optimal: on the segment between the two tasks' own optima; the other parameters are at theirs."""
  optimizer = optax.with_extra_args_support(optax.sgd(0.05))

  def one(carry, _):
    params, state, count = carry
    values, grads = losses_of(params), jax.jacrev(losses_of)(params)
    grads, state = rule.update(grads, state, params, losses=values)
    updates, count = optimizer.update(grads, count, params)
    return (optax.apply_updates(params, updates), state, count), None

  start = (PARAMS, rule.init(PARAMS), optimizer.init(PARAMS))
  (params, state, _), _ = jax.jit(lambda carry: jax.lax.scan(one, carry, None, length=400))(start)
  assert int(state.count) == 400
  along = params["shared"] - jnp.array([1.0, 0.0])  # (1, 0) + t (-1, 2)
  assert 0 <= along[1] / 2 <= 1
  np.testing.assert_allclose(-2 * along[0], along[1], atol=1e-3)
  np.testing.assert_allclose(params["first"], [0], atol=1e-4)
  np.testing.assert_allclose(params["second"], [1, 1], atol=1e-4)


def test_the_dtype_of_the_gradients_stays():
  grads = jax.tree.map(lambda x: jnp.stack([x, 2 * x]).astype(jnp.bfloat16), PARAMS)
  updates, _ = aggregate.mgda(MASK).update(grads, aggregate.mgda().init(PARAMS))
  assert {x.dtype for x in jax.tree.leaves(updates)} == {jnp.dtype(jnp.bfloat16)}


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (lambda: min_norm_weights(jnp.ones((2, 3))), r"shape \[n, n\], got \(2, 3\)"),
    (lambda: min_norm_weights(jnp.ones(4)), r"got \(4,\)"),
    (lambda: min_norm_weights(jnp.ones((1, 1))), "2 to 8 tasks, got 1"),
    (lambda: pcgrad_weights(jnp.ones((9, 9)), KEY), "2 to 8 tasks, got 9"),
    (lambda: cagrad_weights(jnp.eye(2), -1), r"c=-1\): must be a finite number of at least 0"),
    (lambda: aggregate.cagrad(c=float("nan")), "c=nan"),
    (lambda: aggregate.mgda(normalise="l1"), "normalise='l1'.*none, l2, loss, loss+"),
    (lambda: mgda_weights(jnp.eye(2), "loss"), "needs the losses"),
    (lambda: aggregate.mgda().update({"a": jnp.ones((2, 3)), "b": jnp.ones(3)}, None), "one leading task axis"),
    (lambda: aggregate.mgda().update({"a": jnp.ones(())}, None), "one leading task axis"),
    (lambda: aggregate.gram_matrix([{"a": jnp.ones(2)}] * 2, {"a": False}), "no parameter is shared"),
    (lambda: aggregate.gram_matrix([{"a": jnp.ones(2)}] * 2, {"b": True}), "mask of shared parameters"),
  ],
)
def test_bad_input(call, message):
  with pytest.raises(ConfigError, match=message):
    call()
