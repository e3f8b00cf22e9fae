import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.errors import InputError
from vidjax.plugins.ltdm import LTDM, nearest

LAYERS = {
  **{name: name for name in ("conv1", "bn1", "conv2", "conv3", "bn3")},
  **{f"{kind}_half": f"{kind}3_smallscale2" for kind in ("conv", "bn")},
  **{f"{kind}_full": f"{kind}3_smallscale4" for kind in ("conv", "bn")},
}


def clips(x):
  """[2*8, C, H, W] to [2, 8, H, W, C]."""
  return jnp.moveaxis(jnp.asarray(x).reshape(2, 8, *x.shape[1:]), 2, -1)


@pytest.mark.parametrize(("train", "wanted"), [(False, "y_eval"), (True, "y_train_batchstats")])
def test_golden_released_module(shared_golden, train, wanted):
  golden = np.load(shared_golden / "tdn_ltdm.npz")
  params, stats = {}, {}
  for ours, theirs in LAYERS.items():
    if ours.startswith("conv"):
      params[ours] = {"kernel": golden[f"w/{theirs}.weight"].transpose(2, 3, 1, 0)}
    else:
      params[ours] = {"scale": golden[f"w/{theirs}.weight"], "bias": golden[f"w/{theirs}.bias"]}
      stats[ours] = {"mean": golden[f"w/{theirs}.running_mean"], "var": golden[f"w/{theirs}.running_var"]}
  variables = {"params": params, "batch_stats": stats}
  run = jax.jit(lambda x: LTDM().apply(variables, x, train, mutable=["batch_stats"])[0])
  np.testing.assert_allclose(run(clips(golden["x"])), clips(golden[wanted]), rtol=1e-4, atol=1e-4)


def test_a_clip_that_does_not_change_is_scaled_alike_throughout():
  """But for the ends, which lack a neighbour: with a smoothing that is the identity, no difference is left at all."""
  clip = jnp.broadcast_to(jax.random.normal(jax.random.key(0), (1, 1, 4, 4, 16)), (1, 4, 4, 4, 16))
  module = LTDM(4)

  @jax.jit
  def run(clip):
    variables = module.init(jax.random.key(1), clip, False)
    identity = jnp.zeros_like(variables["params"]["conv2"]["kernel"]).at[1, 1].set(1)
    params = {**variables["params"], "conv2": {"kernel": identity}}
    return module.apply({**variables, "params": params}, clip, False)

  np.testing.assert_allclose(run(clip), clip, atol=1e-6)
  moved = clip.at[0, 3].add(1)
  changed = np.abs(run(moved) - moved).max((0, 2, 3, 4))
  assert (changed[:2] < 1e-6).all()
  assert (changed[2:] > 1e-3).all()


def test_nearest_is_pytorchs():
  x = jnp.arange(3.0)[:, None, None] * jnp.ones((1, 2, 1))
  np.testing.assert_array_equal(nearest(x, 7, 4)[:, 0, 0], [0, 0, 0, 1, 1, 2, 2])
  np.testing.assert_array_equal(nearest(x, 6, 2)[:, 1, 0], [0, 0, 1, 1, 2, 2])
  assert nearest(x, 2, 1).shape == (2, 1, 1)


def test_bad_input():
  with pytest.raises(InputError, match=r"LTDM.*takes clips"):
    LTDM().init(jax.random.key(0), jnp.zeros((2, 4, 4, 16)), False)
  with pytest.raises(InputError, match=r"LTDM\(reduction=16\).*8 channels leave 0; choose a reduction from 1 to 8"):
    LTDM().init(jax.random.key(0), jnp.zeros((2, 3, 4, 4, 8)), False)


def test_the_factors_are_sown():
  x = jax.random.normal(jax.random.key(0), (2, 3, 4, 4, 16))
  variables = jax.tree.map(lambda w: w + 0.3, LTDM(4).init(jax.random.key(1), x, False))
  y, sown = LTDM(4).apply(variables, x, False, mutable=["intermediates"])
  (factors,) = sown["intermediates"]["excitation"]
  assert np.abs(np.asarray(factors) - 1).max() > 0.01
  np.testing.assert_allclose(y, x * factors, rtol=1e-5, atol=1e-6)
