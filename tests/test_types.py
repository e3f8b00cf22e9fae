import jax
import jax.numpy as jnp
import pytest

from vidjax.errors import ConfigError, InputError
from vidjax.types import Output, State


def test_a_missing_aux_key_says_what_there_is():
  output = Output(jnp.zeros((1, 2)), jnp.zeros((1, 3)), {"projection": 1.0, "frame_logits": 2.0})
  assert output.take("projection") == 1.0
  with pytest.raises(ConfigError, match=r"aux\['reconstruction'\].*it provides: frame_logits, projection"):
    output.take("reconstruction")
  with pytest.raises(InputError, match="it provides: nothing"):
    Output(jnp.zeros((1, 2)), jnp.zeros((1, 3))).take("projection")


def test_output_and_state_pass_through_jit():
  output = Output(jnp.ones((1, 2)), jnp.zeros((1, 3)), {"extra": jnp.ones(4)})
  doubled = jax.jit(lambda output: jax.tree.map(lambda x: 2 * x, output))(output)
  assert doubled.aux["extra"].sum() == 8
  state = State(jnp.zeros((), jnp.int32), {"w": jnp.ones(2)}, {}, ())
  assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(state))
  assert state.ema is None
