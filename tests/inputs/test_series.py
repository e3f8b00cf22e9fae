"""Inputs one after the other: their order, their names, what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from vidjax.backbones.resnet import MiniResNet
from vidjax.errors import ConfigError, InputError
from vidjax.inputs.flow import Flow
from vidjax.inputs.persistent_appearance import PersistentAppearance
from vidjax.inputs.rgb_difference import RGBDifference
from vidjax.inputs.series import Series
from vidjax.inputs.tsp import TSP
from vidjax.networks.recognizer import Recognizer

DIFFERENCE = RGBDifference(3, stack=False)
CLIP = np.random.default_rng(0).normal(size=(2, 6, 7, 9, 3)).astype("float32")


def shapes(module, clip=CLIP):
  return jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), clip, False))


def test_each_takes_what_the_one_before_it_makes():
  """Differences of squeezed images are not squeezed differences, though both have these shapes."""
  series = {"squeezed last": (DIFFERENCE, TSP(2, 1)), "squeezed first": (TSP(2, 1), DIFFERENCE)}
  outputs = {}
  for name, modules in series.items():
    variables = jax.jit(lambda m=modules: Series(m).init(jax.random.key(1), CLIP, False))()
    outputs[name] = jax.jit(lambda v, m=modules: Series(m).apply(v, CLIP, False))(variables)
    expected = CLIP
    for module in modules:
      own = {"params": variables["params"]["TSP"]} if isinstance(module, TSP) else {}
      expected = jax.jit(lambda x, m=module, v=own: m.apply(v, x, False))(expected)
    np.testing.assert_allclose(outputs[name], expected, rtol=1e-5, atol=1e-6)
    assert outputs[name].shape == (2, 2, 7, 9, 3)
  assert np.abs(outputs["squeezed last"] - outputs["squeezed first"]).max() > 0.01


def test_a_series_of_one_is_its_module():
  module = PersistentAppearance(3, 2, 3)
  variables = module.init(jax.random.key(0), CLIP, False)
  own = {"params": {"PersistentAppearance": variables["params"]}}
  np.testing.assert_array_equal(Series((module,)).apply(own, CLIP, False), module.apply(variables, CLIP, False))


def test_names_are_the_classes_and_one_template_twice_shares_nothing():
  module = TSP(3, 2)
  _, variables = shapes(Series((module, TSP(2, 1))))
  assert set(variables["params"]) == {"TSP", "TSP_2"}
  assert variables["params"]["TSP"]["mix"]["kernel"].shape == (3, 3)
  _, variables = shapes(Series((TSP(2, 1), TSP(3, 1))))
  assert variables["params"]["TSP_2"]["mix"]["kernel"].shape == (3, 3)
  same = PersistentAppearance(2, 2, 3)
  _, variables = shapes(Series((same, same)), jnp.zeros((1, 4, 7, 9, 3)))
  kernels = {path[0]: leaf.shape for path, leaf in flatten_dict(variables["params"]).items()}
  assert kernels == {"PersistentAppearance": (3, 3, 3, 2), "PersistentAppearance_2": (3, 3, 1, 2)}


def test_in_a_series_and_before_a_backbone():
  """The flow stream of thesis Fig. 3.4: flows as frames of two channels, squeezed; what TSP sows arrives."""
  inner = Series((Flow(3, levels=1, warps=1, iterations=1, stack=False), Series((TSP(2, 1),))))
  network = Recognizer(MiniResNet(widths=(4, 4, 4, 4)), 3, inner)
  output, variables = shapes(network, jnp.zeros((2, 6, 17, 19, 3)))
  assert output.aux["frame_logits"].shape == (2, 2, 3)
  assert set(variables["params"]["representation"]) == {"Series"}
  assert variables["params"]["backbone"]["stem"]["conv"]["kernel"].shape[2] == 2
  assert variables["aux"]["representation"]["Series"]["TSP"]["projection_mae"][0].shape == (2,)


@pytest.mark.parametrize(
  ("modules", "shape", "error", "words"),
  [
    ((), (1, 6, 8, 8, 3), ConfigError, r"Series\(modules=\(\)\) at the top: must be .* one or more.*Flow\(\), TSP\(\)"),
    ((DIFFERENCE,), (1, 4, 8, 8, 3), InputError, r"RGBDifference\(frames=3\) at RGBDifference: 4 frames do not make"),
    ((DIFFERENCE, TSP(3, 1)), (1, 6, 8, 8, 3), InputError, r"TSP\(frames=3\) at TSP: 4 frames do not make whole"),
    ((TSP(2, 1), TSP(2, 1)), (1, 6, 8, 8, 3), InputError, r"TSP\(frames=2\) at TSP_2: 3 frames"),
    ((DIFFERENCE, Flow(2)), (1, 6, 8, 8, 2), InputError, "1 or 3 channels"),
    ((TSP(2, 2),), (1, 6, 8, 8, 3), ConfigError, r"TSP\(frames=2, rank=2\) at TSP on 1x6x8x8x3:"),
    ((DIFFERENCE,), (6, 8, 8, 3), InputError, "RGBDifference at RGBDifference takes clips"),
  ],
)
def test_bad_input(modules, shape, error, words):
  with pytest.raises(error, match=words):
    shapes(Series(modules), jnp.zeros(shape))


def test_the_place_of_a_mistake_leads_through_the_network():
  network = Recognizer(MiniResNet(), 3, Series((DIFFERENCE, TSP(3, 1))))
  with pytest.raises(InputError, match=r"TSP\(frames=3\) at representation/TSP: 4 frames"):
    shapes(network, jnp.zeros((1, 6, 16, 16, 3)))
  with pytest.raises(ConfigError, match=r"Series\(modules=\(\)\) at representation: must be"):
    shapes(network.clone(representation=Series(())), jnp.zeros((1, 6, 16, 16, 3)))
