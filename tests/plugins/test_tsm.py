import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.errors import ConfigError, InputError
from vidjax.ops.temporal_shift import temporal_shift
from vidjax.plugins.tsm import TSM


@pytest.mark.parametrize(("fold_div", "bidirectional"), [(8, True), (4, True), (8, False)])
def test_shifts_its_share_of_the_channels_without_a_parameter(fold_div, bidirectional):
  clip = jnp.arange(2.0 * 3 * 2 * 2 * 16).reshape(2, 3, 2, 2, 16)
  shifted, variables = TSM(fold_div, bidirectional).init_with_output({}, clip)
  assert not variables
  np.testing.assert_array_equal(shifted, temporal_shift(clip, 16 // fold_div, bidirectional))


@pytest.mark.parametrize(
  ("fold_div", "channels", "remedy"),
  [(8, 7, "choose a fold_div from 2 to 7"), (1, 16, "an int of at least 2"), (64, 32, "a fold_div from 2 to 32")],
)
def test_too_few_channels_name_the_module_and_the_range(fold_div, channels, remedy):
  with pytest.raises(ConfigError, match=rf"TSM\(fold_div={fold_div}\) at the top.*{remedy}"):
    TSM(fold_div).init({}, jnp.zeros((1, 2, 1, 1, channels)))


def test_one_channel_has_no_remedy_but_more():
  with pytest.raises(ConfigError, match=r"TSM\(fold_div=8\).*: 1 channels leave 0; it takes 2 or more"):
    TSM().init({}, jnp.zeros((1, 2, 1, 1, 1)))


def batch_norm(x, golden, name):
  mean, var, scale, bias = (golden[f"w/{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
  return (x - mean) / np.sqrt(var + 1e-5) * scale + bias


@pytest.mark.parametrize(("key", "bidirectional"), [("offline_bidirectional", True), ("online_unidirectional", False)])
def test_golden_on_a_mobilenet_block(shared_golden, key, bidirectional):
  """The released block: shift, 1x1, 3x3 depthwise and 1x1 convolution, each with BN, beside the identity."""
  golden = np.load(shared_golden / "mbv2_tsm_block.npz")
  x, expected = (np.moveaxis(golden[name], 1, -1)[None] for name in ("x", f"y_{key}"))
  expand, depthwise, project = (np.squeeze(golden[f"w/conv.{i}.weight"]) for i in (0, 3, 6))
  y = np.asarray(TSM(bidirectional=bidirectional).apply({}, jnp.asarray(x)))
  y = np.clip(batch_norm(y @ expand.T, golden, "conv.1"), 0, 6)
  padded = np.pad(y, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)))
  y = sum(padded[:, :, i : i + 6, j : j + 6] * depthwise[:, i, j] for i in range(3) for j in range(3))
  y = np.clip(batch_norm(y, golden, "conv.4"), 0, 6)
  y = x + batch_norm(y @ project.T, golden, "conv.7")
  np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_images_are_refused():
  with pytest.raises(InputError, match=r"TSM at the top takes clips .* got the shape \(2, 4, 4, 16\)"):
    TSM().init({}, jnp.zeros((2, 4, 4, 16)))
