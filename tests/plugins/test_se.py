import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.analyse.module_costs import all_module_costs
from vidjax.backbones.resnet import ResNet
from vidjax.errors import ConfigError, InputError
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert
from vidjax.plugins.se import SE, SpaceTimeSE
from vidjax.plugins.tsm import TSM


@pytest.fixture
def golden(shared_golden):
  return dict(np.load(shared_golden / "channel_gate.npz"))


def as_clip(x):
  return jnp.asarray(np.moveaxis(x, 1, -1))


def variables_of(golden, reduce, bn, expand, score=None):
  params = {
    "reduce": {"kernel": golden[f"{reduce}.weight"].T, "bias": golden[f"{reduce}.bias"]},
    "bn": {"scale": golden[f"{bn}.weight"], "bias": golden[f"{bn}.bias"]},
    "expand": {"kernel": golden[f"{expand}.weight"].T, "bias": golden[f"{expand}.bias"]},
  }
  if score:
    params["score"] = {"kernel": golden[f"{score}.weight"].reshape(1, -1).T}
  return {
    "params": params,
    "batch_stats": {"bn": {"mean": golden[f"{bn}.running_mean"], "var": golden[f"{bn}.running_var"]}},
  }


def test_golden_thesis(golden):
  variables = variables_of(golden, *(f"thesis_se/{name}" for name in ("fc1", "bn", "fc2")))
  y = SpaceTimeSE(bias=True).apply(variables, as_clip(golden["thesis_se/x"]), False)
  np.testing.assert_allclose(y, as_clip(golden["thesis_se/out"]), rtol=1e-5, atol=1e-5)


def test_golden_released(golden):
  module = SpaceTimeSE(pool="attention", bias=True, momentum=0.99)
  names = (f"channelgate/w/{name}" for name in ("W_v1", "bn1", "W_v2", "W_k"))
  variables, x = variables_of(golden, *names), as_clip(golden["channelgate/x"])

  @jax.jit
  def run(x):
    trained, _ = module.apply(variables, x, True, mutable=["batch_stats"])
    return module.apply(variables, x, False), trained, module.init_with_output(jax.random.key(0), x, False)[0]

  y, trained, initial = run(x)
  np.testing.assert_allclose(y, as_clip(golden["channelgate/out"]), rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(trained, as_clip(golden["channelgate/train_out"]), rtol=1e-4, atol=1e-4)
  np.testing.assert_array_equal(as_clip(golden["channelgate/init_out"]), x)
  np.testing.assert_array_equal(initial, x)


def test_running_statistics_move_by_the_momentum():
  x = jax.random.normal(jax.random.key(0), (4, 3, 2, 2, 8))
  module = SpaceTimeSE(momentum=0.75)

  @jax.jit
  def run(x):
    variables = module.init(jax.random.key(1), x, False)
    return variables, module.apply(variables, x, True, mutable=["batch_stats"])[1]

  variables, changed = run(x)
  y = np.asarray(x, "float64").mean((1, 2, 3)) @ np.asarray(variables["params"]["reduce"]["kernel"], "float64")
  np.testing.assert_allclose(changed["batch_stats"]["bn"]["mean"], 0.25 * y.mean(0), rtol=1e-4, atol=1e-6)
  np.testing.assert_allclose(changed["batch_stats"]["bn"]["var"], 0.75 + 0.25 * y.var(0), rtol=1e-4, atol=1e-6)


def test_the_attention_weighs_every_position_of_the_clip():
  x = jax.random.normal(jax.random.key(0), (2, 3, 4, 2, 8))
  module = SpaceTimeSE(pool="attention")

  @jax.jit
  def run(x):
    variables = module.init(jax.random.key(1), x, False)
    return variables, module.apply(variables, x, False, mutable=["intermediates"])[1]

  variables, sown = run(x)
  (attention,) = sown["intermediates"]["attention"]
  score = np.asarray(x, "float64") @ np.asarray(variables["params"]["score"]["kernel"], "float64")[:, 0]
  expected = np.exp(score) / np.exp(score).sum((1, 2, 3), keepdims=True)
  np.testing.assert_allclose(attention, expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5, 16), (2, 4, 5, 16)])
def test_the_image_form(shape):
  x = jax.random.normal(jax.random.key(0), shape)
  module = SE(reduction=4)

  @jax.jit
  def run(x):
    variables = jax.tree.map(lambda p: p + 0.1, module.init(jax.random.key(1), x, False))
    return variables, module.apply(variables, x, False)

  variables, scaled = run(x)
  w = jax.tree.map(lambda p: np.asarray(p, "float64"), variables["params"])
  x = np.asarray(x, "float64")
  y = np.maximum(x.mean((-3, -2)) @ w["reduce"]["kernel"] + w["reduce"]["bias"], 0)
  y = 1 / (1 + np.exp(-(y @ w["expand"]["kernel"] + w["expand"]["bias"])))
  expected = x * y[..., None, None, :]
  np.testing.assert_allclose(scaled, expected, rtol=1e-5, atol=1e-6)


def test_five_of_them_have_the_printed_parameters():
  """Thesis Table 4.6 prints 24.79M; the five sites are those of the non-local blocks."""
  module = SpaceTimeSE(reduction=16, bias=True)
  sites = (Insert(module, "after", (3,), (0, 2)), Insert(module, "after", (4,), (0, 2, 4)))
  network = Recognizer(ResNet(50, inserts=(Insert(TSM(), "before"), *sites)), 400)
  shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), jnp.zeros((1, 8, 224, 224, 3)), False))
  assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == 24_791_248
  costs = all_module_costs(network, (8, 224, 224, 3))
  for convention, gmac in (("real", 32.70), ("thop", 32.88)):
    assert costs[convention][0].macs / 1e9 == pytest.approx(gmac, rel=1e-3)


@pytest.mark.parametrize("cls", [SE, SpaceTimeSE])
def test_too_few_channels_name_the_module_and_the_range(cls):
  with pytest.raises(ConfigError, match=rf"{cls.__name__}\(reduction=16\).*8 channels.*choose a reduction from 1 to 8"):
    cls(reduction=16).init(jax.random.key(0), jnp.zeros((1, 2, 1, 1, 8)), False)


def test_what_does_not_fit_is_named():
  with pytest.raises(ConfigError, match=r"SpaceTimeSE\(pool='max'\) at the top: must be one of mean, attention"):
    SpaceTimeSE(pool="max").init(jax.random.key(0), jnp.zeros((1, 2, 1, 1, 8)), False)
  with pytest.raises(InputError, match=r"SpaceTimeSE at the top takes clips .* got the shape \(2, 4, 4, 16\)"):
    SpaceTimeSE().init(jax.random.key(0), jnp.zeros((2, 4, 4, 16)), False)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5, 8), (2, 4, 5, 8)])
def test_the_factors_are_sown(shape):
  x = jax.random.normal(jax.random.key(0), shape)
  module = SE(4)
  variables = module.init(jax.random.key(1), x, False)
  y, sown = module.apply(variables, x, False, mutable=["intermediates"])
  (factors,) = sown["intermediates"]["excitation"]
  assert factors.shape == (*shape[:-3], 8)
  np.testing.assert_allclose(y, x * factors[..., None, None, :], rtol=1e-6)


def test_what_space_time_adds_is_sown():
  x = jax.random.normal(jax.random.key(0), (2, 3, 4, 5, 8))
  module = SpaceTimeSE(4)
  variables = jax.tree.map(lambda w: w + 0.5, module.init(jax.random.key(1), x, False))
  y, sown = module.apply(variables, x, False, mutable=["intermediates"])
  (added,) = sown["intermediates"]["excitation"]
  assert np.abs(added).min() > 0
  np.testing.assert_allclose(y, x + added[:, None, None, None], rtol=1e-6, atol=1e-6)
