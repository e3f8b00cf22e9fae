import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.errors import ConfigError
from vidjax.losses.classification import CrossEntropy
from vidjax.types import Output

LOGITS = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0], [2.0, 2.0, 2.0]], "float32")


def loss(objective, logits=LOGITS, **batch):
  batch = {"label": np.array([0, 2, 1]), "mask": np.ones(len(logits), bool), **batch}
  output = Output(jnp.asarray(logits), jnp.zeros((len(logits), 1)))
  (value,) = objective(output, batch).values()
  return value


def log_softmax(x):
  return x - np.log(np.exp(x).sum(-1, keepdims=True))


def test_golden_label_smoothing(shared_golden):
  case = json.loads((shared_golden / "schedule_sampling_aug.json").read_text())["label_smoothing"]
  logits, label = np.array(case["logits"], "float32"), np.array(case["targets"])
  np.testing.assert_allclose(loss(CrossEntropy(case["epsilon"]), logits, label=label), case["loss_mean"], rtol=1e-6)
  np.testing.assert_allclose(loss(CrossEntropy(), logits, label=label), case["plain_ce"], rtol=1e-6)


def test_padding_counts_nowhere():
  """Neither in the loss nor in its gradient, whatever its scores."""
  mask = np.array([True, False, True])
  expected = -log_softmax(LOGITS)[[0, 2], [0, 1]].mean()
  np.testing.assert_allclose(loss(CrossEntropy(), mask=mask), expected, rtol=1e-6)
  gradient = jax.grad(lambda logits: loss(CrossEntropy(), logits, mask=mask))(jnp.asarray(LOGITS))
  np.testing.assert_array_equal(gradient[1], 0)
  assert np.abs(gradient[0]).max() > 0


def test_soft_targets_replace_the_label():
  target = np.array([[0.7, 0.3, 0], [0, 0.5, 0.5], [1, 0, 0]], "float32")
  expected = -(target * log_softmax(LOGITS)).sum(-1).mean()
  np.testing.assert_allclose(loss(CrossEntropy(), target=target), expected, rtol=1e-6)


def test_the_loss_is_float32_and_named():
  output = Output(jnp.asarray(LOGITS, jnp.bfloat16), jnp.zeros((3, 1)))
  losses = CrossEntropy(name="busy")(output, {"label": np.array([0, 2, 1]), "mask": np.ones(3, bool)})
  assert list(losses) == ["busy"]
  assert losses["busy"].dtype == jnp.float32


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_best_scores_are_the_targets(smoothing):
  """The gradient is zero where the softmax equals the smoothed target."""
  target = (1 - smoothing) * np.eye(3)[[0, 2, 1]] + smoothing / 3
  gradient = jax.grad(lambda x: loss(CrossEntropy(smoothing), x))(jnp.log(jnp.asarray(target) + 1e-12))
  np.testing.assert_allclose(gradient, 0, atol=1e-6)


def test_scores_of_other_classes_or_of_frames_are_named():
  batch = {"target": np.eye(3, dtype="float32"), "mask": np.ones(3, bool)}
  for shape in ((3, 2), (3, 8, 3)):
    with pytest.raises(ConfigError, match=r"reads scores .* for targets \(3, 3\): name scores of whole clips"):
      CrossEntropy()(Output(jnp.zeros(shape), jnp.zeros((3, 1))), batch)
