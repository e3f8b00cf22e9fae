import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.backbones.resnet import ResNet
from vidjax.errors import ConfigError, InputError
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert
from vidjax.plugins.mem import MEM
from vidjax.plugins.tim import TIM


def dense(weight, bias=None):
  return {"kernel": jnp.asarray(weight.T)} | ({} if bias is None else {"bias": jnp.asarray(bias)})


@pytest.mark.parametrize("bias", [True, False])
def test_golden(shared_golden, bias):
  golden = np.load(shared_golden / "mem.npz")
  x, expected = (
    np.moveaxis(golden[key].reshape(2, 8, 32, 7, 7), 2, -1)
    for key in ("x", "y_paper_bias" if bias else "y_paper_nobias")
  )
  names = {"this": "1", "next": "2", "expand": "3"}
  params = {name: dense(golden["W" + i], golden["b" + i] if bias else None) for name, i in names.items()}
  y = jax.jit(lambda x: MEM(bias=bias).apply({"params": params}, x, False))(x)
  np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
  assert jax.tree.structure(params) == jax.tree.structure(
    jax.eval_shape(lambda: MEM(bias=bias).init(jax.random.key(0), x, False))["params"]
  )


@pytest.mark.parametrize(("frames", "reduction"), [(1, 4), (2, 3), (5, 1)])
def test_the_equation(frames, reduction):
  x = np.random.default_rng(frames).normal(size=(2, frames, 3, 2, 8)).astype("float32")
  variables = jax.jit(lambda x: MEM(reduction).init(jax.random.key(0), x, False))(x)
  y, sown = jax.jit(lambda x: MEM(reduction).apply(variables, x, False, mutable=["intermediates"]))(x)
  (factors,) = sown["intermediates"]["excitation"]
  np.testing.assert_allclose(y, x * factors[:, :, None, None], rtol=1e-6)
  w = {name: np.asarray(layer["kernel"], "float64") for name, layer in variables["params"].items()}
  s = x.astype("float64").mean((2, 3))
  expected = x.astype("float64")
  for t in range(frames - 1):
    a = 1 / (1 + np.exp(-(s[:, t + 1] @ w["next"] - s[:, t] @ w["this"]) @ w["expand"]))
    expected[:, t] *= a[:, None, None]
  np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
  np.testing.assert_array_equal(y[:, -1], x[:, -1])


def test_close_frames_keep_their_difference_in_bfloat16():
  """The means differ by less than bfloat16 can tell near 4; their difference decides."""
  x = jnp.asarray(4 + 0.03 * jax.random.normal(jax.random.key(0), (1, 2, 8, 8, 16)), jnp.bfloat16)

  @jax.jit
  def run(x):
    params = jax.tree.map(lambda p: (40 * p).astype(jnp.bfloat16), MEM().init(jax.random.key(1), x, False))["params"]
    params["next"] = params["this"]
    wide = jax.tree.map(lambda p: p.astype("float32"), params)
    return MEM().apply({"params": params}, x, False), MEM().apply({"params": wide}, x.astype("float32"), False)

  y, exact = run(x)
  assert y.dtype == jnp.bfloat16
  assert np.abs(exact / x.astype("float32") - 0.5)[:, 0].max() > 0.05
  np.testing.assert_allclose(y.astype("float32"), exact, rtol=0.01)


@pytest.mark.parametrize(("bias", "expected"), [(True, 30_356_896), (False, 30_340_496)])
def test_teinet_has_the_published_parameters(bias, expected):
  """TEINet prints 30.4M for its R50 with 400 classes; facts.md has 30.34 to 30.36M."""
  inserts = (Insert(MEM(bias=bias), "before"), Insert(TIM(), "before"))
  network = Recognizer(ResNet(50, inserts=inserts), 400)
  shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), jnp.zeros((1, 8, 224, 224, 3)), False))
  count = sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
  inputs = [64, *[256] * 3, *[512] * 4, *[1024] * 6, *[2048] * 2]
  extra = sum(3 * c * c // 8 + 3 * c + bias * (c + c // 4) for c in inputs)
  assert count == 24_327_632 + extra == expected
  assert 30.34e6 <= count <= 30.36e6


@pytest.mark.parametrize(
  ("reduction", "channels", "remedy"),
  [(8, 7, "choose a reduction from 1 to 7"), (0, 8, "an int of at least 1"), (-1, 8, "an int of at least 1")],
)
def test_too_few_channels_name_the_module_and_the_range(reduction, channels, remedy):
  with pytest.raises(ConfigError, match=rf"MEM\(reduction={reduction}\) at the top.*{remedy}"):
    MEM(reduction).init(jax.random.key(0), jnp.zeros((1, 2, 1, 1, channels)), False)


def test_images_are_refused():
  with pytest.raises(InputError, match=r"MEM at the top takes clips .* got the shape \(2, 4, 4, 16\)"):
    MEM().init(jax.random.key(0), jnp.zeros((2, 4, 4, 16)), False)
