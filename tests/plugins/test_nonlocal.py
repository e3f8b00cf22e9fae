import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.analyse.cost import count_macs
from vidjax.analyse.module_costs import module_costs
from vidjax.backbones.resnet import ResNet
from vidjax.errors import ConfigError
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert
from vidjax.plugins.nonlocal_ import NonLocal
from vidjax.plugins.tsm import TSM

CLIP = jax.random.normal(jax.random.key(1), (2, 3, 4, 5, 6))


def randomised(module, clip=CLIP, seed=0):
  """Variables of a module, none of them at a value where it does nothing."""
  shapes = jax.eval_shape(functools.partial(module.init, train=False), jax.random.key(0), clip)
  rng = np.random.default_rng(seed)
  variables = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0, 0.5, leaf.shape), leaf.dtype), shapes)
  stats = jax.tree.map(lambda leaf: jnp.abs(leaf) + 0.5, variables.get("batch_stats", {}))
  return {"params": variables["params"], "batch_stats": stats}


def dense(x, params):
  return x @ np.asarray(params["kernel"], np.float64) + np.asarray(params["bias"], np.float64)


def in_numpy(form, variables, clip):
  """Eq. 4.1 with its instantiations i to iv, one pair of positions at a time, then W_z, BN and the sum."""
  params, stats = jax.tree.map(
    lambda leaf: np.asarray(leaf, np.float64), (variables["params"], variables["batch_stats"])
  )
  x = np.asarray(clip, np.float64).reshape(clip.shape[0], -1, clip.shape[-1])
  g = dense(x, params["g"])
  theta, phi = (x, x) if form == "gaussian" else (dense(x, params["theta"]), dense(x, params["phi"]))
  weights = np.empty((x.shape[0], x.shape[1], x.shape[1]))
  for b, i, j in np.ndindex(*weights.shape):
    if form == "concatenation":
      weights[b, i, j] = max(0, np.concatenate([theta[b, i], phi[b, j]]) @ params["w_f"][:, 0])
    else:
      product = theta[b, i] @ phi[b, j]
      weights[b, i, j] = product if form == "dot" else np.exp(product)
  weights /= x.shape[1] if form in ("dot", "concatenation") else weights.sum(-1, keepdims=True)
  z = dense(np.stack([w @ v for w, v in zip(weights, g, strict=True)]), params["w_z"])
  bn = stats["bn"]
  z = (z - bn["mean"]) / np.sqrt(bn["var"] + 1e-5) * params["bn"]["scale"] + params["bn"]["bias"]
  return weights, (x + z).reshape(clip.shape)


@pytest.mark.parametrize("form", ["gaussian", "embedded_gaussian", "dot", "concatenation"])
def test_each_form_is_its_equation(form):
  module = NonLocal(form)
  variables = randomised(module)
  weights, expected = in_numpy(form, variables, CLIP)
  run = jax.jit(lambda variables, clip: module.apply(variables, clip, False, mutable=["intermediates"]))
  output, sown = run(variables, CLIP)
  np.testing.assert_allclose(output, expected, atol=1e-4)
  (found,) = sown["intermediates"]["attention"]
  attention = found.full()
  assert attention.shape == (2, 3, 4, 5, 3, 4, 5)
  np.testing.assert_allclose(found.row(1, 3, 2), attention[:, 1, 3, 2], atol=1e-6)
  np.testing.assert_allclose(attention.reshape(weights.shape), weights, atol=1e-4)
  assert set(variables["params"]) == {"g", "w_z", "bn"} | {
    "gaussian": set(),
    "concatenation": {"theta", "phi", "w_f"},
  }.get(form, {"theta", "phi"})


@pytest.mark.parametrize("sub_sample", [False, True])
def test_released_block(shared_golden, sub_sample):
  golden = dict(np.load(shared_golden / "nl_block.npz"))
  case = {
    key.split("/", 1)[1]: value for key, value in golden.items() if key.startswith(("full/", "sub_sample/")[sub_sample])
  }
  inner = ".0" if sub_sample else ""

  def linear(name):
    return {"kernel": case[f"w/{name}.weight"][:, :, 0, 0, 0].T, "bias": case[f"w/{name}.bias"]}

  variables = {
    "params": {
      "theta": linear("theta"),
      "phi": linear(f"phi{inner}"),
      "g": linear(f"g{inner}"),
      "w_z": linear("W.0"),
      "bn": {"scale": case["w/W.1.weight"], "bias": case["w/W.1.bias"]},
    },
    "batch_stats": {"bn": {"mean": case["w/W.1.running_mean"], "var": case["w/W.1.running_var"]}},
  }
  clip = np.moveaxis(case["x"], 1, -1)
  module = NonLocal(sub_sample=sub_sample)
  output = jax.jit(lambda variables, clip: module.apply(variables, clip, False))(variables, clip)
  np.testing.assert_allclose(output, np.moveaxis(case["out"], 1, -1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("train", [False, True])
def test_starts_as_the_identity(train):
  module = NonLocal()
  variables = module.init(jax.random.key(0), CLIP, False)
  output, _ = jax.jit(lambda v, clip: module.apply(v, clip, train, mutable=["batch_stats"]))(variables, CLIP)
  np.testing.assert_array_equal(output, CLIP)


@pytest.mark.parametrize(("sub_sample", "gigamacs"), [(True, 61.10), (False, 96.98)])
def test_size_and_cost_of_five_in_a_resnet50(sub_sample, gigamacs):
  """Table 4.6 prints 31.69 M, and 49.38 G, without the products between positions."""
  block = NonLocal(sub_sample=sub_sample)
  inserts = Insert(TSM(), "before"), Insert(block, "after", (3,), (0, 2)), Insert(block, "after", (4,), (0, 2, 4))
  network = Recognizer(ResNet(50, inserts=inserts), 400)
  clip = jax.ShapeDtypeStruct((1, 8, 224, 224, 3), jnp.float32)
  variables = jax.eval_shape(functools.partial(network.init, train=False), jax.random.key(0), clip)
  assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == 31_686_096
  macs = count_macs(lambda variables, clip: network.apply(variables, clip, False), variables, clip)
  assert macs == pytest.approx(gigamacs * 1e9, rel=0.005)
  assert module_costs(network, clip.shape[1:], "thop")[0].macs == pytest.approx(49.375e9, rel=5e-5)


def test_an_image_is_a_clip_of_one_frame():
  module = NonLocal(sub_sample=True)
  variables = randomised(module)
  run = jax.jit(lambda clip: module.apply(variables, clip, False))
  np.testing.assert_allclose(run(CLIP[:, 0]), run(CLIP[:, :1])[:, 0], atol=1e-6)


def test_an_unknown_form_names_the_known():
  with pytest.raises(ConfigError, match=r"NonLocal.form='embedded'.*one of gaussian, embedded_gaussian, dot, concat"):
    NonLocal("embedded").init(jax.random.key(0), CLIP, False)
