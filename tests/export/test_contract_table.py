"""Every class of the contract table as a file for several platforms; and in the words that ONNX takes."""

import importlib.util
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.export_parity import function
from tests import test_contracts
from vidjax.backbones.resnet import Stem
from vidjax.errors import InputError
from vidjax.export import onnx_file, stablehlo
from vidjax.export.network import difference
from vidjax.export.plain import plain
from vidjax.inputs.mbpm import MBPM
from vidjax.inputs.tsp import TSP
from vidjax.networks.pooling import LSTMClassifier
from vidjax.networks.rtsae_dscnn import RTSAEDSCNN
from vidjax.ops import heads
from vidjax.ops.lowering import portable
from vidjax.plugins.pem import PEM
from vidjax.plugins.rnl import RNL
from vidjax.plugins.tim import TIM

ONNX = importlib.util.find_spec("jax2onnx") and importlib.util.find_spec("onnxruntime")
needs_onnx = pytest.mark.skipif(not ONNX, reason="needs pip install -e '.[onnx]', which changes Orbax's version")


@test_contracts.each(test_contracts.ALL)
def test_any_number_of_clips_on_all_platforms(cls):
  call, spec, _ = function(cls)
  file = stablehlo.lowered(call, spec)
  assert file.platforms == stablehlo.PLATFORMS
  assert [str(aval.shape[0]) for aval in (*file.in_avals, *file.out_avals)] == ["batch", "batch"]


@pytest.mark.parametrize("cls", [PEM, RNL, TIM, MBPM, Stem, LSTMClassifier], ids=lambda cls: cls.__name__)
def test_other_words_say_the_same(cls):
  """A recursion with gaps, convolutions over time, borders that are reflected, pooling, a loop."""
  call, _, clip = function(cls)
  shapes = jax.ShapeDtypeStruct(clip.shape, clip.dtype)
  with portable():
    again = plain(call, shapes)
  words = {equation.primitive.name for equation in jax.make_jaxpr(again)(shapes).jaxpr.eqns}
  assert not words & {"jit", "cond", "scan", "platform_index", "custom_vjp_call", "custom_jvp_call", "pad"}
  assert difference(jax.jit(again)(clip)[0], jax.jit(call)(clip)["y"]) < 1e-5


def test_gaps_negative_borders_pooling_over_three_axes_and_choices_of_truths():
  x = jax.random.normal(jax.random.key(0), (2, 5, 6, 7, 3))

  def padded(x):
    return jax.lax.pad(x, 2.0, [(0, 0, 0), (-1, 2, 2), (1, -2, 0), (0, 0, 1), (0, 0, 0)])

  def pooled(x):
    pads = ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 3, 3, 1), (1, 2, 2, 1, 1), pads)

  def convolved(x):
    layout = ("NDHWC", "DHWIO", "NDHWC")
    kernel = jax.random.normal(jax.random.key(1), (3, 2, 3, 3, 4))
    pads = ((2, 0), (0, 1), (1, 1))
    return jax.lax.conv_general_dilated(x, kernel, (2, 1, 2), pads, rhs_dilation=(2, 1, 1), dimension_numbers=layout)

  def looped(x):
    return jax.lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * 1.5), (0, x))[1]

  def chosen(x):  # truths and signs, which ONNX Runtime does not choose among
    signs = jnp.where(x > 0.5, jnp.int8(1), jnp.int8(-1))
    return jnp.where(x < 0, jnp.isfinite(x), x > 1) * signs.astype(jnp.float32)

  words = str(jax.make_jaxpr(plain(chosen, x))(x))
  assert re.search(r"i32\[[\d,]+\] = select_n", words)
  assert not re.search(r"(bool|i8)\[[\d,]+\] = select_n", words)
  for fn in (padded, pooled, convolved, looped, chosen):
    np.testing.assert_allclose(plain(fn, x)(x)[0], fn(x), rtol=1e-4, atol=1e-5)


def test_no_choice_by_the_devices_here(monkeypatch):
  monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
  query = jax.ShapeDtypeStruct((1, 4, 2, 8), "bfloat16")
  assert heads._cudnn(query)
  with portable():
    assert not heads._cudnn(query)
  assert heads._cudnn(query)


def test_a_network_that_skips_computes_all_steps_in_a_file():
  call, _, clip = function(RTSAEDSCNN)

  def sizes() -> int:
    """How many sizes of what is kept the prediction chooses from."""
    equations = jax.make_jaxpr(lambda x: call(x))(clip).jaxpr.eqns
    branches = [e.params["branches"] for e in equations if "branches" in e.params]
    return max((len(found) for found in branches), default=1)

  assert sizes() > 1
  with portable():
    assert sizes() == 1


@needs_onnx
def test_onnx_or_the_part_that_it_does_not_take():
  call, spec, clip = function(PEM)
  model = onnx_file.converted(call, spec, ("y",)).SerializeToString()
  for some in (clip, clip[:1]):
    assert difference(onnx_file.load(model)(some)["y"], call(some)["y"]) < 1e-5
  call, spec, _ = function(TSP)
  with pytest.raises(InputError, match=r"jax2onnx [\d.]+ cannot write 'lu' .*: take --format=stablehlo"):
    onnx_file.converted(call, spec, ("y",))
