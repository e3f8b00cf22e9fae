"""The losses of the deep temporal embedding against NumPy; the equations of DEC are in tests/ops/test_clusters.py."""

import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.errors import ConfigError, MissingOutput
from vidjax.losses.clustering import ClusterKL
from vidjax.losses.prediction import Prediction
from vidjax.types import Output

RNG = np.random.default_rng(0)
MASK = np.array([True, False, True])


def rows(*shape):
  x = RNG.uniform(0.1, 1, shape)
  return x / x.sum(-1, keepdims=True)


def test_kl_is_averaged_over_the_windows_of_clips_that_count():
  q, p = rows(3, 4, 5), rows(3, 4, 5)
  p[0, 0] = [0, 0, 1, 0, 0]
  with np.errstate(divide="ignore", invalid="ignore"):
    expected = np.nan_to_num(p * np.log(p / q)).sum(-1)[MASK].mean()
  output = Output(None, jnp.zeros((3, 1)), {"assignment": jnp.asarray(q), "target_distribution": jnp.asarray(p)})
  np.testing.assert_allclose(ClusterKL()(output, {"mask": MASK})["clustering"], expected, rtol=1e-5)
  table = np.zeros((9, 4, 5))
  table[[7, 2, 5]] = p
  output = output.replace(aux={**output.aux, "target_distribution": jnp.ones((3, 4, 5)), "table": jnp.asarray(table)})
  batch = {"mask": MASK, "index": np.array([7, 2, 5])}
  np.testing.assert_allclose(ClusterKL()(output, batch)["clustering"], expected, rtol=1e-5)
  with pytest.raises(ConfigError, match=r"set task\.table=True"):
    ClusterKL()(output, {"mask": MASK})
  with pytest.raises(MissingOutput, match="target_distribution"):
    ClusterKL()(output.replace(aux={"assignment": jnp.asarray(q)}), batch)


@pytest.mark.parametrize("kind", ["bernoulli", "squared"])
def test_prediction_counts_the_steps_that_there_are(kind):
  logits, target = RNG.normal(size=(3, 2, 4, 6)), RNG.uniform(size=(3, 2, 4, 6))
  exists = RNG.uniform(size=(3, 2, 4)) < 0.7
  sigmoid = 1 / (1 + np.exp(-logits))
  if kind == "bernoulli":
    losses = -(target * np.log(sigmoid) + (1 - target) * np.log(1 - sigmoid)).mean(-1)
  else:
    losses = ((sigmoid - target) ** 2).mean(-1)
  aux = {"prediction_logits": logits, "prediction": sigmoid, "target": target, "exists": exists}
  output = Output(None, jnp.zeros((3, 1)), {name: jnp.asarray(x) for name, x in aux.items()})
  found = Prediction(kind)(output, {"mask": MASK})["prediction"]
  np.testing.assert_allclose(found, losses[MASK][exists[MASK]].mean(), rtol=1e-5)


def test_what_does_not_fit_is_named():
  with pytest.raises(ConfigError, match="kind='absolute'"):
    Prediction("absolute")
  with pytest.raises(MissingOutput, match="prediction_logits"):
    Prediction()(Output(None, jnp.zeros((1, 1)), {"target": jnp.zeros((1, 1, 1, 1))}), {"mask": np.ones(1, bool)})
