"""Programs that run once are compiled for a short compilation."""

import jax
import numpy as np
import pytest

from vidjax.apply.once import LEVEL, jit_once


def draw(key, scale):
  return scale * jax.nn.initializers.variance_scaling(2.0, "fan_out", "truncated_normal")(key, (3, 3, 8, 40))


@pytest.mark.parametrize(
  ("flags", "platform", "level"),
  [
    ("", "cpu", {LEVEL: 1}),
    ("--xla_cpu_enable_fast_math=false", "cpu", {LEVEL: 1}),
    (f"--{LEVEL}=0", "cpu", None),
    ("", "gpu", None),
  ],
)
def test_a_short_compilation_for_cpus_unless_the_user_chose_one(monkeypatch, flags, platform, level):
  given = []
  monkeypatch.setenv("XLA_FLAGS", flags)
  monkeypatch.setattr(jax, "default_backend", lambda: platform)
  monkeypatch.setattr(jax, "jit", lambda fn, **options: given.append(options) or fn)
  jit_once(draw, static_argnums=1)
  assert given == [{"compiler_options": level, "static_argnums": 1}]


def test_numbers_are_those_of_the_default(monkeypatch):
  key = jax.random.key(3)
  plain = jax.jit(draw).lower(key, 0.5).compile({LEVEL: 3})(key, 0.5)
  monkeypatch.setenv("XLA_FLAGS", "")
  short = jit_once(draw)(key, 0.5)
  np.testing.assert_array_equal(short, plain)
