import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.errors import ConfigError
from vidjax.plugins.cbam import CBAM


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def by_hand(x, variables, k, train):
  """Eq. 1-3 in float64 on frames `[N,H,W,C]`, with the released BN; the convolution tap by tap."""
  variables = jax.tree.map(lambda p: np.asarray(p, "float64"), variables)
  w, stats = variables["params"], variables["batch_stats"]["bn"]

  def mlp(s):
    return np.maximum(s @ w["reduce"]["kernel"] + w["reduce"]["bias"], 0) @ w["expand"]["kernel"] + w["expand"]["bias"]

  y = x * sigmoid(mlp(x.mean((1, 2))) + mlp(x.max((1, 2))))[:, None, None]
  seen = np.pad(np.stack([y.max(-1), y.mean(-1)], -1), ((0, 0), (k // 2, k // 2), (k // 2, k // 2), (0, 0)))
  height, width = x.shape[1:3]
  taps = [seen[:, i : i + height, j : j + width] @ w["conv"]["kernel"][i, j] for i in range(k) for j in range(k)]
  z = sum(taps)
  mean, var = (z.mean(), z.var()) if train else (stats["mean"], stats["var"])
  z = (z - mean) / np.sqrt(var + 1e-5) * w["bn"]["scale"] + w["bn"]["bias"]
  return y * sigmoid(z), sigmoid(z)[..., 0]


@pytest.mark.parametrize(("kernel", "train"), [(7, False), (3, True)])
def test_the_equations(kernel, train):
  clip = jax.random.normal(jax.random.key(0), (2, 3, 6, 5, 16))
  module = CBAM(reduction=4, kernel=kernel)

  @jax.jit
  def run(clip):
    variables = jax.tree.map(lambda p: p + 0.1, module.init(jax.random.key(1), clip, False))
    return variables, module.apply(variables, clip, train, mutable=["batch_stats", "intermediates"])

  variables, (y, changed) = run(clip)
  expected, attention = by_hand(np.asarray(clip, "float64").reshape(6, 6, 5, 16), variables, kernel, train)
  np.testing.assert_allclose(y, expected.reshape(clip.shape), rtol=1e-4, atol=1e-5)
  assert changed["intermediates"]["excitation"][0].shape == (2, 3, 16)
  np.testing.assert_allclose(
    changed["intermediates"]["attention"][0], attention.reshape(clip.shape[:-1]), rtol=1e-4, atol=1e-5
  )


def test_each_frame_is_an_image():
  clip = jax.random.normal(jax.random.key(0), (2, 3, 6, 5, 32))
  variables = jax.jit(lambda x: CBAM().init(jax.random.key(1), x, False))(clip)
  run = jax.jit(lambda x: CBAM().apply(variables, x, False))
  np.testing.assert_allclose(run(clip[:, 1]), run(clip)[:, 1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    (
      {"reduction": 32},
      r"CBAM\(reduction=32\) at the top on 1x2x4x4x16: 16 channels leave 0; choose a reduction from 1 to 16",
    ),
    ({"reduction": 4, "kernel": 4}, r"CBAM\(kernel=4\) at the top: must be an odd int of at least 1"),
  ],
)
def test_what_does_not_fit_is_named(options, message):
  with pytest.raises(ConfigError, match=message):
    CBAM(**options).init(jax.random.key(0), jnp.zeros((1, 2, 4, 4, 16)), False)
