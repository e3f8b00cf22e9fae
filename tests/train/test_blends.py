"""The blends in the train step, on a network of two losses that share its input representation."""

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.train.test_step import KEY, assert_trees_close, batch_of, prepare
from vidjax.analyse.cost import count_macs
from vidjax.apply.sharding import make_mesh, put_batch, state_sharding
from vidjax.build import build
from vidjax.errors import ConfigError
from vidjax.losses.classification import CrossEntropy
from vidjax.run.checkpoint import Checkpoints
from vidjax.tasks.classification import Classification
from vidjax.train import aggregate
from vidjax.train.multitask import MGDA, CAGrad, PCGrad, Uncertainty, Weighted, make_blend, over
from vidjax.train.schedules import Scale
from vidjax.train.step import init_state, make_train_step
from vidjax.types import Output

CLIP = (2, 2, 2, 3)
SHARED = "representation"


class Joint(nn.Module):
  """A linear representation whose size is a loss, before a backbone of two layers."""

  width: int = 16

  @nn.compact
  def __call__(self, clips, train):
    x = nn.Dense(6, name="representation")(clips.reshape(clips.shape[0], -1))
    features = nn.relu(nn.Dense(self.width, name="backbone")(x))
    return Output(nn.Dense(4, name="classifier")(features), features, {"residual": x - 1})


def projection(output, batch):
  return {"projection": 0.1 * jnp.mean(jnp.sum(output.take("residual") ** 2, -1))}


OBJECTIVES = (CrossEntropy(), projection)
NETWORK = Joint()
MEASURE = Classification(3).measure


def start(blend, optimizer=None, objectives=OBJECTIVES, network=NETWORK, **options):
  optimizer, blend = optimizer or optax.sgd(1.0), make_blend(blend, 10)
  state = jax.jit(lambda key: init_state(network, CLIP, optimizer, key, ema=False, blend=blend))(jax.random.key(0))
  return state, jax.jit(make_train_step(network, objectives, blend, optimizer, prepare, MEASURE, **options))


def task_gradients(params, batch):
  """The gradient of each loss by itself."""
  video = prepare(batch, KEY)["video"]

  def loss(name):
    def of(params):
      output = NETWORK.apply({"params": params}, video, True)
      return {**CrossEntropy()(output, batch), **projection(output, batch)}[name]

    return of

  return {name: jax.jit(jax.grad(loss(name)))(params) for name in ("classification", "projection")}


def flat(tree):
  return np.concatenate([np.ravel(np.asarray(x, "float64")) for x in jax.tree.leaves(tree)])


def test_mgda_updates_as_algorithm_1():
  """Representation: alpha g1 + (1 - alpha) g2, Eq. 3.18 in float64; backbone and classifier: plain g2."""
  batch = batch_of(4, CLIP)
  state, step = start(MGDA(shared=SHARED))
  new, metrics = step(state, batch, KEY)
  grads = task_gradients(state.params, batch)
  one, two = (flat(grads[name][SHARED]) for name in ("projection", "classification"))
  alpha = np.clip((two - one) @ two / ((one - two) @ (one - two)), 0, 1)
  assert 0.1 < alpha < 0.9
  moved = jax.tree.map(lambda a, b: a - b, state.params, new.params)
  np.testing.assert_allclose(flat(moved[SHARED]), alpha * one + (1 - alpha) * two, atol=1e-6)
  for name in ("backbone", "classifier"):
    np.testing.assert_allclose(flat(moved[name]), flat(grads["classification"][name]), atol=1e-6)
  np.testing.assert_allclose(metrics["weight/projection"], alpha, rtol=1e-4)
  np.testing.assert_allclose(metrics["weight/classification"], 1 - alpha, rtol=1e-4)
  total = alpha * metrics["loss/projection"] + (1 - alpha) * metrics["loss/classification"]
  np.testing.assert_allclose(metrics["loss"], total, rtol=1e-5)


def test_everything_is_shared_unless_told():
  batch = batch_of(4, CLIP)
  state, step = start(MGDA())
  new, metrics = step(state, batch, KEY)
  grads = task_gradients(state.params, batch)
  weights = {name: float(metrics[f"weight/{name}"]) for name in grads}
  moved = flat(jax.tree.map(lambda a, b: a - b, state.params, new.params))
  np.testing.assert_allclose(moved, sum(w * flat(grads[name]) for name, w in weights.items()), atol=1e-6)
  assert min(moved @ flat(grads[name]) for name in grads) > 0


def macs(blend, width, objectives=OBJECTIVES):
  network = Joint(width)
  state, step = start(blend, network=network, objectives=objectives)
  return count_macs(step, state, batch_of(4, CLIP), KEY)


@pytest.mark.parametrize("blend", [MGDA(SHARED), MGDA(SHARED, "loss+"), PCGrad(SHARED), CAGrad(SHARED)])
def test_the_second_task_costs_its_own_subgraph_alone(blend):
  """The projection's pull-back is one more gradient of the representation's kernel, however large the backbone is."""
  pixels, kernel_gradient = int(np.prod(CLIP)), 4 * int(np.prod(CLIP)) * 6
  for width in (16, 512):
    plain = macs(Weighted(), width)
    forward = 4 * (pixels * 6 + 6 * width + width * 4)
    assert plain == 3 * forward - 4 * pixels * 6  # nothing asks for the gradient of the pixels
    assert 0 <= macs(blend, width) - plain - kernel_gradient < 200  # CAGrad's own little systems


@pytest.mark.parametrize("blend", [Weighted({"projection": 0.3}), Uncertainty(("projection", "classification"))])
def test_weights_fixed_scheduled_or_learned_cost_one_backward_pass(blend):
  assert macs(blend, 64) == macs(Weighted(), 64, objectives=[CrossEntropy()])


BLENDS = {
  "weighted": Weighted({"projection": 0.3}),
  "mgda": MGDA(SHARED),
  "mgda_loss+": MGDA(SHARED, "loss+"),
  "pcgrad": PCGrad(SHARED),
  "cagrad": CAGrad(SHARED),
  "uncertainty": Uncertainty(("projection", "classification"), ("projection",)),
}
blends = pytest.mark.parametrize("blend", BLENDS.values(), ids=BLENDS)


@blends
def test_accumulated_parts_are_the_large_batch(blend):
  """Weights included: they follow from the mean gradients and losses, not from each part's."""
  optimizer = optax.sgd(0.1, momentum=0.9)
  (state, whole), (_, parts) = start(blend, optimizer), start(blend, optimizer, accumulate=4)
  expected, accumulated = state, state
  for seed in range(2):
    batch = batch_of(8, CLIP, seed)
    expected, metrics = whole(expected, batch, KEY)
    accumulated, metrics_of_parts = parts(accumulated, batch, KEY)
    assert_trees_close(metrics_of_parts, metrics, 2e-5)
  assert_trees_close(accumulated, expected, 1e-5)


@blends
@pytest.mark.parametrize("accumulate", [1, 2])
def test_one_device_trains_as_eight(blend, accumulate):
  results, blend = [], make_blend(blend, 10)
  for devices in (1, 8):
    mesh, optimizer = make_mesh(devices), optax.sgd(0.1, momentum=0.9)

    def init(key, optimizer=optimizer):
      return init_state(NETWORK, CLIP, optimizer, key, ema=False, blend=blend)

    sharding = state_sharding(jax.eval_shape(init, jax.random.key(0)), mesh)
    state = jax.jit(init, out_shardings=sharding)(jax.random.key(0))
    step = make_train_step(NETWORK, OBJECTIVES, blend, optimizer, prepare, MEASURE, accumulate=accumulate)
    step = jax.jit(step, out_shardings=(sharding, None))
    for seed in range(3):
      state, metrics = step(state, put_batch(batch_of(16, CLIP, seed), mesh), KEY)
    results.append((jax.device_get(state), jax.device_get(metrics)))
  assert_trees_close(results[1], results[0], 1e-5)


@blends
def test_losses_without_gradient_give_finite_weights(blend):
  """Both losses are 0 and so are their gradients; then one of them does not depend on any parameter."""

  def nothing(output, batch):
    return {"projection": 0.0 * output.logits.sum(), "classification": 0.0 * output.take("residual").sum()}

  def constant(output, batch):
    return {"projection": jnp.ones(()), **CrossEntropy()(output, batch)}

  for objective in (nothing, constant):
    state, step = start(blend, objectives=[objective])
    new, metrics = step(state, batch_of(4, CLIP), KEY)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((new, metrics)))
    assert {"weight/projection", "weight/classification", "loss"} <= set(metrics)


def test_uncertainty_follows_its_own_gradient():
  """Two steps of d/ds [exp(-s) L (/ 2) + s / 2], and the network's gradient by these weights."""
  blend = Uncertainty(("classification", "projection"), regression=("projection",), learning_rate=0.2)
  state, step = start(blend)
  assert state.blend == {"classification": 0, "projection": 0}
  s, half = {"classification": 0.0, "projection": 0.0}, {"classification": 1.0, "projection": 0.5}
  for seed in range(2):
    batch = batch_of(4, CLIP, seed)
    grads = task_gradients(state.params, batch)
    new, metrics = step(state, batch, KEY)
    weights = {name: half[name] * np.exp(-s[name]) for name in s}
    expected = sum(weights[name] * flat(grads[name]) for name in s)
    np.testing.assert_allclose(flat(state.params) - flat(new.params), expected, atol=1e-6)
    for name in s:
      np.testing.assert_allclose(metrics[f"weight/{name}"], weights[name], rtol=1e-5)
      s[name] -= 0.2 * (0.5 - weights[name] * float(metrics[f"loss/{name}"]))
      np.testing.assert_allclose(new.blend[name], s[name], rtol=1e-4)
    state = new


def test_log_variances_stay_in_bounds():
  blend = Uncertainty(("a",), learning_rate=100.0)
  for loss, bound in ((0.0, -10), (1e9, 10)):
    _, _, memory = blend({"a": jnp.asarray(loss)}, lambda cotangents: cotangents, jnp.zeros(()), blend.init())
    assert memory["a"] == bound


def test_what_the_blend_remembers_survives_a_checkpoint(tmp_path):
  blend = BLENDS["uncertainty"]
  state, step = start(blend)
  state, _ = step(state, batch_of(4, CLIP), KEY)
  checkpoints = Checkpoints(tmp_path)
  checkpoints.save(state, 1, {}, {"top1": 0.5})
  checkpoints.close()
  checkpoints = Checkpoints(tmp_path)
  layout = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state)
  restored, _ = checkpoints.restore(layout)
  checkpoints.close()
  assert restored.blend["projection"] != 0
  assert_trees_close(restored, state, 0)
  assert_trees_close(step(restored, batch_of(4, CLIP, 1), KEY), step(state, batch_of(4, CLIP, 1), KEY), 0)


def test_a_config_describes_a_blend_and_the_scale_scheduler():
  scale = {"make": "vidjax.train.schedules.Scale", "gamma": 0.2, "lam": 0.3}
  weights = {"projection": scale, "classification": {**scale, "rest": True}}
  blend = over(build({"make": "vidjax.train.multitask.Weighted", "weights": weights}), total_steps=10)
  state, step = start(blend)
  expected = Scale(0.2, 0.3).over(10)
  for number in range(10):
    _, metrics = step(dataclasses.replace(state, step=jnp.int32(number)), batch_of(4, CLIP), KEY)
    np.testing.assert_allclose(metrics["weight/projection"], expected(number), atol=1e-6)
    np.testing.assert_allclose(metrics["weight/classification"], 1 - expected(number), atol=1e-6)
  assert build({"make": "vidjax.train.multitask.MGDA", "shared": SHARED, "normalise": "loss+"}) == MGDA(SHARED, "loss+")


@pytest.mark.parametrize(
  ("blend", "message"),
  [
    (MGDA("representatio"), "shared names representatio, but no parameter.*backbone, classifier, representation"),
    (PCGrad(("backbone", "head")), "shared names head"),
    (Uncertainty(("projection",)), "losses are projection, but the losses are classification, projection"),
  ],
)
def test_bad_input(blend, message):
  with pytest.raises(ConfigError, match=message):
    jax.eval_shape(start(blend)[1], start(blend)[0], batch_of(4, CLIP), KEY)


def test_bad_fields():
  with pytest.raises(ConfigError, match=r"MGDA\(normalise='max'\): must be one of none, l2, loss, loss\+"):
    MGDA(SHARED, "max")  # pyright: ignore
  with pytest.raises(ConfigError, match=r"CAGrad\(c=-1\): must be a finite number of at least 0"):
    CAGrad(SHARED, -1)
  for blend in (MGDA, PCGrad, CAGrad):
    with pytest.raises(ConfigError, match=r"shared=\(\)\): must be one or more starts of paths, such as .* or None"):
      blend(())


@pytest.mark.parametrize("blend", [MGDA(), PCGrad(), CAGrad()])
def test_one_loss_alone_cannot_be_combined(blend):
  state, step = start(blend, objectives=[CrossEntropy()])
  with pytest.raises(ConfigError, match="two losses or more, got classification"):
    step(state, batch_of(4, CLIP), KEY)


@pytest.mark.parametrize("rule", [Weighted({"a": Scale()})])
def test_a_rule_called_by_itself_asks_for_the_number_of_steps(rule):
  with pytest.raises(ConfigError, match="needs the number of steps"):
    rule({"a": jnp.ones(())}, lambda cotangents: cotangents, jnp.zeros(()))


def test_bad_arguments():
  with pytest.raises(ConfigError, match="regression names depth"):
    Uncertainty(("a", "b"), regression=("depth",)).init()
  for rate in (-1.0, math.nan):
    with pytest.raises(ConfigError, match=r"Uncertainty\(learning_rate=.*must be a finite number of at least 0"):
      Uncertainty(("a", "b"), learning_rate=rate)


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf, True, None, "1", {"gamma": 0.2}])
def test_weights_are_numbers_that_a_sum_can_take(weight):
  with pytest.raises(
    ConfigError, match=r"Weighted\(weights={'a': .*}\): must be names of losses, each with a number from 0 on"
  ):
    Weighted({"a": weight})
  with pytest.raises(ConfigError, match=r"weights=3.*must be names of losses"):
    Weighted(3)  # pyright: ignore


@pytest.mark.parametrize("thing", [{}, None, CrossEntropy(), aggregate.mgda()])
def test_what_is_no_blend_is_named(thing):
  with pytest.raises(ConfigError, match=r"config\.blend makes .*must be a blend, such as vidjax\.train\.multitask\.W"):
    make_blend(thing, 10)
