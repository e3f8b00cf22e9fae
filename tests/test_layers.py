import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from vidjax.backbones.resnet import MiniResNet, ResNet
from vidjax.layers import BatchNorm

CLIP = jax.random.normal(jax.random.key(1), (2, 3, 4, 4, 5)) * 2 + 1


def test_numpy_arrays_and_parameters_in_float32():
  with jax.enable_x64(True):
    norm, clip = BatchNorm(), np.asarray(CLIP)
    y, variables = norm.init_with_output(jax.random.key(0), clip, True)
    assert {leaf.dtype for leaf in (y, *jax.tree.leaves(variables))} == {jnp.dtype("float32")}
    np.testing.assert_allclose(norm.apply(variables, clip, True, mutable=["batch_stats"])[0], y, atol=1e-6)


def test_against_numpy():
  """Biased batch moments over every axis but the last; running ones keep 0.9 of the old."""
  norm = BatchNorm()
  variables = norm.init(jax.random.key(0), CLIP, False)
  y, changed = norm.apply(variables, CLIP, True, mutable=["batch_stats"])
  x = np.asarray(CLIP, "float64").reshape(-1, 5)
  np.testing.assert_allclose(y.reshape(-1, 5), (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5), atol=1e-5)
  np.testing.assert_allclose(changed["batch_stats"]["mean"], 0.1 * x.mean(0), atol=1e-6)
  np.testing.assert_allclose(changed["batch_stats"]["var"], 0.9 + 0.1 * x.var(0), atol=1e-6)
  y = norm.apply(variables, CLIP, False)
  np.testing.assert_allclose(y.reshape(-1, 5), x / np.sqrt(1 + 1e-5), atol=1e-5)


@pytest.mark.parametrize(
  ("backbone", "frozen_bn", "live"),
  [
    (MiniResNet(widths=(4, 4, 4, 4)), "none", {"stem", "res2", "res3", "res4"}),
    (MiniResNet(widths=(4, 4, 4, 4)), "all_but_first", {"stem"}),
    (MiniResNet(widths=(4, 4, 4, 4)), "all", set()),
    (ResNet(18, width=4), "all_but_first", {"stem"}),
  ],
)
def test_frozen_layers_get_no_gradient_and_keep_their_statistics(backbone, frozen_bn, live):
  network = backbone.clone(frozen_bn=frozen_bn)
  clip = jax.random.normal(jax.random.key(1), (2, 2, 32, 32, 3))
  shapes = jax.eval_shape(functools.partial(network.init, train=False), jax.random.key(0), clip)
  rng = np.random.default_rng(0)
  variables = jax.tree.map(lambda leaf: jnp.asarray(rng.uniform(-0.3, 1, leaf.shape), leaf.dtype), shapes)
  variables["batch_stats"] = jax.tree.map(lambda leaf: 1 + leaf, variables["batch_stats"])

  @jax.jit
  @functools.partial(jax.grad, has_aux=True)
  def gradients(params):
    y, changed = network.apply({**variables, "params": params}, clip, True, mutable=["batch_stats"])
    return jnp.sum(y * jnp.cos(jnp.arange(y.size).reshape(y.shape))), changed["batch_stats"]

  of_params, stats = gradients(variables["params"])
  for path, gradient in flatten_dict(of_params).items():
    is_bn = path[-1] in ("scale", "bias")
    assert bool(np.abs(gradient).max() > 0) == (not is_bn or path[0] in live), path
  for path, value in flatten_dict(stats).items():
    assert np.array_equal(value, flatten_dict(variables["batch_stats"])[path]) == (path[0] not in live), path
