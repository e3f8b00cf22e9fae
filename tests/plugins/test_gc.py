import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.errors import ConfigError, InputError
from vidjax.plugins.gc import GC


def moved(variables):
  """Off the initial zeros, each element by another amount."""
  return jax.tree.map(lambda p: p + 0.3 * jnp.sin(jnp.arange(1.0, p.size + 1)).reshape(p.shape), variables)


@pytest.mark.parametrize("frames", [1, 3])
def test_the_equation(frames):
  """x + W_2 ReLU(LN(W_1 sum_j softmax(W_k x)_j x_j)) in float64."""
  clip = jax.random.normal(jax.random.key(0), (2, frames, 4, 3, 16))
  module = GC(reduction=4)

  @jax.jit
  def run(clip):
    variables = moved(module.init(jax.random.key(1), clip, False))
    return variables["params"], module.apply(variables, clip, False, mutable=["intermediates"])

  params, (y, sown) = run(clip)
  w = jax.tree.map(lambda p: np.asarray(p, "float64"), params)
  x = np.asarray(clip, "float64")
  score = np.exp(x @ w["score"]["kernel"])
  attention = score / score.sum((1, 2, 3), keepdims=True)
  z = (attention * x).sum((1, 2, 3)) @ w["reduce"]["kernel"] + w["reduce"]["bias"]
  z = (z - z.mean(-1, keepdims=True)) / np.sqrt(z.var(-1, keepdims=True) + 1e-5)
  z = np.maximum(z * w["ln"]["scale"] + w["ln"]["bias"], 0) @ w["expand"]["kernel"] + w["expand"]["bias"]
  np.testing.assert_allclose(y, x + z[:, None, None, None], rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(sown["intermediates"]["attention"][0], attention[..., 0], rtol=1e-4)


def test_starts_as_the_identity():
  clip = jax.random.normal(jax.random.key(0), (2, 2, 3, 3, 32))
  y, variables = jax.jit(lambda x: GC().init_with_output(jax.random.key(1), x, False))(clip)
  np.testing.assert_array_equal(y, clip)
  assert np.abs(variables["params"]["reduce"]["kernel"]).min() > 0


def test_large_scores_stay_finite_in_bfloat16():
  clip = 100 * jax.random.normal(jax.random.key(0), (1, 2, 4, 4, 32), jnp.bfloat16)

  @jax.jit
  def run(clip):
    variables = jax.tree.map(lambda p: p.astype(jnp.bfloat16), moved(GC().init(jax.random.key(1), clip, False)))
    y, pull = jax.vjp(lambda v, x: GC().apply(v, x, True), variables, clip)
    return y, pull(jnp.ones_like(y))

  y, gradients = run(clip)
  assert y.dtype == jnp.bfloat16
  assert all(np.isfinite(leaf.astype("float32")).all() for leaf in jax.tree.leaves((y, gradients)))


@pytest.mark.parametrize(("reduction", "left"), [(16, 1), (32, 0)])
def test_one_channel_inside_is_too_few(reduction, left):
  """LayerNorm would turn it into zero."""
  message = rf"GC\(reduction={reduction}\) at the top on 1x2x1x1x16: 16 channels leave {left}; .* from 1 to 8"
  with pytest.raises(ConfigError, match=message):
    GC(reduction).init(jax.random.key(0), jnp.zeros((1, 2, 1, 1, 16)), False)


def test_images_are_refused():
  with pytest.raises(InputError, match=r"GC at the top takes clips .* got the shape \(2, 4, 4, 32\)"):
    GC().init(jax.random.key(0), jnp.zeros((2, 4, 4, 32)), False)
