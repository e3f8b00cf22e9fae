"""Fine-tuning: the rows of a classifier follow their class names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import quickstart
from vidjax.build import build
from vidjax.errors import InputError
from vidjax.run.class_rows import class_axes, match_classes

SHAPE = (2, 8, 8, 3)
AXES = {"params/classifier/kernel": 1, "params/classifier/bias": 0}


def network(classes: int):
  config = quickstart.get_config().model.to_dict()
  config["backbone"]["widths"] = (8, 8, 8, 8)
  return build(config, num_classes=classes)


def test_the_arrays_that_depend_on_the_classes_are_found():
  assert class_axes(network, SHAPE, 3) == AXES


def test_scores_follow_the_names():
  there, here = ["run", "swim", "walk"], ["walk", "run"]
  source = network(3).init(jax.random.key(0), jnp.zeros((1, *SHAPE)), False)
  source["params"]["classifier"]["bias"] = jnp.arange(3.0)
  matched, words = match_classes(source, AXES, there, here)
  assert words == "2 of 3 classes are taken over by their names"
  clips = jax.random.normal(jax.random.key(1), (2, *SHAPE))
  before = network(3).apply(source, clips, False).logits
  after = network(2).apply(matched, clips, False).logits
  np.testing.assert_allclose(after, np.asarray(before)[:, [2, 0]], atol=1e-6)


def test_unknown_classes_are_refused_unless_the_head_is_new():
  source = {"params": {"classifier": {"kernel": np.zeros((4, 2)), "bias": np.zeros(2)}}}
  with pytest.raises(InputError, match=r"does not know 1 of these 2 \('swim'\); .*init.new=\"\('classifier',\)\""):
    match_classes(source, AXES, ["run", "walk"], ["run", "swim"])
  matched, words = match_classes(source, AXES, ["run", "walk"], ["run", "swim"], ["classifier"])
  assert (matched, words) == (source, "")
  assert match_classes(source, AXES, ["run", "walk"], ["run", "walk"]) == (source, "")
