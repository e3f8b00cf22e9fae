import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.analyse.cost import count_macs
from vidjax.analyse.module_costs import module_costs
from vidjax.backbones.resnet import ResNet
from vidjax.errors import InputError
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert
from vidjax.plugins.rnl import RNL
from vidjax.plugins.tsm import TSM

CLIP = jax.random.normal(jax.random.key(1), (2, 3, 4, 5, 6))

GOLDEN = {
  "gauss_k357": RNL((3, 5, 7)),
  "gauss_groups2_k333": RNL((3, 3, 3)),
  "gauss_k111": RNL((1, 1, 1), aggregation="average"),  # the mean of one position: no aggregation
  "gauss_sub": RNL((3, 3, 3), sub_sample=True),
  "gauss_nobn": RNL((3, 3, 3), batch_norm=False),
  "dotrelu_k333": RNL((3, 3, 3), "dot_relu"),
  "cosine_k333": RNL((3, 3, 3), "cosine"),
}


def channels_last(array):
  return np.moveaxis(array, 1, -1)


def imported(case, aggregation):
  """The released code's arrays as variables; the only live slice of a grouped kernel is its diagonal."""

  def linear(name):
    return {"kernel": case[f"w/{name}.weight"][:, :, 0, 0, 0].T, "bias": case[f"w/{name}.bias"]}

  with_bn = "w/W.1.weight" in case
  params = {"w_g": linear("theta"), "w_z": linear("W.0" if with_bn else "W")}
  stats = {}
  if with_bn:
    params["bn"] = {"scale": case["w/W.1.weight"], "bias": case["w/W.1.bias"]}
    stats = {"bn": {"mean": case["w/W.1.running_mean"], "var": case["w/W.1.running_var"]}}
  if aggregation in ("conv", "grouped"):
    kernel = np.transpose(case["w/penta.depthwise_weight"], (2, 3, 4, 1, 0))
    if aggregation == "grouped":
      features = kernel.shape[-1]
      width = min(32, features)
      wide = np.random.default_rng(0).normal(size=(*kernel.shape[:3], width, features)).astype(np.float32)
      channel = np.arange(features)
      wide[:, :, :, channel % width, channel] = kernel[:, :, :, 0]
      kernel = wide  # noise off the diagonal: the mask hides it
    params["theta"] = {"kernel": kernel}
  return {"params": params, "batch_stats": stats}


@pytest.mark.parametrize(
  ("name", "grouped"), [(name, False) for name in GOLDEN] + [(name, True) for name in GOLDEN if name != "gauss_k111"]
)
def test_released_block(shared_golden, name, grouped):
  """Evaluation, its map, a training step, its gradients and the running statistics."""
  module = GOLDEN[name]
  if grouped:
    module = module.clone(aggregation="grouped")
  golden = np.load(shared_golden / "rnl_block.npz")
  case = {key.removeprefix(f"{name}/"): golden[key] for key in golden.files if key.startswith(f"{name}/")}
  variables = imported(case, module.aggregation)
  clip = channels_last(case["x"])

  @jax.jit
  def run(variables, clip, cotangent):
    output, sown = module.apply(variables, clip, False, mutable=["intermediates"])

    def train(params, clip):
      return module.apply({**variables, "params": params}, clip, True, mutable=["batch_stats"])

    train_output, pullback, changed = jax.vjp(train, variables["params"], clip, has_aux=True)
    return output, sown, train_output, pullback(cotangent), changed.get("batch_stats", {})

  output, sown, train_output, (of_params, of_clip), stats = run(variables, clip, channels_last(case["cotangent"]))

  def close(ours, theirs, tolerance=2e-5):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * np.abs(theirs).max())

  close(output, channels_last(case["out"]))
  attention = sown["intermediates"]["attention"][0].full()
  keys_queries = case["attention"]
  assert attention.shape[:4] == (*clip.shape[:-1],)
  close(attention.reshape(keys_queries.swapaxes(1, 2).shape), keys_queries.swapaxes(1, 2))
  close(train_output, channels_last(case["train_out"]))
  close(of_clip, channels_last(case["grad_x"]))
  close(of_params["w_g"]["kernel"], case["grad_theta_weight"][:, :, 0, 0, 0].T)
  if "theta" in of_params:
    expected = np.transpose(case["grad_penta_depthwise"], (2, 3, 4, 1, 0))
    gradient = np.asarray(of_params["theta"]["kernel"])
    if grouped:
      channel = np.arange(gradient.shape[-1])
      live = gradient[:, :, :, channel % gradient.shape[-2], channel][:, :, :, None]
      assert np.abs(gradient).sum() == pytest.approx(np.abs(live).sum(), rel=1e-6)
      gradient = live
    # the softmax of the 128 channels is saturated: both float32 gradients are 9e-4 off the one in float64
    close(gradient, expected, 2e-3 if name == "gauss_groups2_k333" else 2e-5)
  if "bn" in stats:
    count = clip[..., 0].size
    close(stats["bn"]["mean"], case["running_mean_after_train"])
    batch = (stats["bn"]["var"] - 0.9 * case["w/W.1.running_var"]) * count / (count - 1)  # PyTorch's is unbiased
    close(0.9 * case["w/W.1.running_var"] + batch, case["running_var_after_train"])


def regions_in_numpy(x, kernel, reduce):
  """`reduce` of the neighbourhood `[kt, kh, kw, C]` of every position; nan stands beyond the border."""
  padded = np.pad(x, ((0, 0), *((size // 2, size // 2) for size in kernel), (0, 0)), constant_values=np.nan)
  output = np.empty_like(x)
  for b, t, i, j in np.ndindex(*x.shape[:-1]):
    output[b, t, i, j] = reduce(padded[b, t : t + kernel[0], i : i + kernel[1], j : j + kernel[2]])
  return output


def similarity(form, i, j):
  if form == "cosine":
    return max(0, i @ j / np.linalg.norm(i) / np.linalg.norm(j))
  return {"gaussian": np.exp(i @ j), "dot": i @ j, "dot_relu": max(0, i @ j)}[form]


@pytest.mark.parametrize(
  ("form", "aggregation"),
  [("dot", "conv"), ("cosine", "conv"), ("gaussian", "max"), ("gaussian", "average"), ("dot_relu", "average")],
)
def test_the_equations(form, aggregation):
  module = RNL((3, 1, 5), form, aggregation)
  shapes = jax.eval_shape(functools.partial(module.init, train=False), jax.random.key(0), CLIP)
  rng = np.random.default_rng(0)
  params = jax.tree.map(lambda leaf: rng.normal(0, 0.4, leaf.shape).astype(np.float32), shapes["params"])
  variables = {"params": params, "batch_stats": {"bn": {"mean": np.full(6, 0.1, "f4"), "var": np.full(6, 2.0, "f4")}}}

  x = np.asarray(CLIP, np.float64)
  value = x @ params["w_g"]["kernel"] + params["w_g"]["bias"]
  reduce = {"max": lambda part: np.nanmax(part, (0, 1, 2)), "average": lambda part: np.nansum(part, (0, 1, 2)) / 15}
  if aggregation == "conv":
    weight = params["theta"]["kernel"][:, :, :, 0]
    reduce["conv"] = lambda part: np.nansum(part * weight, (0, 1, 2))  # Eq. 4.3
  theta = regions_in_numpy(value, (3, 1, 5), reduce[aggregation]).reshape(2, 60, 3)
  weights = np.array([[[similarity(form, i, j) for j in clip] for i in clip] for clip in theta])
  weights /= weights.sum(-1, keepdims=True) if form == "gaussian" else 60
  y = np.stack([w @ v for w, v in zip(weights, value.reshape(2, 60, 3), strict=True)]).reshape(*x.shape[:-1], 3)
  z = y @ params["w_z"]["kernel"] + params["w_z"]["bias"]
  expected = x + (z - 0.1) / np.sqrt(2 + 1e-5) * params["bn"]["scale"] + params["bn"]["bias"]

  output, sown = jax.jit(lambda v, clip: module.apply(v, clip, False, mutable=["intermediates"]))(variables, CLIP)
  (attention,) = sown["intermediates"]["attention"]
  np.testing.assert_allclose(attention.full().reshape(weights.shape), weights, atol=1e-5)
  np.testing.assert_allclose(attention.row(0, 1, 2), attention.full()[:, 0, 1, 2], atol=1e-6)
  np.testing.assert_allclose(output, expected, atol=1e-5)
  np.testing.assert_allclose(jax.jit(lambda v, clip: module.apply(v, clip, False))(variables, CLIP), output, atol=1e-6)


@pytest.mark.parametrize(
  "module", [RNL((1, 3, 3)), RNL((1, 3, 3), aggregation="grouped"), RNL((1, 3, 3), batch_norm=False)]
)
def test_starts_as_the_identity(module):
  def run(key, clip):
    variables = module.init(key, clip, False)
    return [module.apply(variables, clip, train, mutable=["batch_stats"])[0] for train in (False, True)]

  for output in jax.jit(run)(jax.random.key(0), CLIP):
    np.testing.assert_array_equal(output, CLIP)


@pytest.mark.parametrize(("channels", "kernel", "bound"), [(512, (3, 7, 7), 0.0119), (1024, (3, 3, 3), 0.0202)])
@pytest.mark.parametrize("aggregation", ["conv", "grouped"])
def test_initial_aggregation_is_xaviers_for_the_grouped_kernel(channels, kernel, bound, aggregation):
  clip = jnp.zeros((1, 1, 1, 1, channels))
  init = jax.jit(lambda key: RNL(kernel, aggregation=aggregation).init(key, clip, False)["params"]["theta"]["kernel"])
  theta = np.asarray(init(jax.random.key(0)))
  assert theta.shape == (*kernel, 1 if aggregation == "conv" else 32, channels // 2)
  assert np.abs(theta).max() == pytest.approx(bound, rel=0.005)
  assert theta.std() == pytest.approx(bound / np.sqrt(3), rel=0.01)


def test_cosine_of_nothing_is_no_nan():
  module, clip = RNL((1, 1, 3), "cosine"), jnp.zeros_like(CLIP)
  variables = module.init(jax.random.key(0), clip, False)
  gradient = jax.jit(jax.grad(lambda clip: module.apply(variables, clip, False).sum()))(clip)
  assert np.isfinite(gradient).all()


MASKS = 2 * 32 * 256 * 3 * 7 * 7 + 3 * 32 * 512 * 3 * 3 * 3
"""Numbers in the released code's constant masks, which it holds, and counts, as parameters."""


@pytest.mark.parametrize(
  ("aggregation", "parameters", "gigamacs"),
  [("grouped", 35_483_088 - MASKS, 105.95), ("conv", 28_128_720, 89.3)],
)
def test_size_and_cost_of_five_in_a_resnet50(aggregation, parameters, gigamacs):
  """Table 4.6 prints 35.48 M, masks included, and 41.15 G, without F_theta and the products between positions."""
  inserts = (
    Insert(TSM(), "before"),
    Insert(RNL((3, 7, 7), aggregation=aggregation), "after", (3,), (0, 2)),
    Insert(RNL((3, 3, 3), aggregation=aggregation), "after", (4,), (0, 2, 4)),
  )
  network = Recognizer(ResNet(50, inserts=inserts), 400)
  clip = jax.ShapeDtypeStruct((1, 8, 224, 224, 3), jnp.float32)
  variables = jax.eval_shape(functools.partial(network.init, train=False), jax.random.key(0), clip)
  assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == parameters
  macs = count_macs(lambda variables, clip: network.apply(variables, clip, False), variables, clip)
  assert macs == pytest.approx(gigamacs * 1e9, rel=0.005)
  assert module_costs(network, clip.shape[1:], "thop")[0].macs == pytest.approx(41.142e9, rel=2e-5)


@pytest.mark.parametrize(
  ("module", "shape", "message"),
  [
    (RNL(form="cos"), (1, 2, 2, 2, 4), "RNL.form='cos'.*one of gaussian, dot, dot_relu, cosine"),
    (RNL(aggregation="mean"), (1, 2, 2, 2, 4), "RNL.aggregation='mean'.*one of conv, grouped, average, max"),
    (RNL((3, 4, 3)), (1, 2, 2, 2, 4), r"kernel=\(3, 4, 3\)\) at the top: must be a tuple of 3, each an odd int"),
    (RNL((3, 3)), (1, 2, 2, 2, 4), r"kernel=\(3, 3\).*must be a tuple of 3, each an odd int"),
    (RNL(), (1, 2, 2, 4), "RNL.*takes clips"),
    (
      RNL(aggregation="grouped"),
      (1, 2, 2, 2, 72),
      "36 channels do not divide into groups of 32; use aggregation='conv'",
    ),
  ],
)
def test_bad_input(module, shape, message):
  with pytest.raises(InputError, match=message):
    module.init(jax.random.key(0), jnp.zeros(shape), False)
