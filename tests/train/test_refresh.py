"""What changes the variables before every epoch, in any training."""

import types

import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.errors import InputError
from vidjax.train.start import refresh
from vidjax.types import State


def run_with(function):
  recipe = types.SimpleNamespace(settings=types.SimpleNamespace(refresh=function))
  return types.SimpleNamespace(recipe=recipe, config={"train": {"refresh": {"make": "mine.Refresh"}}})


def state(ema=True):
  params, stats = {"a": jnp.ones(2), "b": jnp.ones(3)}, {"f": jnp.zeros(2)}
  average = {"params": {"a": jnp.full(2, 5.0), "b": jnp.full(3, 5.0)}, "batch_stats": {"f": jnp.full(2, 5.0)}}
  return State(jnp.int32(4), params, stats, (), average if ema else None)


def test_averages_stay_but_for_what_is_changed():
  def change(run, variables, loader):
    assert loader == "loader"
    params = {**variables["params"], "b": np.full(3, 2)}
    return {"params": params, "batch_stats": {"f": variables["batch_stats"]["f"] + 7}}

  before = state()
  after = refresh(run_with(change), before, "loader")
  assert after.params["a"] is before.params["a"]
  np.testing.assert_array_equal(after.params["b"], np.full(3, 2.0, np.float32))
  assert after.params["b"].dtype == jnp.float32
  np.testing.assert_array_equal(after.batch_stats["f"], 7)
  np.testing.assert_array_equal(after.ema["params"]["a"], 5)
  np.testing.assert_array_equal(after.ema["params"]["b"], 2)
  np.testing.assert_array_equal(after.ema["batch_stats"]["f"], 7)
  assert after.ema["params"]["b"] is not after.params["b"]  # a train step donates either
  assert refresh(run_with(change), state(ema=False), "loader").ema is None
  assert refresh(run_with(None), before, "loader") is before


def test_other_arrays_are_refused():
  with pytest.raises(
    InputError, match=r"what train\.refresh=mine\.Refresh gives does not fit .* params/a: saved \(3,\)"
  ):
    refresh(run_with(lambda run, variables, loader: {**variables, "params": {"a": jnp.ones(3)}}), state(), None)
