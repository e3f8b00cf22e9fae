import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vidjax.errors import ConfigError
from vidjax.train.multitask import Weighted


def losses_of(w):
  return {"square": jnp.sum(w**2), "sum": jnp.sum(w)}


def blended(blend, w, step=0):
  losses, pullback = jax.vjp(losses_of, w)
  return blend(losses, lambda cotangents: pullback(cotangents)[0], jnp.asarray(step))


def test_fixed_weights():
  w = jnp.array([1.0, -2.0, 3.0])
  gradient, notes = blended(Weighted({"square": 0.5}), w)
  np.testing.assert_allclose(gradient, 0.5 * 2 * w + 1)
  np.testing.assert_allclose(notes["loss"], 0.5 * 14 + 2)
  assert (notes["weight/square"], notes["weight/sum"]) == (0.5, 1)


@pytest.mark.parametrize("step", [0, 5, 10, 20])
def test_scheduled_weights(step):
  w = jnp.array([1.0, -2.0, 3.0])
  blend = Weighted({"sum": optax.linear_schedule(1.0, 0.0, 10)})
  gradient, notes = jax.jit(lambda w, step: blended(blend, w, step))(w, step)
  weight = max(0.0, 1 - step / 10)
  np.testing.assert_allclose(gradient, 2 * w + weight, rtol=1e-6)
  np.testing.assert_allclose(notes["weight/sum"], weight, atol=1e-6)


def test_one_backward_pass_whatever_the_number_of_losses():
  calls = []

  def pullback(cotangents):
    calls.append(cotangents)
    return cotangents

  Weighted()({name: jnp.ones(()) for name in "abc"}, pullback, jnp.zeros(()))
  assert len(calls) == 1


def test_a_single_loss_logs_no_weight():
  _, notes = Weighted()({"only": jnp.ones(())}, lambda cotangents: cotangents, jnp.zeros(()))
  assert set(notes) == {"loss"}


def test_weights_of_nothing_but_0_are_refused():
  with pytest.raises(ConfigError, match="0 for all of square, sum: nothing would be learnt"):
    blended(Weighted({"square": 0.0, "sum": 0}), jnp.ones(2))


def test_a_weight_for_no_loss_names_both():
  with pytest.raises(ConfigError, match="weights name squares, but the losses are square, sum"):
    blended(Weighted({"squares": 1.0}), jnp.ones(2))
