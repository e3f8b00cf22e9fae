import collections
import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict

from vidjax import recipe
from vidjax.backbones.resnet import ResNet
from vidjax.errors import ConfigError
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM
from vidjax.train.optimizer import TSN_GROUPS, Group, make_optimizer, multipliers

PARAMS = {
  "backbone": {"conv": {"kernel": jnp.array([1.0, -2.0, 3.0])}, "bn": {"scale": jnp.array([0.5, 2.0])}},
  "classifier": {"bias": jnp.array([-1.0])},
}


def gradients(i: int):
  rng = np.random.default_rng(i)
  return jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32), PARAMS)


def run(optimizer, steps=3, params=PARAMS, gradients=gradients):
  state = optimizer.init(params)
  history = []
  for i in range(steps):
    updates, state = optimizer.update(gradients(i), state, params)
    params = optax.apply_updates(params, updates)
    history.append(params)
  return history


def by_path(tree) -> dict[str, np.ndarray]:
  return {path: np.asarray(leaf, "float64") for path, leaf in flatten_dict(tree, sep="/").items()}


@pytest.fixture(scope="module")
def tsm_resnet50():
  network = Recognizer(ResNet(50, inserts=(Insert(TSM(), "before"),)), 174)
  init = functools.partial(network.init, train=False)
  return jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, 8, 224, 224, 3)))["params"]


def released_groups(path, name: str) -> collections.Counter:
  """How many parameters of which size, and the rate and decay the released code gives them."""
  found = collections.Counter()
  for group in json.loads(path.read_text())[name].values():
    if isinstance(group, dict):
      for parameter in group["params"]:
        found[int(np.prod(parameter["shape"])), float(group["lr_mult"]), float(group["decay_mult"])] += 1
  return found


def test_golden_groups_of_tsm(shared_golden, tsm_resnet50):
  groups = flatten_dict(multipliers(tsm_resnet50, TSN_GROUPS))
  sizes = {path: leaf.size for path, leaf in flatten_dict(tsm_resnet50).items()}
  ours = collections.Counter((sizes[path], group.rate, group.decay) for path, group in groups.items())
  assert ours == released_groups(shared_golden / "param_groups_tsm.json", "TSM-R50 npb fc_lr5")
  kinds = collections.Counter((path[-1], group.rate, group.decay) for path, group in groups.items())
  assert kinds == {
    ("kernel", 1, 1): 53,
    ("scale", 1, 0): 53,
    ("bias", 1, 0): 53,
    ("kernel", 5, 1): 1,
    ("bias", 10, 0): 1,
  }


def test_tsn_groups_give_a_plain_bias_twice_the_rate():
  """As the biases of the non-local blocks' convolutions have, and those of later plug-ins."""
  params = {"res3": {"block0": {"after_NonLocal": {"value": {"kernel": 0, "bias": 0}, "bn": {"scale": 0, "bias": 0}}}}}
  groups = flatten_dict(multipliers(params, TSN_GROUPS), sep="/")
  found = {path.removeprefix("res3/block0/after_NonLocal/"): (g.rate, g.decay) for path, g in groups.items()}
  assert found == {"value/kernel": (1, 1), "value/bias": (2, 0), "bn/scale": (1, 0), "bn/bias": (1, 0)}


def test_the_first_matching_group_rules():
  groups = (Group("conv", rate=3), Group("kernel", rate=4), Group("backbone", decay=7))
  chosen = flatten_dict(multipliers(PARAMS, groups), sep="/")
  assert (chosen["backbone/conv/kernel"].rate, chosen["backbone/conv/kernel"].decay) == (3, 1)
  assert (chosen["backbone/bn/scale"].rate, chosen["backbone/bn/scale"].decay) == (1, 7)
  assert (chosen["classifier/bias"].rate, chosen["classifier/bias"].decay) == (1, 1)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_against_numpy(nesterov):
  optimizer = make_optimizer(
    lambda step: 0.1 * 0.5**step,
    momentum=0.8,
    nesterov=nesterov,
    weight_decay=0.2,
    clip_norm=1.0,
    groups=(Group("conv", rate=3), Group("bn", decay=0), Group("bias$", rate=2, decay=0.5)),
  )
  rates = {"backbone/conv/kernel": (3, 1), "backbone/bn/scale": (1, 0), "classifier/bias": (2, 0.5)}
  params, memory = by_path(PARAMS), collections.defaultdict(float)
  for i, state in enumerate(run(optimizer)):
    raw = by_path(gradients(i))
    norm = np.sqrt(sum((g**2).sum() for g in raw.values()))
    for path, (rate, decay) in rates.items():
      g = raw[path] * min(1, 1 / norm) + 0.2 * decay * params[path]
      memory[path] = 0.8 * memory[path] + g
      params[path] = params[path] - 0.1 * 0.5**i * rate * (0.8 * memory[path] + g if nesterov else memory[path])
      np.testing.assert_allclose(by_path(state)[path], params[path], rtol=1e-5)


def test_adamw_against_numpy():
  """Kingma and Ba with the decay decoupled (Loshchilov and Hutter), at each group's rate."""
  optimizer = make_optimizer(
    lambda step: 0.01, "adamw", momentum=0.9, beta2=0.99, weight_decay=0.3, groups=(Group("conv", rate=3, decay=0.5),)
  )
  params, m, v = by_path(PARAMS), collections.defaultdict(float), collections.defaultdict(float)
  for i, state in enumerate(run(optimizer), start=1):
    for path, g in by_path(gradients(i - 1)).items():
      rate, decay = (3, 0.5) if "conv" in path else (1, 1)
      m[path] = 0.9 * m[path] + 0.1 * g
      v[path] = 0.99 * v[path] + 0.01 * g**2
      direction = m[path] / (1 - 0.9**i) / (np.sqrt(v[path] / (1 - 0.99**i)) + 1e-8)
      params[path] = params[path] - 0.01 * rate * (direction + 0.3 * decay * params[path])
      np.testing.assert_allclose(by_path(state)[path], params[path], rtol=2e-5)


def test_golden_adadelta(shared_golden):
  golden = np.load(shared_golden / "adadelta.npz")
  optimizer = make_optimizer(
    lambda step: float(golden["lr"]), "adadelta", rho=float(golden["rho"]), epsilon=float(golden["eps"])
  )
  history = run(
    optimizer, 20, {"w": jnp.asarray(golden["w0"])}, lambda i: {"w": jnp.asarray(golden["grads"][i], jnp.float32)}
  )
  np.testing.assert_allclose([state["w"] for state in history], golden["trajectory"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["sgd", "adamw", "adadelta"])
def test_a_frozen_group_stays_and_does_not_count_in_clipping(kind):
  """The others move as if the frozen gradient, huge here, were not there."""
  make = functools.partial(make_optimizer, lambda step: 0.1, kind, weight_decay=0.1, clip_norm=0.5)
  frozen = Group("conv", rate=0.0)

  def huge(i, factor=1e6):
    tree = gradients(i)
    tree["backbone"]["conv"]["kernel"] *= factor
    return tree

  moved = by_path(run(make(groups=(frozen,)), gradients=huge)[-1])
  expected = by_path(run(make(groups=(frozen,)), gradients=functools.partial(huge, factor=0))[-1])
  for path, value in moved.items():
    np.testing.assert_array_equal(value, expected[path])
    assert np.array_equal(value, by_path(PARAMS)[path]) == ("conv" in path)


def test_no_decay_on_bias_and_bn_unless_told():
  still = functools.partial(jax.tree.map, jnp.zeros_like, PARAMS)
  moved = by_path(
    run(make_optimizer(lambda step: 0.1, weight_decay=0.5, momentum=0), 1, gradients=lambda i: still())[0]
  )
  np.testing.assert_allclose(moved["backbone/conv/kernel"], 0.95 * by_path(PARAMS)["backbone/conv/kernel"], rtol=1e-6)
  for path in ("backbone/bn/scale", "classifier/bias"):
    np.testing.assert_array_equal(moved[path], by_path(PARAMS)[path])


def test_bad_arguments_are_named():
  with pytest.raises(ConfigError, match=r"make_optimizer\(kind='adam'\): must be one of sgd, adamw, adadelta"):
    make_optimizer(lambda step: 0.1, "adam")
  with pytest.raises(ConfigError, match=r"'\(' is not a regular expression"):
    multipliers(PARAMS, (Group("("),))
  with pytest.raises(ConfigError, match=r"Group\(rate=-1.0\): must be a finite number of at least 0"):
    Group("bias", rate=-1.0)
  with pytest.raises(ConfigError, match=r"make_optimizer\(beta2=1.5\): must be a number from 0 to below 1"):
    make_optimizer(lambda step: 0.1, "adamw", beta2=1.5)


def test_any_optimizer_of_optax_gets_groups_and_clipping():
  """AdamW by its own name and by ours: the same updates, a frozen parameter and one without decay among them."""
  groups = [{"make": "vidjax.train.optimizer.Group", "match": "frozen", "rate": 0.0}]
  groups += [{"make": "vidjax.train.optimizer.Group", "match": "bias", "rate": 2.0, "decay": 0.0}]
  params = {"a": {"kernel": jnp.arange(4.0), "bias": jnp.ones(2)}, "frozen": {"kernel": jnp.ones(3)}}
  ours = {"make": "vidjax.train.optimizer.make_optimizer", "kind": "adamw", "weight_decay": 0.1}
  theirs = {"make": "optax.adamw", "weight_decay": 0.1, "b1": 0.9}
  results = []
  for config in (ours, theirs):
    optimizer = recipe.make_optimizer({**config, "clip_norm": 0.5, "groups": groups}, lambda step: 0.1)
    state, found = optimizer.init(params), params
    for step in range(3):
      gradient = jax.tree.map(lambda x, step=step: jnp.cos(x + step), found)
      updates, state = optimizer.update(gradient, state, found)
      found = optax.apply_updates(found, updates)
    results.append(found)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), *results)
  np.testing.assert_array_equal(results[1]["frozen"]["kernel"], 1)
  lion = recipe.make_optimizer({"make": "optax.lion"}, lambda step: 0.1)
  assert lion.update(params, lion.init(params), params)[0]["a"]["kernel"].shape == (4,)
  one = {"make": "optax.adafactor", "weight_decay_rate": 0.1, "min_dim_size_to_factor": 999}
  adafactor = recipe.make_optimizer({**one, "groups": groups}, lambda step: 0.1)
  zeros = jax.tree.map(jnp.zeros_like, params)
  decayed = adafactor.update(zeros, adafactor.init(params), params)[0]
  assert jnp.all(decayed["a"]["bias"] == 0)  # it calls its mask weight_decay_mask
  assert jnp.all(decayed["a"]["kernel"][1:] != 0)
  alike = {"make": "optax.novograd", "weight_decay": 0.1}
  with pytest.raises(ConfigError, match="decays all parameters alike, also those of group 'bias'"):
    recipe.make_optimizer({**alike, "groups": groups[1:]}, lambda step: 0.1)
  recipe.make_optimizer({**alike, "groups": ()}, lambda step: 0.1)
  with pytest.raises(ConfigError, match="takes no 'b3'"):
    recipe.make_optimizer({"make": "optax.adamw", "b3": 0.1}, lambda step: 0.1)
  with pytest.raises(ConfigError, match="decay must be 0 or 1"):
    recipe.make_optimizer({**theirs, "groups": [{**groups[0], "decay": 5.0}]}, lambda step: 0.1)


def test_any_schedule_of_optax_counts_steps():
  settings = recipe.Settings(epochs=2.0, batch_size=4)
  config = {"schedule": {"make": "optax.linear_schedule", "init_value": 1.0, "end_value": 0.0, "transition_steps": 10}}
  rate = recipe.make_schedule(config, settings, 100)
  assert float(rate(5)) == 0.5
  cosine = {"schedule": {"make": "vidjax.train.schedules.cosine", "learning_rate": 1.0}}
  for length, total in ((settings, 200), (dataclasses.replace(settings, steps=40), 40)):
    assert length.total(100) == total
    assert float(recipe.make_schedule(cosine, length, 100)(total // 2)) == pytest.approx(0.5)
