import jax
import jax.numpy as jnp
import pytest

from vidjax.errors import ConfigError
from vidjax.networks.probe import Probe


@pytest.mark.parametrize(
  ("probe", "message"),
  [
    (Probe(3, hidden=0), "hidden=0.* must be an int of at least 1 or None"),
    (Probe(0), "num_classes=0.* must be an int of at least 1; leave it out"),
    (Probe(3, dropout=1.0), "dropout=1.0.* must be a number from 0 to below 1"),
  ],
)
def test_what_no_probe_can_be_is_refused(probe, message):
  with pytest.raises(ConfigError, match=message):
    probe.init(jax.random.key(0), jnp.ones((2, 3, 4)), False)
