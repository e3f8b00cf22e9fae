"""RGB difference, dynamic image, persistent appearance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from vidjax.backbones.resnet import MiniResNet
from vidjax.errors import ConfigError, InputError
from vidjax.inputs.dynamic_image import DynamicImage
from vidjax.inputs.persistent_appearance import PersistentAppearance
from vidjax.inputs.rgb_difference import RGBDifference
from vidjax.networks.recognizer import Recognizer
from vidjax.ops.rank_pooling import rank_weights

RNG = np.random.default_rng(0)


def apply(module, clip, variables=None):
  return jax.jit(lambda v, x: module.apply(v, x, False))(variables or {}, clip)


def test_golden_dynamic_image_and_difference(shared_golden):
  golden = np.load(shared_golden / "rank_pooling.npz")
  clip = golden["frames"][None].astype("float32")
  for weights in ("harmonic", "simple"):
    image = apply(DynamicImage(7, weights), clip)
    np.testing.assert_allclose(image[0, 0], golden[f"di_{weights}"], atol=2e-4)  # of several hundred
  np.testing.assert_allclose(apply(RGBDifference(7, stack=False), clip)[0], golden["rgb_diff"], atol=5e-5)


def test_golden_persistent_appearance(shared_golden):
  """PAN's bias is left out: it cancels."""
  golden = np.load(shared_golden / "pan_pa.npz")
  variables = {"params": {"conv": {"kernel": golden["kernel_hwio"]}}}
  pa = apply(PersistentAppearance(4), golden["frames_thwc"][None], variables)
  np.testing.assert_allclose(pa[0, 0], np.moveaxis(golden["pa_thw"], 0, -1), rtol=1e-4, atol=1e-5)
  assert np.abs(golden["bias"]).max() > 0


def test_segments_and_channels():
  """Two segments of three frames, each by itself; the channels of the first difference come first."""
  clip = RNG.normal(size=(2, 6, 5, 7, 2)).astype("float32")
  stacked = apply(RGBDifference(3), clip)
  assert stacked.shape == (2, 2, 5, 7, 4)
  for segment, first in ((0, 0), (1, 3)):
    for pair in (0, 1):
      difference = clip[:, first + pair + 1] - clip[:, first + pair]
      np.testing.assert_array_equal(stacked[:, segment, ..., 2 * pair : 2 * pair + 2], difference)
  flat = apply(RGBDifference(3, stack=False), clip)
  np.testing.assert_array_equal(flat[:, 2], clip[:, 4] - clip[:, 3])
  images = apply(DynamicImage(3), clip)
  for segment in (0, 1):
    expected = np.einsum("t,bthwc->bhwc", rank_weights(3), clip[:, 3 * segment : 3 * segment + 3])
    np.testing.assert_allclose(images[:, segment], expected, rtol=1e-5, atol=1e-5)


def test_parameters_of_persistent_appearance():
  """Table 5.1 prints 1.1 K."""
  clip = jnp.zeros((1, 6, 8, 8, 3))
  variables = jax.eval_shape(lambda: PersistentAppearance().init(jax.random.key(0), clip, False))
  assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == 7 * 7 * 3 * 8


MODULES = [RGBDifference(3), RGBDifference(3, stack=False), DynamicImage(3), PersistentAppearance(3, 2, 3)]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: type(module).__name__)
def test_gradients_and_clips_at_rest(module):
  clip = jnp.asarray(RNG.normal(size=(1, 3, 3, 4, 2)), "float32")
  variables = module.init(jax.random.key(0), clip, False)
  run = jax.jit(lambda v, x: module.apply(v, x, True))
  check_grads(run, (variables, clip), order=1, modes=["rev"], atol=2e-2, rtol=2e-2)
  still = jnp.broadcast_to(clip[:, :1], clip.shape)
  assert np.abs(run(variables, still)).max() < 1e-5
  gradients = jax.jit(jax.grad(lambda v, x: jnp.sum(run(v, x)), (0, 1)))(variables, still)
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: type(module).__name__)
def test_not_a_number_stays_in_its_segment(module):
  clip = RNG.normal(size=(2, 6, 5, 5, 2)).astype("float32")
  variables = module.init(jax.random.key(0), clip, False)
  clean = apply(module, clip, variables)
  half = clean.shape[1] // 2
  clip[0, 4, 2, 2, 0] = np.nan
  output = np.asarray(apply(module, clip, variables))
  np.testing.assert_array_equal(output[0, :half], clean[0, :half])
  np.testing.assert_array_equal(output[1], clean[1])
  assert np.isnan(output[0, half:]).any()


@pytest.mark.parametrize("module", MODULES, ids=lambda module: type(module).__name__)
def test_bad_length(module):
  with pytest.raises(InputError, match=rf"{type(module).__name__}\(frames=3\) at the top: 4 frames do not make whole"):
    jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros((1, 4, 8, 8, 3)), False))
  with pytest.raises(InputError, match="takes clips"):
    jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros((3, 8, 8, 3)), False))
  with pytest.raises(ConfigError, match=r"frames=1\) at the top: must be an int of at least 2"):
    jax.eval_shape(lambda: module.clone(frames=1).init(jax.random.key(0), jnp.zeros((1, 1, 8, 8, 3)), False))


@pytest.mark.parametrize(
  ("module", "words"),
  [
    (PersistentAppearance(3, kernel=4), "kernel=4.*must be an odd int"),
    (PersistentAppearance(3, features=0), "features=0"),
    (DynamicImage(3, "exact"), "exact"),
  ],
)
def test_bad_arguments(module, words):
  with pytest.raises(ConfigError, match=words):
    jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros((1, 3, 8, 8, 3)), False))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: type(module).__name__)
def test_before_a_backbone(module):
  """Odd sizes and other channel counts; the first convolution takes what there is."""
  network = Recognizer(MiniResNet(widths=(8, 8, 8, 8)), 3, representation=module)
  clip = jnp.zeros((1, 6, 17, 23, 2))
  output, _ = jax.eval_shape(lambda: network.init_with_output(jax.random.key(0), clip, False))
  assert output.logits.shape == (1, 3)
