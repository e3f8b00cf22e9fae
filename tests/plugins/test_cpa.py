import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.errors import InputError
from vidjax.plugins.cpa import CPA

CLIP = jax.random.normal(jax.random.key(1), (2, 3, 4, 5, 6))
KERNELS = ((1, 1, 1), (3, 1, 3), (1, 3, 5))


def convolved(x, kernel):
  """Zero-padded convolution of `[B,T,H,W]`, tap by tap."""
  padded = np.pad(x, ((0, 0), *((size // 2, size // 2) for size in kernel.shape)))
  taps = np.ndindex(*kernel.shape)
  _, frames, height, width = x.shape
  return sum(kernel[t, i, j] * padded[:, t : t + frames, i : i + height, j : j + width] for t, i, j in taps)


@pytest.mark.parametrize("literal", [False, True])
def test_the_equations(literal):
  module = CPA(KERNELS, literal)
  rng = np.random.default_rng(0)
  kernels = [rng.normal(size=(*kernel, 1, 1)).astype(np.float32) for kernel in KERNELS]
  names = ("conv1x1x1", "conv3x1x3", "conv1x3x5")
  variables = {"params": {name: {"kernel": kernel} for name, kernel in zip(names, kernels, strict=True)}}
  x = np.asarray(CLIP, np.float64)
  scores = sum(convolved(x.mean(-1), kernel[..., 0, 0].astype(np.float64)) for kernel in kernels)
  weights = np.exp(scores) / np.exp(scores).sum((1, 2, 3), keepdims=True) * (1 if literal else 60)
  output, sown = jax.jit(lambda clip: module.apply(variables, clip, False, mutable=["intermediates"]))(CLIP)
  np.testing.assert_allclose(output, x * weights[..., None], atol=1e-4)
  np.testing.assert_allclose(sown["intermediates"]["attention"][0], weights, atol=1e-4)


def test_starts_as_the_identity_and_moves():
  module = CPA()

  def run(key, clip):
    variables = module.init(key, clip, False)
    output, pullback = jax.vjp(lambda variables: module.apply(variables, clip, False), variables)
    return variables, output, pullback(jnp.sin(clip))[0]

  variables, output, gradient = jax.jit(run)(jax.random.key(0), CLIP)
  np.testing.assert_allclose(output, CLIP, rtol=1e-5)
  sizes = {name: leaf["kernel"].size for name, leaf in variables["params"].items()}
  assert sizes == {"conv1x1x1": 1, "conv3x3x3": 27, "conv3x7x7": 147, "conv3x9x9": 243}
  assert all(np.abs(leaf["kernel"]).max() > 0 for leaf in gradient["params"].values())


@pytest.mark.parametrize(
  ("kernels", "shape", "message"),
  [
    ((), (1, 2, 2, 2, 4), r"CPA\(kernels=\(\)\).*must be different kernels of three odd sizes"),
    (((1, 2, 1),), (1, 2, 2, 2, 4), "must be different kernels of three odd sizes"),
    (((1, 3),), (1, 2, 2, 2, 4), "must be different kernels of three odd sizes"),
    (((1, 1, 1), (1, 1, 1)), (1, 2, 2, 2, 4), "must be different kernels of three odd sizes"),
    (((1, 1, 1),), (2, 2, 2, 4), "CPA.*takes clips"),
  ],
)
def test_bad_input(kernels, shape, message):
  with pytest.raises(InputError, match=message):
    CPA(kernels).init(jax.random.key(0), jnp.zeros(shape), False)
