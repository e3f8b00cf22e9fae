import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.apply.forward import forward
from vidjax.backbones.resnet import BasicBlock
from vidjax.backbones.stage import Stage
from vidjax.errors import ConfigError
from vidjax.losses.temporal_diversity import TemporalDiversity
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert
from vidjax.plugins.temporal_diversity import TDLoss
from vidjax.plugins.tim import TIM
from vidjax.types import Output


def test_sites_are_added_and_clips_averaged():
  sites = (np.array([1.0, 2.0, np.nan], "float32"), np.array([10.0, 20.0, 60.0], "float32"))
  output = Output(jnp.zeros((3, 2)), jnp.zeros((3, 1)), {"temporal_diversity": sites})
  batch = {"mask": np.array([True, True, False])}
  assert TemporalDiversity("td")(output, batch) == {"td": pytest.approx((11 + 22) / 2)}
  assert TemporalDiversity("td", scale=0.1)(output, batch) == {"td": pytest.approx((11 + 22) / 20)}


def test_a_network_without_the_plugin_is_named():
  output = Output(jnp.zeros((1, 2)), jnp.zeros((1, 1)), {"frame_logits": jnp.zeros(1)})
  with pytest.raises(ConfigError, match=r"aux\['temporal_diversity'\].*provides: frame_logits"):
    TemporalDiversity()(output, {"mask": np.array([True])})


@pytest.mark.parametrize(
  ("dtype", "remat", "order"), [("float32", False, "after"), ("bfloat16", True, "after"), ("float32", False, "before")]
)
def test_in_a_network(dtype, remat, order):
  """The loss of each block trains its temporal module only where it comes after it, and never a classifier."""
  tim, loss = Insert(TIM(2), "before"), Insert(TDLoss(), "before")
  inserts = (tim, loss) if order == "after" else (loss, tim)
  network = Recognizer(Stage((BasicBlock(4), BasicBlock(4)), 2, inserts, remat), 3)
  clips = jax.random.normal(jax.random.key(1), (2, 3, 4, 4, 4))

  @jax.jit
  def run():
    variables = network.init(jax.random.key(0), clips, False)

    def loss(params):
      rngs = {"dropout": jax.random.key(2)}
      output, _ = forward(network, {**variables, "params": params}, clips, True, rngs, dtype)
      value = TemporalDiversity()(output, {"mask": np.ones(2, bool)})["temporal_diversity"]
      return value, output.aux["temporal_diversity"]

    return jax.value_and_grad(loss, has_aux=True)(variables["params"])

  (value, sites), gradients = run()
  assert [site.shape for site in sites] == [(2,)] * 2
  assert value.dtype == jnp.float32
  np.testing.assert_allclose(value, sum(np.mean(site) for site in sites), rtol=1e-5)
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
  assert not gradients["classifier"]["kernel"].any()
  assert gradients["backbone"]["block0"]["conv2"]["kernel"].any()
  assert gradients["backbone"]["block1"]["before_TIM"]["kernel"].any() == (order == "after")
