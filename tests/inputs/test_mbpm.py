import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from vidjax.analyse.cost import count_macs
from vidjax.backbones.resnet import MiniResNet
from vidjax.errors import ConfigError, InputError
from vidjax.inputs.mbpm import MBPM, Quiet, laplacian_of_gaussian, quiet
from vidjax.networks.recognizer import Recognizer
from vidjax.ops.depthwise import depthwise_convolution

RNG = np.random.default_rng(0)


def channels_last(x):
  return np.moveaxis(x, 1, -1)


def released(spatial, temporal):
  """The released kernels `[C, 1, k, k]` and `[C, 1, 3]` as parameters."""
  return {"params": {"spatial": {"kernel": spatial.transpose(2, 3, 1, 0)}, "temporal": {"kernel": temporal.T}}}


def assert_close(a, b, tolerance=2e-6):
  np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())


def test_golden_kernels(shared_golden):
  golden = np.load(shared_golden / "log_kernels.npz")
  for sigma, k in ((1.1, 9), (0.9, 7), (0.9, 3), (0.7, 9), (1.1, 5), (1.1, 7)):
    np.testing.assert_allclose(
      laplacian_of_gaussian(sigma, k), golden[f"norm_sigma{sigma}_k{k}_float64"], rtol=1e-10, atol=1e-12
    )
    raw = golden[f"raw_sigma{sigma}_k{k}_float64"]
    np.testing.assert_allclose(laplacian_of_gaussian(sigma, k, "l1"), -raw / np.abs(raw).sum(), rtol=1e-12)


@pytest.mark.parametrize(("sigma", "k", "magnitude"), [(1.1, 5, 5.1), (1.1, 7, 60), (1.1, 9, 1589), (1.1, 11, 103e3)])
def test_documented_magnitudes(sigma, k, magnitude):
  assert np.abs(laplacian_of_gaussian(sigma, k)).sum() == pytest.approx(magnitude, rel=0.01)


def test_golden_input(shared_golden):
  """Initial and trained kernels, and all gradients, of the released module on triples of frames."""
  golden = np.load(shared_golden / "mbpm_first.npz")
  x = np.moveaxis(golden["x"], 3, -1).reshape(2, 9, 14, 18, 3)
  module = MBPM()

  def as_clip(y):
    return channels_last(y).reshape(2, 3, *y.shape[2:], 3)

  variables = jax.jit(functools.partial(module.init, train=False))(jax.random.key(0), x)
  initial = released(golden["init_conv_s"], golden["init_conv_t"])
  jax.tree.map(functools.partial(assert_close, tolerance=1e-4), variables, initial)
  run = jax.jit(lambda variables, x: module.apply(variables, x, True))
  assert_close(run(initial, x), as_clip(golden["init_out"]))

  @jax.jit
  def gradients(variables, x, g):
    y, pullback = jax.vjp(run, variables, x)
    return y, pullback(g)

  trained = released(golden["trained_conv_s"], golden["trained_conv_t"])
  y, (of_variables, of_x) = gradients(trained, x, as_clip(golden["cotangent"]))
  assert_close(y, as_clip(golden["trained_out"]))
  assert_close(of_x, np.moveaxis(golden["grad_x"], 3, -1).reshape(x.shape))
  jax.tree.map(
    functools.partial(assert_close, tolerance=1e-5),
    of_variables,
    released(golden["grad_conv_s"], golden["grad_conv_t"]),
  )


@pytest.mark.parametrize("k", [7, 3])
def test_golden_lateral(shared_golden, k):
  golden = np.load(shared_golden / "mbpm_lateral.npz")
  x = channels_last(golden[f"k{k}_x"])
  x = x.reshape(2, 4, *x.shape[1:])
  run = jax.jit(lambda variables, x: MBPM(0.9, k, stride=1).apply(variables, x, False))
  for which in ("init", "trained"):
    variables = released(golden[f"k{k}_{which}_conv_s"], golden[f"k{k}_{which}_conv_t"])
    assert_close(run(variables, x), channels_last(golden[f"k{k}_{which}_out"]).reshape(x.shape))


def reference(x, spatial, temporal, stride):
  """Eq. 5.3 in its own order, in float64: space first, then time."""
  k = spatial.shape[0]
  height, width = x.shape[2:4]
  pad = k // 2
  padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad), (0, 0)), mode="reflect")
  smooth = sum(padded[:, :, i : i + height, j : j + width] * spatial[i, j] for i in range(k) for j in range(k))
  if stride == 1:
    smooth = np.concatenate([smooth[:, :1], smooth, smooth[:, -1:]], axis=1)
  return np.stack(
    [sum(smooth[:, t + i] * temporal[i] for i in range(3)) for t in range(0, smooth.shape[1] - 2, stride)], axis=1
  )


@pytest.mark.parametrize(("stride", "frames"), [(1, 1), (1, 4), (3, 3), (3, 9), (2, 7), (4, 7)])
@pytest.mark.parametrize(("size", "channels"), [((5, 8), 1), ((6, 5), 4)])
def test_equation(stride, frames, size, channels):
  x = RNG.normal(size=(2, frames, *size, channels))
  spatial, temporal = RNG.normal(size=(5, 5, channels)), RNG.normal(size=(3, channels))
  variables = {
    "params": {"spatial": {"kernel": spatial[:, :, None]}, "temporal": {"kernel": temporal[:, None]}},
  }
  with jax.enable_x64(True):
    y = jax.jit(lambda v, x: MBPM(kernel=5, stride=stride).apply(v, x, False))(variables, x)
  assert_close(y, reference(x, spatial, temporal, stride), 1e-6)  # time is summed in float32


def test_a_clip_at_rest_is_zero_and_time_reverses():
  x = jnp.asarray(RNG.normal(size=(1, 9, 12, 12, 3)), "float32")
  module = MBPM(trainable=False)
  run = jax.jit(lambda x: module.apply({}, x, False))
  still = jnp.broadcast_to(x[:, :1], x.shape)
  assert np.abs(run(still)).max() < 1e-6 * np.abs(run(x)).max()
  assert_close(run(x[:, ::-1]), run(x)[:, ::-1], 1e-5)
  assert_close(run(x + 100.0), run(x), 1e-4)


def test_parameters_and_cost():
  """Table 5.1: 0.2 K parameters; 0.3 G in the thesis's order, a third of it here."""
  clip = jax.ShapeDtypeStruct((1, 24, 224, 224, 3), "float32")
  variables = jax.eval_shape(lambda x: MBPM().init(jax.random.key(0), x, False), clip)
  assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == 252
  macs = count_macs(lambda v, x: MBPM().apply(v, x, False), variables, clip)
  assert macs == 8 * 224 * 224 * 3 * 81
  assert not jax.eval_shape(lambda x: MBPM(trainable=False).init(jax.random.key(0), x, False), clip)


def test_frozen_is_the_initial_trainable():
  x = jnp.asarray(RNG.normal(size=(1, 3, 9, 9, 3)), "float32")
  frozen = jax.jit(lambda x: MBPM(trainable=False).apply({}, x, False))(x)
  trained = jax.jit(lambda x: MBPM().init_with_output(jax.random.key(0), x, False)[0])(x)
  np.testing.assert_array_equal(frozen, trained)


def test_l1_has_the_magnitude_of_its_input():
  x = RNG.uniform(-1, 1, size=(1, 3, 12, 12, 3)).astype("float32")
  tall, sane = (jax.jit(lambda x, m=m: m.apply({}, x, False))(x) for m in (TALL, SANE))
  assert np.abs(sane).max() <= 4 / 3
  assert np.abs(tall).max() > 100
  assert_close(sane / np.abs(sane).max(), tall / np.abs(tall).max(), 1e-5)


TALL, SANE = MBPM(trainable=False), MBPM(trainable=False, normalise="l1")


def test_bfloat16_keeps_small_changes():
  """The change between frames is taken before anything is rounded."""
  x = jnp.asarray(10 + RNG.normal(size=(1, 3, 12, 12, 1)), "bfloat16")
  run = jax.jit(lambda x: SANE.apply({}, x, False))
  y = run(x)
  assert y.dtype == jnp.bfloat16
  assert_close(y.astype("float32"), run(x.astype("float32")), 0.01)


@pytest.mark.parametrize("stride", [1, 3])
def test_gradients(stride):
  x = jnp.asarray(RNG.normal(size=(1, 3, 4, 5, 2)), "float32")
  module = MBPM(1.0, 3, stride)
  variables = jax.jit(lambda x: module.init(jax.random.key(0), x, False))(x)
  check_grads(
    jax.jit(lambda v, x: module.apply(v, x, True)), (variables, x), order=1, modes=["rev"], atol=2e-2, rtol=2e-2
  )


def test_not_a_number_stays_where_it_is():
  x = RNG.normal(size=(2, 6, 16, 16, 1)).astype("float32")
  run = jax.jit(lambda x: TALL.apply({}, x, False))
  clean = run(x)
  x[0, 4, 0, 0] = np.nan
  y = np.array(run(x))
  near = np.zeros(y.shape, bool)
  near[0, 1, :5, :5] = True
  assert np.isnan(y[near]).all()
  np.testing.assert_array_equal(y[~near], clean[~near])


@pytest.mark.parametrize(
  ("module", "shape", "error", "words"),
  [
    (MBPM(), (1, 4, 16, 16, 3), InputError, "4 frames do not fit; sample a multiple of 3"),
    (MBPM(), (1, 1, 16, 16, 3), InputError, "1 frames do not fit"),
    (MBPM(stride=2), (1, 4, 16, 16, 3), InputError, "sample 3 and a multiple of 2 more"),
    (MBPM(), (2, 16, 16, 3), InputError, "takes clips"),
    (MBPM(), (1, 3, 4, 16, 3), InputError, "4 x 16 pixels are too few to reflect 4 of them.*at most 7"),
    (MBPM(kernel=8), (1, 3, 16, 16, 3), ConfigError, "kernel=8.*must be an odd int of at least 3"),
    (MBPM(kernel=1), (1, 3, 16, 16, 3), ConfigError, "at least 3"),
    (MBPM(kernel=15), (1, 3, 16, 16, 3), ConfigError, "too little to divide by.*l1"),
    (Quiet(scale=math.inf), (1, 3, 16, 16, 3), ConfigError, "scale=inf.*must be a finite number above 0"),
    (MBPM(sigma=0.0), (1, 3, 16, 16, 3), ConfigError, "sigma=0.0.*must be a number from 0.001"),
    (
      MBPM(sigma=math.inf),
      (1, 3, 16, 16, 3),
      ConfigError,
      "sigma=inf.*must be a number from 0.001",
    ),  # made a kernel of NaN
    (MBPM(stride=0), (1, 3, 16, 16, 3), ConfigError, "stride=0"),
    (MBPM(normalise="sun"), (1, 3, 16, 16, 3), ConfigError, "sun.*sum, l1"),
    (Quiet(scale=0.01), (1, 3, 16, 16, 3), ConfigError, "0 x 0 pixels"),
    (Quiet(MBPM(stride=1)), (1, 3, 16, 16, 3), ConfigError, "must be an MBPM of stride 3"),
    (Quiet(form="last"), (1, 3, 16, 16, 3), ConfigError, "last.*complement, first"),
    (Quiet(form="first"), (1, 4, 16, 16, 3), InputError, "multiple of 3 frames"),
    (Quiet(), (16, 16, 3), InputError, "takes clips"),
  ],
)
def test_bad_input(module, shape, error, words):
  with pytest.raises(error, match=words):
    jax.eval_shape(lambda x: module.init(jax.random.key(0), x, False), jax.ShapeDtypeStruct(shape, "float32"))


def test_messages_name_the_place():
  network = Recognizer(MiniResNet(), 3, representation=MBPM())
  with pytest.raises(InputError, match=r"MBPM\(stride=3\) at representation on 1x4x16x16x3: 4 frames"):
    jax.eval_shape(lambda x: network.init(jax.random.key(0), x, False), jnp.zeros((1, 4, 16, 16, 3)))


def test_quiet():
  """Eq. 5.4, and the smallest maps by hand: 4 pixels to 2 are the means of pairs."""
  x = jnp.asarray(RNG.normal(size=(1, 6, 4, 4, 1)), "float32")
  busy = jnp.asarray(RNG.normal(size=(1, 2, 4, 4, 1)), "float32")

  def halved(y):
    return y.reshape(1, 2, 2, 2, 2, 2, 1).mean(axis=(3, 5))

  complement = halved(np.asarray(x).reshape(1, 2, 3, 4, 4, 1).mean(axis=2) - busy)
  np.testing.assert_allclose(quiet(x, busy, (2, 2)), complement, atol=1e-6)
  np.testing.assert_allclose(quiet(x, None, (2, 2), "first"), halved(x[:, ::3]), atol=1e-6)
  with pytest.raises(InputError, match=r"wants its busy \(1, 2, 4, 4, 1\), got \(1, 1, 4, 4, 1\)"):
    quiet(x, busy[:, :1], (2, 2))
  with pytest.raises(InputError, match="got None"):
    quiet(x, None, (2, 2))


def test_quiet_module_is_the_function():
  x = jnp.asarray(RNG.normal(size=(1, 6, 13, 17, 3)), "float32")
  module = Quiet(SANE)
  y = jax.jit(lambda x: module.apply({}, x, False))(x)
  assert y.shape == (1, 2, 8, 10, 3)
  expected = jax.jit(lambda x: quiet(x, SANE.apply({}, x, False), (8, 10)))(x)
  np.testing.assert_allclose(y, expected, atol=1e-6)
  first = jax.eval_shape(lambda: Quiet(form="first").init(jax.random.key(0), x, False))
  assert not jax.tree.leaves(first)


def test_the_complement_of_tall_kernels_is_no_busy_with_its_sign_changed():
  """To the letter, Eq. 5.4 gave -Busy with "sum" (correlation -1); over its gain the frames stay visible."""
  x = jnp.asarray(RNG.normal(size=(1, 3, 16, 16, 3)), "float32")
  assert MBPM().gain == pytest.approx(1589, rel=1e-3)
  assert SANE.gain == pytest.approx(1)
  tall, sane = (jax.jit(lambda x, m=m: Quiet(m, 1.0).apply({}, x, False))(x) for m in (TALL, SANE))
  np.testing.assert_allclose(tall, sane, atol=1e-4)
  busy = jax.jit(lambda x: TALL.apply({}, x, False))(x)
  assert abs(np.corrcoef(np.ravel(tall), np.ravel(busy))[0, 1]) < 0.9


def test_odd_sizes_and_channels_before_a_backbone():
  network = Recognizer(MiniResNet(widths=(8, 8, 8, 8)), 3, representation=MBPM())
  for shape in ((1, 6, 27, 33, 3), (1, 3, 27, 33, 2)):
    output, _ = jax.eval_shape(lambda x: network.init_with_output(jax.random.key(0), x, False), jnp.zeros(shape))
    assert output.aux["frame_logits"].shape == (1, shape[1] // 3, 3)


def test_the_released_order_gives_the_same_spatial_output(shared_golden):
  """The operation under it, alone: the spatial filter of the released module."""
  golden = np.load(shared_golden / "mbpm_first.npz")
  x = np.moveaxis(golden["x"], 3, -1).reshape(18, 14, 18, 3)
  kernel = golden["init_conv_s"].transpose(2, 3, 1, 0)
  y = jax.jit(lambda x, kernel: depthwise_convolution(x, kernel, (1, 1), ((4, 4), (4, 4)), "reflect"))(x, kernel)
  assert_close(y, channels_last(golden["init_s_out"]))
