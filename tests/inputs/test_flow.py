"""Flow as an input: frames to stacked, scaled channels."""

import jax
import numpy as np
import pytest

from tests.ops.test_tvl1 import moved, texture
from vidjax.errors import ConfigError, InputError
from vidjax.inputs.flow import Flow
from vidjax.ops.tvl1 import tvl1_flow

FAST = {"levels": 2, "warps": 4, "iterations": 8}
MOTIONS = ((1, 0), (0, -1.5), (-1, 1))
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def clip() -> np.ndarray:
  """Two segments of four frames in RGB in [0, 1], `[1, 8, 24, 28, 3]`; the second one moves the other way."""
  frames = []
  for sign in (1, -1):
    colours = [texture(24, 28, seed) / 255 for seed in range(3)]
    place = np.zeros(2)
    for motion in ((0, 0), *MOTIONS):
      place = place + sign * np.array(motion)
      frames.append(np.stack([moved(colour, *place) for colour in colours], -1))
  return np.stack(frames)[None]


def test_pairs_segments_channels_and_scale():
  frames = clip()
  module = Flow(frames=4, bound=2.0, std=(1, 1, 1), **FAST)
  stacks = np.asarray(jax.jit(lambda x: module.apply({}, x, False))(frames))
  assert stacks.shape == (1, 2, 24, 28, 6)
  for segment, sign in enumerate((1, -1)):
    for pair, motion in enumerate(MOTIONS):
      inside = stacks[0, segment, 6:-6, 6:-6, 2 * pair : 2 * pair + 2]
      np.testing.assert_allclose(np.median(inside, (0, 1)), sign * np.array(motion) / 2, atol=0.03)
  flow = tvl1_flow(255 * frames[0, 5] @ LUMA, 255 * frames[0, 6] @ LUMA, **FAST)
  np.testing.assert_allclose(stacks[0, 1, ..., 2:4], np.clip(flow / 2, -1, 1), atol=1e-4)


def test_normalised_clips_give_the_same_flow():
  frames = clip()[:, :2]
  mean, std = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
  plain = Flow(2, std=(1, 1, 1), **FAST).apply({}, frames, False)
  np.testing.assert_allclose(Flow(2, **FAST).apply({}, (frames - mean) / std, False), plain, atol=1e-4)
  grey = frames @ LUMA
  np.testing.assert_allclose(Flow(2, std=(1,), **FAST).apply({}, grey[..., None], False), plain, atol=1e-4)


def test_fast_motion_is_clipped():
  frames = np.stack([texture(24, 28), moved(texture(24, 28), 1, 0)])[None, ..., None] / 255
  stacks = Flow(2, bound=0.25, std=(1,), **FAST).apply({}, frames, False)
  assert np.abs(stacks).max() == 1
  assert np.median(stacks[..., 0]) == 1


def test_what_does_not_fit_is_named():
  with pytest.raises(InputError, match=r"Flow\(frames=6\) at the top: 1 frames do not make whole segments of 6"):
    Flow().apply({}, np.zeros((1, 1, 8, 8, 3)), False)
  with pytest.raises(InputError, match="1 or 3 channels"):
    Flow(2).apply({}, np.zeros((1, 2, 8, 8, 2)), False)
  with pytest.raises(ConfigError, match=r"Flow\(bound=0\) at the top"):
    Flow(2, bound=0).apply({}, np.zeros((1, 2, 8, 8, 3)), False)
  with pytest.raises(ConfigError, match=r"Flow\(bound=inf\) at the top"):
    Flow(2, bound=np.inf).apply({}, np.zeros((1, 2, 8, 8, 3)), False)
  with pytest.raises(InputError, match=r"std=\(1, 0, 1\)\) at the top: must be a tuple, each a finite number above 0"):
    Flow(2, std=(1, 0, 1)).apply({}, np.zeros((1, 2, 8, 8, 3)), False)
  with pytest.raises(InputError, match="warps=0"):
    Flow(2, warps=0).apply({}, np.zeros((1, 2, 8, 8, 3)), False)


def test_flows_as_frames_are_those_of_the_stack():
  clip = jax.random.normal(jax.random.key(3), (2, 6, 20, 24, 3))
  settings = {"levels": 1, "warps": 1, "iterations": 2}
  stacks, frames = (
    jax.jit(lambda x, s=s: Flow(3, stack=s, **settings).apply({}, x, False))(clip) for s in (True, False)
  )
  assert stacks.shape == (2, 2, 20, 24, 4)
  assert frames.shape == (2, 4, 20, 24, 2)
  np.testing.assert_allclose(frames[:, 3], stacks[:, 1, ..., 2:], rtol=1e-6)
  np.testing.assert_allclose(frames[:, 2], stacks[:, 1, ..., :2], rtol=1e-6)
