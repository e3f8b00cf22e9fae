import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.errors import ConfigError, InputError
from vidjax.plugins.temporal_diversity import TDLoss


def sown(module, x, train=True):
  y, changed = module.apply({}, x, train, mutable=["aux"])
  np.testing.assert_array_equal(y, x)
  return changed.get("aux", {})


@pytest.mark.parametrize(("share", "key"), [(0.5, "td_loss_per_sample"), (1, "td_loss_per_sample_all_channels")])
def test_golden(shared_golden, share, key):
  golden = np.load(shared_golden / "tdrl_equations.npz")
  (loss,) = sown(TDLoss(share), np.moveaxis(golden["Z"], 2, -1))["temporal_diversity"]
  np.testing.assert_allclose(loss, golden[key], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("share", "channels"), [(0, 0), (0.01, 1), (0.25, 2), (0.5, 4), (0.75, 7), (1, 9)])
def test_the_first_channels_count(share, channels):
  """Frames that are all the same have similarity 1 in each channel."""
  (loss,) = sown(TDLoss(share), jnp.ones((3, 2, 2, 2, 9)))["temporal_diversity"]
  np.testing.assert_allclose(loss, [channels] * 3, rtol=1e-6)


@pytest.mark.parametrize("frames", [1, 2])
def test_nothing_is_sown_outside_training(frames):
  assert not sown(TDLoss(), jnp.ones((1, frames, 2, 2, 4)), train=False)
  assert not TDLoss().init(jax.random.key(0), jnp.ones((1, frames, 2, 2, 4)), True)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share):
  with pytest.raises(ConfigError, match=r"TDLoss\(share=.*\) at the top: must be a number from 0 to 1"):
    TDLoss(share).init(jax.random.key(0), jnp.zeros((1, 2, 1, 1, 4)), False)


def test_clips_of_one_frame_and_images_are_refused():
  with pytest.raises(InputError, match=r"TDLoss at the top on 2x1x3x3x4 compares frames.*: sample more frames"):
    sown(TDLoss(), jnp.ones((2, 1, 3, 3, 4)))
  with pytest.raises(InputError, match=r"TDLoss at the top takes clips .* got the shape \(2, 4, 4, 16\)"):
    sown(TDLoss(), jnp.zeros((2, 4, 4, 16)))
