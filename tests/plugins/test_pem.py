import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.errors import ConfigError, InputError
from vidjax.plugins.pem import PEM


def dense(weight, bias=None):
  return {"kernel": jnp.asarray(weight.T)} | ({} if bias is None else {"bias": jnp.asarray(bias)})


@pytest.fixture
def golden(shared_golden):
  return dict(np.load(shared_golden / "tdrl_equations.npz"))


def params_of(golden, gamma, bias):
  b = {name: golden[name] if bias else None for name in ("b_f1", "b_f2", "b_a")}
  return {
    "this": dense(golden["W_f1"], b["b_f1"]),
    "next": dense(golden["W_f2"], b["b_f2"]),
    "expand": dense(golden["W_a"], b["b_a"]),
    "gate": jnp.asarray(golden[f"W_g_{gamma}"].T),
  }


@pytest.mark.parametrize(
  ("key", "options"),
  [
    ("a_scalar", {}),
    ("a_vector", {"gamma": "vector"}),
    ("a_scalar_zero_init", {"memory": "zeros"}),
    ("a_scalar_nobias", {"bias": False}),
  ],
)
def test_golden(golden, key, options):
  x = np.moveaxis(golden["X"], 2, -1)
  params = params_of(golden, options.get("gamma", "scalar"), options.get("bias", True))
  module = PEM(**options)
  shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), x, False))["params"]
  assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, shapes)
  y = jax.jit(lambda x: module.apply({"params": params}, x, False))(x)
  np.testing.assert_allclose(y, x * golden[key][:, :, None, None], rtol=1e-5, atol=1e-6)
  if f"U{key[1:]}" in golden:
    np.testing.assert_allclose(y, np.moveaxis(golden[f"U{key[1:]}"], 2, -1), rtol=1e-5, atol=1e-6)


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def by_hand(x, params, memory):
  """Eq. 3-6 step by step in float64."""
  params = jax.tree.map(lambda p: np.asarray(p, "float64"), params)
  x = np.asarray(x, "float64")
  s, frames = x.mean((2, 3)), x.shape[1]

  def f(name, s):
    return np.maximum(s @ params[name]["kernel"] + params[name]["bias"], 0)

  d = [f("next", s[:, t + 1]) - f("this", s[:, t]) for t in range(frames - 1)]
  d.append(np.ones_like(f("this", s[:, 0])))
  m = {"zeros": 0 * d[0], "first": d[0], "last": d[-2] if frames > 1 else d[0]}[memory]
  y = np.zeros_like(x)
  for t in range(frames):
    gamma = sigmoid(np.concatenate([m, d[t]], -1) @ params["gate"])
    m = (1 - gamma) * m + gamma * d[t]
    y[:, t] = x[:, t] * sigmoid(m @ params["expand"]["kernel"] + params["expand"]["bias"])[:, None, None]
  return y


@pytest.mark.parametrize(
  ("gamma", "memory", "frames"),
  [
    *itertools.product(["scalar", "vector"], ["last", "first", "zeros"], [3]),
    *(("scalar", m, 1) for m in ("last", "zeros")),
  ],
)
def test_the_equations(gamma, memory, frames):
  module = PEM(reduction=4, gamma=gamma, memory=memory)
  x = jax.random.normal(jax.random.key(0), (2, frames, 3, 2, 16))

  @jax.jit
  def run(x):
    variables = module.init(jax.random.key(1), x, False)
    variables = jax.tree.map(lambda p: p + 0.3, variables)  # no bias at zero, no dead ReLU
    return module.apply(variables, x, False), variables["params"]

  y, params = run(x)
  np.testing.assert_allclose(y, by_hand(x, params, memory), rtol=1e-5, atol=1e-5)


def test_a_frame_sees_its_past_and_one_frame_ahead():
  """With the memory started at zero; the paper's own start, d_{T-1}, lets every frame see the last two."""
  x = 1 + jax.random.normal(jax.random.key(0), (1, 6, 2, 2, 16))

  def seen(memory):
    module = PEM(memory=memory)

    @jax.jit
    def run(x):
      variables = jax.tree.map(lambda p: p + 0.3, module.init(jax.random.key(1), x, False))
      return jax.jacrev(lambda x: module.apply(variables, x, False).sum((0, 2, 3, 4)))(x)

    return np.abs(run(x)).sum((1, 3, 4, 5)) > 0

  np.testing.assert_array_equal(seen("zeros"), np.tri(6, 6, 1, dtype=bool))
  assert seen("last")[:, -2:].all()


def test_bfloat16_stays_close():
  x = jax.random.normal(jax.random.key(0), (2, 16, 4, 4, 32), jnp.bfloat16)

  @jax.jit
  def run(x):
    variables = jax.tree.map(lambda p: p.astype(jnp.bfloat16), PEM().init(jax.random.key(1), x, False))
    wide = jax.tree.map(lambda p: p.astype("float32"), variables)
    return PEM().apply(variables, x, False), PEM().apply(wide, x.astype("float32"), False)

  y, exact = run(x)
  assert y.dtype == jnp.bfloat16
  np.testing.assert_allclose(y.astype("float32"), exact, rtol=0.01, atol=1e-6)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"reduction": 32}, r"PEM\(reduction=32\) at the top on 1x2x1x1x16: 16 channels leave 0; .* from 1 to 16"),
    ({"gamma": "matrix"}, r"PEM\(gamma='matrix'\) at the top: must be one of scalar, vector"),
    ({"memory": "d_1"}, r"PEM\(memory='d_1'\) at the top: must be one of last, first, zeros"),
  ],
)
def test_what_does_not_fit_is_named(options, message):
  with pytest.raises(ConfigError, match=message):
    PEM(**options).init(jax.random.key(0), jnp.zeros((1, 2, 1, 1, 16)), False)


def test_images_are_refused():
  with pytest.raises(InputError, match=r"PEM at the top takes clips .* got the shape \(2, 4, 4, 16\)"):
    PEM().init(jax.random.key(0), jnp.zeros((2, 4, 4, 16)), False)
