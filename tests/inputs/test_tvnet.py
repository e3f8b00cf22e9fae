"""TVNet: TV-L1 when untrained, closer to the true motion when trained."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.ops.test_tvl1 import moved, texture
from vidjax.errors import ConfigError, InputError
from vidjax.inputs.flow import Flow
from vidjax.inputs.tvnet import TVNet

SETTINGS = {"std": (1.0,), "levels": 1, "warps": 1, "iterations": 8}


def clip(u: float, v: float) -> np.ndarray:
  first = texture(20, 22)
  return np.stack([first, moved(first, u, v)])[None, ..., None] / 255


def test_untrained_it_is_tv_l1():
  frames = clip(0.8, -0.3)
  for initial, shape in (("field", (20, 22, 2)), ("uniform", (2,))):
    flow, variables = TVNet(2, initial=initial, **SETTINGS).init_with_output(jax.random.key(0), frames, False)
    np.testing.assert_allclose(flow, Flow(2, **SETTINGS).apply({}, frames, False), atol=1e-6)
    shapes = {name: value.shape for name, value in variables["params"].items()}
    assert shapes == {"image": (2, 3), "forward": (2, 2), "backward": (2, 2), "initial": shape}


@pytest.mark.parametrize("initial", ["field", "uniform"])
def test_training_brings_the_flow_nearer(initial):
  """A motion too large for one level and few iterations is learnt from the true flow."""
  frames, truth = clip(2.5, -1), np.array([2.5, -1], np.float32) / 20
  module = TVNet(2, initial=initial, **SETTINGS)
  params = module.init(jax.random.key(0), frames, False)["params"]

  @jax.jit
  def update(params):
    def loss(params):
      flow = module.apply({"params": params}, frames, True)
      return jnp.mean(jnp.abs(20 * (flow - truth.reshape(1, 1, 1, 1, 2))))

    value, gradients = jax.value_and_grad(loss)(params)
    rates = {"initial": 400.0 if initial == "field" else 1.0}
    return {name: p - rates.get(name, 1e-3) * gradients[name] for name, p in params.items()}, value

  losses = []
  for _ in range(30):
    params, value = update(params)
    losses.append(float(value))
  assert losses[-1] < 0.5 * losses[0]
  assert np.isfinite(losses).all()
  for name, start in (("forward", (-1, 1)), ("image", (-0.5, 0, 0.5))):
    assert np.abs(params[name] - np.array([start], np.float32)).max() > 1e-4


def test_clips_at_rest_and_constant_ones_leave_finite_gradients():
  module = TVNet(2, **SETTINGS)
  params = module.init(jax.random.key(0), clip(0, 0), False)["params"]
  gradient = jax.jit(jax.grad(lambda params, frames: jnp.sum(module.apply({"params": params}, frames, True))))
  for frames in (clip(0, 0), np.zeros_like(clip(0, 0))):
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient(params, frames)))


def test_what_does_not_fit_is_named():
  with pytest.raises(ConfigError, match=r"TVNet\(initial='zero'\) at the top"):
    TVNet(2, initial="zero", **SETTINGS).init(jax.random.key(0), clip(0, 0), False)
  with pytest.raises(InputError, match=r"TVNet\(frames=6\) at the top: 2 frames do not make"):
    TVNet(**SETTINGS).init(jax.random.key(0), clip(0, 0), False)
  variables = TVNet(2, **SETTINGS).init(jax.random.key(0), clip(0, 0), False)
  with pytest.raises(InputError, match=r"20 x 18 pixels do not fit the trained initial flow \(20, 22, 2\)"):
    TVNet(2, **SETTINGS).apply(variables, clip(0, 0)[:, :, :, :18], False)
