"""What every input makes of odd clips: wrong lengths, frames without motion, numbers not finite, few pixels."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.errors import ConfigError, InputError
from vidjax.inputs.dynamic_image import DynamicImage
from vidjax.inputs.flow import Flow
from vidjax.inputs.mbpm import MBPM, Quiet
from vidjax.inputs.one_frame import OneFrame
from vidjax.inputs.persistent_appearance import PersistentAppearance
from vidjax.inputs.pwtp import PWTP
from vidjax.inputs.rgb_difference import RGBDifference
from vidjax.inputs.tsp import TSP
from vidjax.inputs.tvnet import TVNet

MODULES = (
  MBPM(kernel=3),
  Quiet(MBPM(kernel=3)),
  OneFrame(3),
  PWTP(3, kernel=3, stride=2, features=4),
  TSP(3, 2),
  RGBDifference(3),
  DynamicImage(3),
  PersistentAppearance(3, 2, 3),
  Flow(3, levels=3, warps=1, iterations=2),
  TVNet(3, iterations=2),
)
INPUTS = {type(module).__name__: module for module in MODULES}
AT_REST = {"MBPM", "RGBDifference", "DynamicImage", "PersistentAppearance", "Flow", "TVNet"}
"""Those that make 0 of a clip without motion."""
RNG = np.random.default_rng(0)
each = pytest.mark.parametrize("name", INPUTS)


@functools.cache
def compiled(name):
  """`(variables, clip) -> output, gradients`, with statistics of the batch and without them, and an initialiser."""
  module = INPUTS[name]

  def run(variables, clip, train):
    def loss(params, clip):
      output, changed = module.apply({**variables, "params": params}, clip, train, mutable=["aux", "batch_stats"])
      sown = sum((leaf.sum() for leaf in jax.tree.leaves(changed.get("aux", {}))), jnp.zeros(()))
      return jnp.sum(output**2) + sown, output

    return jax.grad(loss, (0, 1), has_aux=True)(variables.get("params", {}), clip)[::-1]

  return jax.jit(run, static_argnums=2), jax.jit(lambda clip: module.init(jax.random.key(0), clip, False))


def start(name, clip):
  return {kind: tree for kind, tree in compiled(name)[1](clip).items() if kind in ("params", "batch_stats")}


def finite(tree):
  return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree))


@each
@pytest.mark.parametrize("frames", [0, 1, 2, 4, 5])
def test_frames_that_make_no_whole_segments_are_refused(name, frames):
  clip = jax.ShapeDtypeStruct((2, frames, 8, 8, 3), "float32")
  message = rf"at (the top|busy)( on .*)?: {frames} frames (do not make whole segments|do not fit)"
  with pytest.raises(InputError, match=message if frames else r"got an empty clip, \(2, 0, 8, 8, 3\)"):
    jax.eval_shape(lambda x: INPUTS[name].init(jax.random.key(0), x, False), clip)


def test_lengths_that_are_offered_are_taken():
  clip = jnp.zeros((1, 8, 16, 16, 3))
  with pytest.raises(InputError, match=r"sample a multiple of 3 frames or set frames to a divisor of 8 from 2 on"):
    RGBDifference(3).init({}, clip, False)
  for frames in (2, 4, 8):
    RGBDifference(frames).init({}, clip, False)
  with pytest.raises(InputError, match=r"sample a multiple of 3 frames\s-"):
    RGBDifference(3).init({}, clip[:, :1], False)


@each
def test_pixels_that_are_not_normalised_are_refused(name):
  clip = jax.ShapeDtypeStruct((2, 6, 8, 8, 3), "uint8")
  with pytest.raises(InputError, match=r"got pixels of uint8: .* \(pixels / 255 - mean\) / std"):
    jax.eval_shape(lambda x: INPUTS[name].init(jax.random.key(0), x, False), clip)


@pytest.mark.parametrize(
  ("module", "words"),
  [
    (Quiet(MBPM(kernel=8)), r"MBPM\(kernel=8\) at busy: must be an odd int of at least 3"),
    (Flow(1), r"Flow\(frames=1\) at the top: must be an int of at least 2"),
    (TVNet(1), r"TVNet\(frames=1\) at the top: must be an int of at least 2"),
    (OneFrame(1), r"OneFrame\(frames=1\) at the top: must be an int of at least 2"),
  ],
)
def test_attributes_that_leave_nothing_are_refused(module, words):
  with pytest.raises(ConfigError, match=words):
    jax.eval_shape(lambda x: module.init(jax.random.key(0), x, False), jnp.zeros((1, 3, 16, 16, 3)))


@each
def test_clips_without_motion_leave_finite_gradients(name):
  run, clip = compiled(name)[0], RNG.normal(size=(2, 6, 6, 7, 3)).astype("float32")
  variables = start(name, clip)
  still = np.broadcast_to(clip[:, :1], clip.shape)
  for frames in (np.zeros_like(clip), np.full_like(clip, 3), np.full_like(clip, -3), still):
    output, gradients = run(variables, frames, True)
    assert finite((output, gradients))
    if name in AT_REST:
      assert np.abs(output).max() < 1e-4


@each
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_shows_and_stays_in_its_segment(name, value):
  run, clip = compiled(name)[0], RNG.normal(size=(2, 6, 6, 7, 3)).astype("float32")
  variables = start(name, clip)
  clean = np.asarray(run(variables, clip, False)[0])
  half = clean.shape[1] // 2
  clip[0, 3, 2, 3, 0] = value
  output = np.asarray(run(variables, clip, False)[0])
  np.testing.assert_array_equal(output[1], clean[1])
  np.testing.assert_array_equal(output[0, :half], clean[0, :half])
  assert finite(clean)
  assert not finite(output[0, half:])


REFUSED = {
  "MBPM": (InputError, "1 x . pixels are too few to reflect 1 of them"),
  "Quiet": (ConfigError, "makes 0 x . pixels"),
}
"""Of frames of one row; all others take them."""


@each
@pytest.mark.parametrize("size", [(1, 1), (2, 3)])
def test_few_pixels(name, size):
  """Fewer than a kernel, a stride or a level of the pyramid has."""
  clip = RNG.normal(size=(1, 3, *size, 3)).astype("float32")
  if 1 in size and name in REFUSED:
    error, words = REFUSED[name]
    with pytest.raises(error, match=words):
      start(name, clip)
    return
  output, gradients = compiled(name)[0](start(name, clip), clip, True)
  assert output.shape[:2] == (1, 2 if name == "TSP" else 1)
  assert finite((output, gradients))
