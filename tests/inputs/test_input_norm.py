"""The scale of inputs before a ViT."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import inputs, mix
from vidjax.inputs.input_norm import InputNorm
from vidjax.recipe import make_recipe

CLIPS = np.random.default_rng(0).normal(3.0, [0.004, 1.0, 40.0], (2, 4, 5, 6, 3)).astype("float32")


def test_each_channel_has_mean_0_and_variance_1():
  module = InputNorm()
  variables = module.init(jax.random.key(0), CLIPS, False)
  assert set(variables) == {"batch_stats"}
  y, changed = module.apply(variables, CLIPS, True, mutable="batch_stats")
  mean, variance = CLIPS.mean((0, 1, 2, 3)), CLIPS.var((0, 1, 2, 3))
  np.testing.assert_allclose(y, (CLIPS - mean) / np.sqrt(variance + 1e-8), atol=1e-3)
  np.testing.assert_allclose(changed["batch_stats"]["bn"]["mean"], 0.1 * mean, rtol=1e-5)
  for _ in range(200):
    changed = module.apply(changed, CLIPS, True, mutable="batch_stats")[1]
  np.testing.assert_allclose(module.apply(changed, CLIPS, False), y, atol=2e-3)


@pytest.mark.parametrize("name", inputs.INPUTS)
def test_all_inputs_reach_a_vit_at_one_scale(name):
  """Without it, MBPM's tokens are 60 times as large as the positions."""
  config = mix.get_config(f"{name},backbone=vit")
  recipe = make_recipe(config.to_dict(), [str(i) for i in range(8)])
  clip = jnp.asarray(np.random.default_rng(0).normal(size=recipe.clip_shape)[None], jnp.float32)
  if inputs.INPUTS[name] is None:
    assert recipe.network.representation is None
    return
  made, _ = jax.jit(lambda x: recipe.network.representation.init_with_output(jax.random.key(0), x, True))(clip)
  np.testing.assert_allclose(made.var((0, 1, 2, 3)), 1, atol=0.05)
