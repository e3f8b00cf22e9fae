import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.core import FrozenDict

from vidjax.errors import ConfigError, InputError
from vidjax.ops.temporal_shift import temporal_shift
from vidjax.plugins.tim import TIM


def as_clip(maps, frames):
  return np.moveaxis(maps.reshape(-1, frames, *maps.shape[1:]), 2, -1)


@pytest.fixture
def golden(shared_golden):
  arrays = dict(np.load(shared_golden / "tim.npz"))
  clips = ("x", "y_init", "y_rand", "grad_out", "grad_x", "tsm_y")
  return {key: as_clip(a, 8) if key in clips else a for key, a in arrays.items()}


def kernel_of(weight):
  return jnp.asarray(weight.transpose(2, 1, 0)[:, None, None])


def test_golden_initial_values(golden):
  y, variables = jax.jit(lambda x: TIM().init_with_output(jax.random.key(0), x, False))(golden["x"])
  np.testing.assert_array_equal(variables["params"]["kernel"], kernel_of(golden["weight_init"]))
  np.testing.assert_array_equal(y, golden["y_init"])
  np.testing.assert_array_equal(y, golden["tsm_y"])


def test_golden_random_weights_and_gradients(golden):
  @jax.jit
  def run(kernel, x, cotangent):
    y, pull = jax.vjp(lambda kernel, x: TIM().apply({"params": {"kernel": kernel}}, x, True), kernel, x)
    return y, *pull(cotangent)

  y, of_kernel, of_x = run(kernel_of(golden["weight_rand"]), golden["x"], golden["grad_out"])
  np.testing.assert_allclose(y, golden["y_rand"], rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(of_x, golden["grad_x"], rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(of_kernel, kernel_of(golden["grad_weight"]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("fold_div", "kernel", "frames"), [(8, 3, 1), (4, 5, 5), (3, 7, 2)])
def test_starts_as_the_shift_and_trains_all_channels(fold_div, kernel, frames):
  x = jax.random.normal(jax.random.key(0), (2, frames, 3, 2, 16))
  module = TIM(fold_div, kernel)

  @jax.jit
  def run(x):
    y, variables = module.init_with_output(jax.random.key(1), x, False)
    weigh = jnp.cos(jnp.arange(x.size)).reshape(x.shape)
    return y, jax.grad(lambda v: jnp.sum(weigh * module.apply(v, x, True)))(variables)["params"]["kernel"]

  y, gradient = run(x)
  np.testing.assert_array_equal(y, temporal_shift(x, 16 // fold_div))
  reach = min(kernel // 2, frames - 1)
  middle = gradient[kernel // 2 - reach : kernel // 2 + reach + 1]
  assert (np.abs(middle) > 0).all()
  assert np.abs(gradient).sum() == np.abs(middle).sum()


def test_a_tap_reads_its_frame():
  x = np.random.default_rng(0).normal(size=(1, 4, 2, 2, 3)).astype("float32")
  kernel = np.random.default_rng(1).normal(size=(5, 1, 1, 1, 3)).astype("float32")
  expected = np.zeros(x.shape)
  for t in range(4):
    for i in range(5):
      if 0 <= t + i - 2 < 4:
        expected[:, t] += x[:, t + i - 2] * kernel[i, 0, 0, 0].astype("float64")
  y = TIM(2, 5).apply(FrozenDict({"params": {"kernel": kernel}}), jnp.asarray(x), False)
  np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
  ("fold_div", "kernel", "channels", "message"),
  [
    (8, 3, 7, r"fold_div=8\) at the top on 1x2x1x1x7: 7 channels leave 0; choose a fold_div from 2 to 7"),
    (1, 3, 16, r"fold_div=1\) at the top: must be an int of at least 2"),
    (0, 3, 16, r"fold_div=0\) at the top: must be an int of at least 2"),
    (8, 4, 16, r"kernel=4\) at the top: must be an odd int of at least 3"),
    (8, 1, 16, r"kernel=1\) at the top: must be an odd int of at least 3"),
  ],
)
def test_what_does_not_fit_is_named(fold_div, kernel, channels, message):
  with pytest.raises(ConfigError, match=message):
    TIM(fold_div, kernel).init(jax.random.key(0), jnp.zeros((1, 2, 1, 1, channels)), False)


def test_images_are_refused():
  with pytest.raises(InputError, match=r"TIM at the top takes clips .* got the shape \(2, 4, 4, 16\)"):
    TIM().init(jax.random.key(0), jnp.zeros((2, 4, 4, 16)), False)
