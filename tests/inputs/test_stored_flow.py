"""Stored flow images as an input: what is stored, decoded and normalised is what Flow computes on the device."""

import jax
import numpy as np
import pytest

from tests.inputs.test_flow import clip
from vidjax.apply.device_augment import Normalise
from vidjax.data.flow import encode_flow, grey_levels
from vidjax.data.schema import Record
from vidjax.errors import ConfigError, InputError
from vidjax.inputs.flow import Flow
from vidjax.inputs.stored_flow import StoredFlow

HALVES = Normalise((0.5,) * 3, (0.5,) * 3)


def test_it_is_the_flow_of_the_frames():
  frames = np.rint(255 * clip().clip(0, 1)).astype(np.uint8)  # two segments of four frames
  grey = [grey_levels(frame) for frame in frames[0]]
  pairs = [0, 1, 2, 4, 5, 6]
  jpegs = encode_flow([grey[k] for k in pairs], [grey[k + 1] for k in pairs])
  images = Record(0, "one", 6, 8.0, jpegs).decode(range(6))[None]
  found = np.asarray(StoredFlow(3).apply({}, HALVES(images), False))
  expected = np.asarray(jax.jit(lambda x: Flow(4, std=(1, 1, 1)).apply({}, x, False))(np.float32(frames) / 255))
  assert found.shape == expected.shape == (1, 2, 24, 28, 6)
  error = np.abs(found - expected)
  assert np.median(error) < 1 / 127.5  # a step of 8 bits, .16 pixels
  assert np.quantile(error, 0.99) < 4 / 127.5  # and JPEG's colours
  inside = found[0, :, 6:-6, 6:-6]
  np.testing.assert_allclose(
    np.median(inside, (1, 2)) * 20, [[1, 0, 0, -1.5, -1, 1], [-1, 0, 0, 1.5, 1, -1]], atol=0.25
  )


def test_channels_and_segments():
  x = np.arange(2 * 4 * 3, dtype=np.float32).reshape(2, 4, 1, 1, 3)
  stacks = StoredFlow(2).apply({}, x, False)
  np.testing.assert_array_equal(stacks[1, :, 0, 0], [[12, 13, 15, 16], [18, 19, 21, 22]])
  np.testing.assert_array_equal(StoredFlow(1).apply({}, x, False), x[..., :2])


def test_what_does_not_fit_is_named():
  with pytest.raises(InputError, match=r"StoredFlow\(frames=5\) at the top: 6 frames do not make whole segments of 5"):
    StoredFlow().apply({}, np.zeros((1, 6, 8, 8, 3)), False)
  with pytest.raises(InputError, match="StoredFlow at the top takes flow images of 2 or 3 channels"):
    StoredFlow().apply({}, np.zeros((1, 5, 8, 8, 4)), False)
  with pytest.raises(ConfigError, match=r"StoredFlow\(frames=0\) at the top: must be an int of at least 1"):
    StoredFlow(0).apply({}, np.zeros((1, 5, 8, 8, 3)), False)
