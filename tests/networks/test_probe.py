import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.errors import ConfigError
from vidjax.networks.attentive import AttentivePooler
from vidjax.networks.pooling import NetVLAD
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


def test_an_attentive_probe_classifies_what_the_pooler_gathers_in_any_order():
  features = jax.random.normal(jax.random.key(1), (2, 5, 8))
  probe, pooler = Probe(3, pooling=AttentivePooler(2)), AttentivePooler(2)
  params = probe.init(jax.random.key(0), features, False)["params"]
  assert set(params) == {"pooling", "classifier"}
  output = probe.apply({"params": params}, features, False)
  expected = pooler.apply({"params": params["pooling"]}, features[:, :, None, None], False)
  np.testing.assert_array_equal(output.features, expected)
  np.testing.assert_allclose(output.logits, expected @ params["classifier"]["kernel"], atol=1e-6)
  turned = probe.apply({"params": params}, features[:, ::-1], False).features
  np.testing.assert_allclose(turned, expected, atol=1e-6)
  assert np.abs(expected - features.mean(1)).max() > 0.1


@pytest.mark.parametrize("made", [Probe(3, normalise=True), NetVLAD(3, 2, normalise=True)])
def test_running_statistics_follow_within_a_short_training(made):
  """A probe of a few hundred videos has a few hundred steps: .99 a step would leave a part of the start."""
  features = 0.01 * jax.random.normal(jax.random.key(1), (64, 4, 8))
  variables = made.init(jax.random.key(0), features, False)
  step = jax.jit(lambda v: {**v, **made.apply(v, features, True, mutable="batch_stats")[1]})
  for _ in range(150):
    variables = step(variables)
  trained, _ = made.apply(variables, features, True, mutable="batch_stats")
  np.testing.assert_allclose(made.apply(variables, features, False).logits, trained.logits, atol=0.02)
