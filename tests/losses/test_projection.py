import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.apply.forward import forward
from vidjax.errors import ConfigError
from vidjax.inputs.pwtp import PWTP
from vidjax.inputs.tsp import TSP
from vidjax.losses.projection import Projection
from vidjax.networks.recognizer import Recognizer
from vidjax.types import Output

ERRORS = (np.array([1.0, 2.0, 3.0], "float32"), np.array([10.0, 20.0, 60.0], "float32"))


def test_modules_are_added_and_clips_averaged():
  output = Output(jnp.zeros((3, 2)), jnp.zeros((3, 1)), {"projection_mae": ERRORS})
  batch = {"mask": np.array([True, True, False])}
  assert Projection("projection_mae", "tsp")(output, batch) == {"tsp": pytest.approx((11 + 22) / 2)}


def test_padding_has_no_gradient_whatever_its_error():
  def loss(errors):
    output = Output(jnp.zeros((3, 2)), jnp.zeros((3, 1)), {"enopr": (errors,)})
    return Projection()(output, {"mask": np.array([True, False, True])})["projection"]

  gradient = jax.grad(loss)(jnp.asarray([1.0, np.nan, 3.0]))
  np.testing.assert_allclose(gradient, [0.5, 0, 0.5])


def test_a_network_without_projection_is_named():
  output = Output(jnp.zeros((1, 2)), jnp.zeros((1, 1)), {"frame_logits": jnp.zeros(1)})
  with pytest.raises(ConfigError, match=r"aux\['enopr'\].*provides: frame_logits"):
    Projection()(output, {"mask": np.array([True])})


class Same(nn.Module):
  """A backbone that does nothing."""

  def __call__(self, x, train):
    return x


class Two(nn.Module):
  """A backbone of two modules that sow, one after the other."""

  @nn.compact
  def __call__(self, x, train):
    return TSP(2, 1, name="second")(TSP(3, 2, name="first")(x, train), train)


@pytest.mark.parametrize(
  ("network", "error", "place"),
  [
    (Recognizer(Same(), 3, PWTP(3, kernel=3, stride=2)), "enopr", "representation"),
    (Recognizer(Two(), 3), "projection_mae", "backbone"),
  ],
)
def test_from_the_forward_pass(network, error, place):
  """What inputs sow arrives, and its gradient reaches their parameters but none of the backbone behind them."""
  clips = jax.random.normal(jax.random.key(1), (2, 3, 16, 16, 3))
  batch = {"mask": np.ones(2, bool)}

  @jax.jit
  def gradients():
    variables = network.init(jax.random.key(0), clips, False)

    def loss(params):
      variables_now = {**variables, "params": params}
      output, _ = forward(network, variables_now, clips, True, {"dropout": jax.random.key(2)})
      return Projection(error)(output, batch)["projection"]

    return jax.value_and_grad(loss)(variables["params"])

  value, of_params = gradients()
  assert value > 0
  assert np.abs(of_params["classifier"]["kernel"]).max() == 0
  of_modules = [max(np.abs(leaf).max() for leaf in jax.tree.leaves(tree)) for tree in of_params[place].values()]
  assert min(of_modules) > 0
