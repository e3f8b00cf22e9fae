import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.errors import ConfigError
from vidjax.ops.temporal_shift import temporal_shift
from vidjax.plugins.tsm import TSM


@pytest.mark.parametrize(("fold_div", "bidirectional"), [(8, True), (4, True), (8, False)])
def test_shifts_its_share_of_the_channels_without_a_parameter(fold_div, bidirectional):
  clip = jnp.arange(2.0 * 3 * 2 * 2 * 16).reshape(2, 3, 2, 2, 16)
  shifted, variables = TSM(fold_div, bidirectional).init_with_output({}, clip)
  assert not variables
  np.testing.assert_array_equal(shifted, temporal_shift(clip, 16 // fold_div, bidirectional))


@pytest.mark.parametrize(("fold_div", "channels"), [(8, 7), (1, 16), (64, 32)])
def test_too_few_channels_name_the_module_and_the_range(fold_div, channels):
  with pytest.raises(ConfigError, match=rf"TSM\(fold_div={fold_div}\).*choose fold_div from 2 to {channels}"):
    TSM(fold_div).init({}, jnp.zeros((1, 2, 1, 1, channels)))
