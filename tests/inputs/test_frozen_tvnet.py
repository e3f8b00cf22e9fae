"""The thesis's TVNet baseline: equal to the released code's, and never trained."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.inputs.frozen_tvnet import FrozenTVNet

GOLDEN = pathlib.Path(__file__).with_suffix("").with_name("frozen_tvnet.npz")
"""The released code's flow with changed kernels, corners aligned where it samples: a flow of zero warps nothing."""


def test_the_released_flow():
  golden = np.load(GOLDEN)
  taps = {name: golden[name] for name in ("image", "forward", "backward")} | {"loss": np.zeros((2, 2), np.float32)}
  clip = np.stack([golden["first"], golden["second"]], axis=1)[..., None].repeat(3, -1)
  flow = FrozenTVNet(2).apply({"batch_stats": taps}, jnp.asarray(clip), False)
  np.testing.assert_allclose(flow[:, 0], golden["flow"], atol=1e-6)
  assert np.abs(golden["flow"]).max() > 0.05


def test_it_has_170_numbers_and_trains_none():
  clip = jax.random.normal(jax.random.key(0), (1, 12, 16, 16, 3))
  module = FrozenTVNet()
  variables = module.init(jax.random.key(0), clip, False)
  assert sum(x.size for x in jax.tree.leaves(variables)) == 170
  assert module.apply(variables, clip, False).shape == (1, 2, 16, 16, 10)
  assert set(variables) == {"batch_stats"}
  _, changed = module.apply(variables, clip, True, mutable="batch_stats")
  jax.tree.map(np.testing.assert_array_equal, changed, variables)
