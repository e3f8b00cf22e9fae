import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

from vidjax.analyse.cost import count_macs
from vidjax.backbones.resnet import MiniResNet
from vidjax.errors import ConfigError, InputError
from vidjax.inputs.pwtp import PWTP
from vidjax.networks.recognizer import Recognizer

RNG = np.random.default_rng(0)
SMALL = PWTP(frames=4, kernel=3, stride=2, features=5)


def init(module, clip):
  """Variables with statistics and scales of BatchNorm that matter."""
  variables = jax.jit(lambda x: module.init(jax.random.key(0), x, False))(clip)
  variables = {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}
  return jax.tree.map(lambda leaf: leaf + RNG.uniform(0, 0.1, leaf.shape).astype("float32"), variables)


def apply(module, variables, clip, train=False):
  @jax.jit
  def run(variables, clip):
    output, changed = module.apply(variables, clip, train, mutable=["aux", "batch_stats"])
    return output, changed["aux"]["enopr"][0]

  return run(variables, clip)


def gelu(x):
  return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def bilinear(x, size):
  """`[h, w, ...]` to `[*size, ...]`, half-pixel centres, as PyTorch's align_corners=False."""
  for axis, pixels in enumerate(size):
    x = np.moveaxis(x, axis, 0)
    n = len(x)
    at = np.clip((np.arange(pixels) + 0.5) * n / pixels - 0.5, 0, n - 1)
    low = np.floor(at).astype(int)
    part = (at - low).reshape(-1, *(1,) * (x.ndim - 1))
    x = np.moveaxis(x[low] * (1 - part) + x[np.minimum(low + 1, n - 1)] * part, 0, axis)
  return x


def reference(module, variables, segment):
  """One segment `[T, H, W, C]` in float64: residual and projection."""
  p, stats = jax.tree.map(np.float64, (variables["params"], variables["batch_stats"]))
  frames, height, width, _ = segment.shape
  k, s = module.kernel, module.stride
  rows, columns = -(-height // s), -(-width // s)
  beyond = [max(0, (n - 1) * s + k - pixels) for n, pixels in ((rows, height), (columns, width))]
  padded = np.pad(segment, ((0, 0), *((b // 2, b - b // 2) for b in beyond), (0, 0)))
  local = np.zeros((frames, rows, columns, module.features))
  for i, j in np.ndindex(rows, columns):
    window = padded[:, i * s : i * s + k, j * s : j * s + k]
    local[:, i, j] = np.einsum("tijc,ijcd->td", window, p["local"]["kernel"]) + p["local"]["bias"]
  pairs = [(a, b) for a in range(frames) for b in range(a + 1, frames)]
  u = np.stack([(local[a] * local[b]).sum(-1) / module.features for a, b in pairs], -1)

  def dense(name, x):
    return x @ p[name]["kernel"] + p[name]["bias"]

  h = gelu(dense("expand", u))
  for n in range(module.num_blocks):
    bn, stat = p[f"bn{n}"], stats[f"bn{n}"]
    y = (h - stat["mean"]) / np.sqrt(stat["var"] + 1e-5) * bn["scale"] + bn["bias"]
    h = h + gelu(dense(f"up{n}", gelu(dense(f"down{n}", y))))
  a = bilinear(dense("subspace", h), (height, width)).reshape(height, width, frames, module.rank)
  projection = np.zeros_like(segment)
  for i, j in np.ndindex(height, width):
    projection[:, i, j] = a[i, j] @ np.linalg.lstsq(a[i, j], segment[:, i, j], rcond=None)[0]
  return segment - projection, projection


@pytest.mark.parametrize(
  ("module", "shape"),
  [
    (SMALL, (2, 8, 7, 6, 3)),
    (SMALL.clone(rank=2, kernel=5, stride=3, num_blocks=2, expansion=1), (1, 4, 8, 5, 2)),
    (SMALL.clone(stride=1, num_blocks=0, bottleneck=1), (1, 4, 3, 4, 1)),
  ],
)
def test_equations(module, shape):
  """Eq. 3.7-3.13 and Fig. 3.14 against NumPy: all three results and the ENoPR."""
  clip = RNG.normal(size=shape)
  variables = init(module, clip.astype("float32"))
  cut = clip.reshape(shape[0], -1, 4, *shape[2:])
  both = [[reference(module, variables, segment) for segment in segments] for segments in cut]
  residual = np.array([[pair[0] for pair in pairs] for pairs in both])
  projection = np.array([[pair[1] for pair in pairs] for pairs in both])
  expected = {
    "dynamic": residual.mean(2),
    "residual": residual.reshape(shape),
    "projection": projection.reshape(shape),
  }
  for result, value in expected.items():
    output, enopr = apply(module.clone(result=result), variables, clip.astype("float32"))
    np.testing.assert_allclose(output, value, atol=2e-4, err_msg=result)
    np.testing.assert_allclose(enopr, (residual**2).sum(2).mean((1, 2, 3, 4)), rtol=1e-4)


@pytest.mark.parametrize(
  ("expansion", "num_blocks", "bottleneck", "number"),
  [
    (4, 1, 0.25, 16_644),  # printed as 16.9k, which is one BatchNorm more
    (1, 1, 0.25, 7_383),
    (1, 2, 0.25, 7_866),
    (4, 2, 0.25, 23_280),
    (4, 1, 1, 35_544),
    (4, 0, 0.25, 10_008),
    (2, 1, 0.25, 9_686),
  ],
)
def test_parameters_of_table_3_13(expansion, num_blocks, bottleneck, number):
  module = PWTP(expansion=expansion, num_blocks=num_blocks, bottleneck=bottleneck)
  clip = jnp.zeros((1, 8, 16, 16, 3))
  variables = jax.eval_shape(lambda: module.init(jax.random.key(0), clip, False))
  assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == number


def test_cost():
  """The convolution and the MLP of configuration 7, printed as 39.7 M."""
  clip = jax.ShapeDtypeStruct((1, 8, 224, 224, 3), "float32")
  variables = jax.eval_shape(lambda x: PWTP().init(jax.random.key(0), x, False), clip)
  positions, pairs = 28 * 28, 28
  expected = 8 * positions * 81 * 3 * 24 + positions * (pairs * 56 + 2 * 56 * 14 + 56 * 8)
  assert expected == 39_388_160
  assert count_macs(lambda v, x: PWTP().apply(v, x, False), variables, clip) == expected


def test_the_residual_is_orthogonal_to_the_projection():
  clip = RNG.normal(size=(2, 4, 6, 6, 3)).astype("float32")
  variables = init(SMALL, clip)
  residual = apply(SMALL.clone(result="residual"), variables, clip)[0]
  projection = apply(SMALL.clone(result="projection"), variables, clip)[0]
  np.testing.assert_allclose(residual + projection, clip, atol=1e-5)
  np.testing.assert_allclose((residual * projection).sum(1), 0, atol=1e-4)


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("kind", ["zero", "constant", "identical frames"])
@pytest.mark.parametrize("train", [False, True])
def test_clips_at_rest(rank, kind, train):
  """Finite results and gradients, also with all of the MLP at 0, where A is 0 unless its bias is not."""
  frame = {"zero": 0, "constant": 3.0, "identical frames": RNG.normal(size=(1, 1, 6, 6, 3))}[kind]
  clip = jnp.asarray(np.zeros((2, 4, 6, 6, 3)) + frame, "float32")
  module = SMALL.clone(rank=rank)
  variables = init(module, clip)

  @jax.jit
  def gradients(params, clip):
    def loss(params, clip):
      changing = {**variables, "params": params}
      output, changed = module.apply(changing, clip, train, mutable=["aux", "batch_stats"])
      return jnp.sum(output**2) + jnp.sum(changed["aux"]["enopr"][0]), output

    return jax.grad(loss, (0, 1), has_aux=True)(params, clip)

  for params in (variables["params"], jax.tree.map(jnp.zeros_like, variables["params"])):
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients(params, clip)))


def test_gradients():
  clip = jnp.asarray(RNG.normal(size=(1, 4, 3, 4, 2)), "float32")
  module = SMALL.clone(rank=2, features=2)
  variables = init(module, clip)

  @jax.jit
  def run(params, clip):
    output, changed = module.apply({**variables, "params": params}, clip, False, mutable=["aux"])
    return output, changed["aux"]["enopr"][0]

  check_grads(run, (variables["params"], clip), order=1, modes=["rev"], atol=3e-2, rtol=3e-2)


def test_enopr_falls_when_it_is_trained():
  """What stays is learnt: a still texture with little noise over it is nearly all projected away."""
  still = RNG.normal(size=(4, 1, 8, 8, 3))
  clip = jnp.asarray(still + 0.1 * RNG.normal(size=(4, 4, 8, 8, 3)), "float32")
  variables = init(SMALL, clip)
  tx = optax.adam(0.01)

  @jax.jit
  def train(params):
    def step(carry, _):
      def loss(params):
        changed = SMALL.apply({**variables, "params": params}, clip, False, mutable=["aux"])[1]
        return changed["aux"]["enopr"][0].mean()

      value, grads = jax.value_and_grad(loss)(carry[0])
      updates, opt_state = tx.update(grads, carry[1], carry[0])
      return (optax.apply_updates(carry[0], updates), opt_state), value

    return jax.lax.scan(step, (params, tx.init(params)), length=100)[1]

  values = train(variables["params"])
  assert values[-1] < 0.1 * values[0]
  assert values[-1] > 0.5 * 3 * 0.01  # three of four dimensions of the noise are left


def test_not_a_number_stays_in_its_clip():
  clip = RNG.normal(size=(2, 4, 6, 6, 3)).astype("float32")
  variables = init(SMALL, clip)
  clean = apply(SMALL, variables, clip)
  clip[0, 1, 2, 2, 0] = np.nan
  output, enopr = apply(SMALL, variables, clip)
  assert np.isnan(output[0]).any()
  assert np.isnan(enopr[0])
  np.testing.assert_array_equal(output[1], clean[0][1])
  np.testing.assert_array_equal(enopr[1], clean[1][1])


def test_bfloat16_is_close():
  clip = jnp.asarray(RNG.normal(size=(1, 4, 6, 6, 3)), "bfloat16")
  variables = init(SMALL, clip)
  half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), variables["params"])
  low = apply(SMALL, {**variables, "params": half}, clip)[0]
  high = apply(SMALL, variables, clip.astype("float32"))[0]
  assert low.dtype == jnp.bfloat16
  np.testing.assert_allclose(low.astype("float32"), high, atol=0.1 * np.abs(high).max())


def test_segments_do_not_see_each_other():
  clip = jnp.asarray(RNG.normal(size=(1, 12, 5, 7, 3)), "float32")
  variables = init(SMALL, clip)
  output, _ = apply(SMALL, variables, clip)
  other, _ = apply(SMALL, variables, clip.at[:, 4:8].add(1.0))
  assert output.shape == (1, 3, 5, 7, 3)
  np.testing.assert_array_equal(other[:, ::2], output[:, ::2])
  assert np.abs(other[:, 1] - output[:, 1]).max() > 0


def test_before_a_backbone():
  """S x T frames become S; a channel count other than 3; the ENoPR reaches the objectives."""
  network = Recognizer(MiniResNet(widths=(8, 8, 8, 8)), 3, representation=SMALL)
  clip = jnp.zeros((2, 8, 17, 19, 2))
  (output, sown), _ = jax.eval_shape(
    lambda: (lambda v: (network.apply(v, clip, False, mutable=["aux"]), v))(
      network.init(jax.random.key(0), clip, False)
    )
  )
  assert output.aux["frame_logits"].shape == (2, 2, 3)
  assert sown["aux"]["representation"]["enopr"][0].shape == (2,)


@pytest.mark.parametrize(
  ("changes", "shape", "error", "words"),
  [
    ({}, (1, 6, 8, 8, 3), InputError, "6 frames do not make whole segments of 4; sample a multiple of 4"),
    ({}, (1, 1, 8, 8, 3), InputError, "1 frames do not make"),
    ({}, (4, 8, 8, 3), InputError, "takes clips"),
    ({"rank": 4}, (1, 4, 8, 8, 3), ConfigError, "frames=4, rank=4.*3 at most"),
    ({"rank": 0}, (1, 4, 8, 8, 3), ConfigError, "rank=0"),
    ({"frames": 1}, (1, 1, 8, 8, 3), ConfigError, r"PWTP\(frames=1\)"),
    ({"kernel": 8}, (1, 4, 8, 8, 3), ConfigError, "kernel=8.*must be an odd int"),
    ({"stride": 0}, (1, 4, 8, 8, 3), ConfigError, "stride=0"),
    ({"bottleneck": 0.01}, (1, 4, 8, 8, 3), ConfigError, "bottleneck=0.01.*at least one of 6 x 2"),
    ({"bottleneck": float("nan")}, (1, 4, 8, 8, 3), ConfigError, "bottleneck=nan"),
    ({"num_blocks": -1}, (1, 4, 8, 8, 3), ConfigError, "num_blocks=-1"),
    ({"features": 0}, (1, 4, 8, 8, 3), ConfigError, "features=0"),
    ({"result": "static"}, (1, 4, 8, 8, 3), ConfigError, "static.*dynamic, residual, projection"),
  ],
)
def test_bad_input(changes, shape, error, words):
  with pytest.raises(error, match=words):
    jax.eval_shape(lambda: SMALL.clone(**changes).init(jax.random.key(0), jnp.zeros(shape), False))


def test_one_pixel_is_enough():
  output, _ = jax.eval_shape(lambda: PWTP().init_with_output(jax.random.key(0), jnp.zeros((1, 8, 1, 1, 3)), False))
  assert output.shape == (1, 1, 1, 1, 3)


def test_frozen_bn_keeps_its_statistics_and_gets_no_gradient():
  clip = jnp.asarray(RNG.normal(size=(1, 4, 6, 6, 3)), "float32")
  for frozen in (True, False):
    module = SMALL.clone(frozen_bn=frozen)
    variables = init(module, clip)

    def total(params, module=module, variables=variables):
      y, changed = module.apply({**variables, "params": params}, clip, True, mutable=["batch_stats", "aux"])
      return jnp.sum(y * clip[:, :1]), changed["batch_stats"]

    gradient, stats = jax.jit(jax.grad(total, has_aux=True))(variables["params"])
    assert bool(np.abs(gradient["bn0"]["scale"]).max() > 0) != frozen
    assert np.array_equal(stats["bn0"]["mean"], variables["batch_stats"]["bn0"]["mean"]) == frozen
