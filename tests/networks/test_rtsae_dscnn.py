"""RTSAE-DSCNN: the gate, the fusion and the held state against NumPy; the paper's table by counting."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.apply.sharding import batch_sharding, make_mesh, on_each_device
from vidjax.backbones.vgg import VGG
from vidjax.errors import ConfigError
from vidjax.inputs.one_frame import OneFrame
from vidjax.inputs.rgb_difference import RGBDifference
from vidjax.networks.rtsae_dscnn import RTSAEDSCNN, Fusion, GateTraining, Measured, choose

SMALL = Measured(stream=VGG(2, 6, depths=(1, 1, 1, 1, 1)), length=12)
STEPS = 4


def make(**fields) -> RTSAEDSCNN:
  return RTSAEDSCNN(
    5, **{"measured": SMALL, "depth": 1, "units": 6, "fused_features": 7, "top": 8, "sizes": (1, 0.5), **fields}
  )


@functools.cache
def case():
  clips = jax.random.normal(jax.random.key(0), (3, STEPS, 32, 32, 5))
  variables = jax.jit(lambda: make().init(jax.random.key(1), clips, False))()
  gate = variables["params"]["rtsae"]["encoder"]["attention"]["gate"]
  gate["kernel"], gate["bias"] = 40 * gate["kernel"], gate["bias"] - 20 * gate["kernel"].sum(0)  # some of each
  return clips, variables


def test_steps_that_are_not_chosen_change_nothing():
  clips, variables = case()
  network = make()
  output = jax.jit(lambda v, x: network.apply(v, x, False))(variables, clips)
  chosen = np.asarray(output.aux["chosen"])
  assert 0 < chosen.sum() < chosen.size
  np.testing.assert_array_equal(chosen, choose(output.aux["attention"]))
  maps, _, _ = network.apply(variables, clips, False, method="attend")
  for row in range(3):
    own = tuple(x[row : row + 1, chosen[row]] for x in maps)
    steps = network.apply(variables, own, False, method="represent")
    one = jnp.ones(steps.shape[:2], bool)
    alone = network.apply(variables, steps, one, jnp.ones(steps.shape[:2]), method="decide")
    np.testing.assert_allclose(output.logits[row], alone.logits[0], atol=1e-6)


def forced(network, clips, attention):
  """A prediction with this attention."""
  maps, _, _ = network.attend(clips, False)
  chosen = choose(attention)
  steps = network.represent_chosen(maps, chosen) if network.skip else network.represent(maps, False)
  return network.decide(steps, chosen, attention)


@functools.cache
def run_forced(skip: bool):
  return jax.jit(lambda *args: make(skip=skip, sizes=(1, 0.5, 0.25)).apply(*args, method=forced))


@pytest.mark.parametrize("kept", [1, 3, 4, 7, 12])
def test_skipping_gives_the_scores_of_the_dense_form(kept):
  """Three clips of four steps: sizes are 3, 6 and 12, and each clip keeps one step at least."""
  clips, variables = case()
  attention = np.zeros((3, STEPS), np.float32)
  attention.flat[np.random.default_rng(kept).permutation(12)[:kept]] = 0.9
  skipping, dense = (run_forced(skip)(variables, clips, attention) for skip in (True, False))
  np.testing.assert_allclose(skipping.logits, dense.logits, atol=1e-6)
  assert np.abs(skipping.logits).max() > 1e-5
  np.testing.assert_array_equal(skipping.aux["chosen"].sum(), np.maximum((attention > 0.5).sum(1), 1).sum())


def test_each_device_skips_its_own():
  """Eight devices, one clip each, with gates of their own: the scores of one device."""
  clips = jax.random.normal(jax.random.key(5), (8, STEPS, 32, 32, 5))
  _, variables = case()

  def run(variables, clips):
    return make().apply(variables, clips, False)

  expected = jax.jit(run)(variables, clips)
  mesh = make_mesh(8)
  spread = jax.jit(on_each_device(run, mesh))(variables, jax.device_put(clips, batch_sharding(mesh)))
  np.testing.assert_allclose(spread.logits, expected.logits, atol=1e-6)
  np.testing.assert_array_equal(spread.aux["chosen"], expected.aux["chosen"])
  assert len(set(np.asarray(expected.aux["chosen"]).sum(1))) > 1
  text = jax.jit(on_each_device(run, mesh)).lower(variables, clips).compile().as_text()
  assert not re.search(r"all-(gather|reduce|to-all)|collective-permute", text)


def test_choose_keeps_the_best_step_where_no_gate_is_open():
  attention = jnp.array([[0.1, 0.6, 0.9], [0.1, 0.4, 0.2], [0.2, 0.2, 0.2], [0.0, 0.0, 0.0]])
  expected = [[False, True, True], [False, True, False], [True, False, False], [True, False, False]]
  np.testing.assert_array_equal(choose(attention), expected)


@pytest.mark.parametrize("gate", ["soft", "hard", "straight_through", "binary_neuron"])
def test_gates_in_training(gate):
  clips, variables = case()
  network = make(gate=gate, dropout=0.0)
  rngs = {"dropout": jax.random.key(3)}
  _, attention, gates = network.apply(variables, clips, True, rngs=rngs, method="attend")
  if gate == "soft":
    np.testing.assert_array_equal(gates, attention)
  else:
    assert set(np.unique(np.round(np.asarray(gates), 5))) <= {0.0, 1.0}
  if gate in ("hard", "straight_through"):
    np.testing.assert_allclose(gates, choose(attention), atol=1e-6)

  def loss(params):
    return network.apply({**variables, "params": params}, clips, True, rngs=rngs).logits.sum()

  gradient = jax.jit(jax.grad(loss))(variables["params"])
  encoder = jax.tree.leaves(gradient["rtsae"])
  assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradient))
  assert any(np.abs(g).max() > 0 for g in encoder) == (gate != "hard")


def test_mixed_states_are_those_of_a_prediction_where_gates_are_open_or_shut():
  clips, variables = case()
  rngs = {"dropout": jax.random.key(0)}
  training = make(gate="straight_through", mix=True, dropout=0.0).apply(variables, clips, True, rngs=rngs)
  np.testing.assert_allclose(training.logits, make(skip=False).apply(variables, clips, False).logits, atol=1e-5)


def test_fusion_is_equations_15_and_16():
  rng = np.random.default_rng(0)
  spatial, temporal = np.abs(rng.normal(size=(2, 4, 6))).astype(np.float32)
  spatial[1] = 0  # nothing active
  variables = Fusion(6).init(jax.random.key(0), spatial, temporal)
  variables["params"]["fc7"] = {"kernel": jnp.eye(6), "bias": jnp.zeros(6)}
  variables["params"]["w_f"] = jnp.log(jnp.expm1(jnp.float32(0.733)))
  over = [x / np.maximum(x.max(-1, keepdims=True), 1e-6) for x in (spatial, temporal)]
  expected = over[0] / 1.733 + 0.733 / 1.733 * over[1]
  np.testing.assert_allclose(Fusion(6).apply(variables, spatial, temporal), expected, rtol=1e-5)
  np.testing.assert_allclose(Fusion(6).apply(variables, method="share"), 0.733, rtol=1e-6)


def test_the_gates_training_holds_what_the_joint_stage_reads():
  clips, variables = case()
  stage2 = jax.eval_shape(lambda: GateTraining(SMALL, 1, 6).init(jax.random.key(0), clips, False))
  lower = {path: x.shape for path, x in flat(stage2["params"]).items() if not path.startswith(("rtsae/d", "rtsae/r"))}
  joint = {path: x.shape for path, x in flat(variables["params"]).items()}
  assert lower.items() <= joint.items()
  assert stage2["batch_stats"]["streams"]["measurement"].dtype == jnp.int8


def flat(tree):
  return {"/".join(str(k.key) for k in path): x for path, x in jax.tree_util.tree_leaves_with_path(tree)}


def test_both_streams_must_have_the_same_steps():
  with pytest.raises(ConfigError, match=r"Channels\(first=3, count=2\) at .*the clip has 3 channels"):
    jax.eval_shape(lambda: make().init(jax.random.key(0), jnp.zeros((1, 2, 32, 32, 3)), False))
  odd = Measured(OneFrame(2), RGBDifference(4), VGG(2, 6), length=12)
  with pytest.raises(ConfigError, match=r"spatial makes clips of the shape \(1, 2, .*temporal \(1, 1, "):
    jax.eval_shape(lambda: make(measured=odd).init(jax.random.key(0), jnp.zeros((1, 4, 32, 32, 3)), False))


@pytest.mark.parametrize(("position", "length"), [("p1", 802_816), ("p2", 401_408), ("p3", 200_704)])
def test_the_input_of_a_measurement_is_as_long_as_counted(position, length):
  shapes = jax.eval_shape(
    lambda: Measured(position=position, length=4).init(jax.random.key(0), jnp.zeros((1, 1, 224, 224, 5)), False)
  )
  assert shapes["batch_stats"]["measurement"].shape == (4, length)
