"""Optical flow beside the frames: what is stored is what the solver finds, and it comes back."""

import cv2
import numpy as np
import pytest

from tests.data.test_prepare import records
from tests.ops.test_tvl1 import apart, moved, texture
from vidjax.data.flow import BOUND, encode_flow, to_pixels
from vidjax.data.read_film import Storage
from vidjax.data.schema import Record
from vidjax.ops.tvl1 import tvl1_flow
from vidjax.prepare.folder import prepare_folder


def grey_frames() -> list[np.ndarray]:
  """The texture moves by (1, -.5) a frame, 18 frames: one more pair than fits a batch."""
  return [moved(texture(32, 48), k, -k / 2).clip(0, 255).astype(np.uint8) for k in range(18)]


def stored(jpegs) -> np.ndarray:
  return Record(0, "one", 18, 8.0, (), flow=jpegs).decode_flow(range(len(jpegs)))


def test_what_is_stored_is_the_flow():
  frames = grey_frames()
  images = stored(encode_flow(frames[:-1], frames[1:]))
  assert images.shape == (17, 32, 48, 3)
  np.testing.assert_allclose(images[..., 2], 128, atol=6)  # JPEG's colours
  error = apart(to_pixels(images), tvl1_flow(np.stack(frames[:-1]), np.stack(frames[1:])))
  assert np.median(error) < 0.25  # a step of 8 bits is .16 pixels, and JPEG rounds its colours
  np.testing.assert_allclose(np.median(to_pixels(images), (0, 1, 2)), (1, -0.5), atol=0.25)
  assert encode_flow([], []) == []


def test_eight_bits_cover_the_bound():
  ends = np.array([[[0, 255, 128]]], np.uint8)
  np.testing.assert_allclose(to_pixels(ends), [[[-BOUND, BOUND]]])
  assert np.abs(to_pixels(np.array([[[127, 128, 0]]], np.uint8))).max() < 0.08


@pytest.mark.parametrize("encoding", ["jpeg", "video"])
def test_preparation_stores_it(encoding, tmp_path, make_video):
  for number in range(2):
    make_video(tmp_path / "videos" / "walk" / f"{number}.mp4", count=6, height=24, width=32)
  seconds = 0.5 if encoding == "jpeg" else None
  storage = Storage(short_side=24, encoding=encoding, clip_seconds=seconds, flow=True)
  prepare_folder(tmp_path / "videos", "mine", tmp_path, fractions={"train": 1.0}, storage=storage)
  found = records(tmp_path)
  clips = ("#0000", "#0001") if seconds else ("",)
  assert sorted(found) == [f"walk/{number}.mp4{clip}" for number in range(2) for clip in clips]
  for record in found.values():
    assert len(record.flow or ()) == record.num_frames - 1
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in record.decode(range(record.num_frames))]
    expected = tvl1_flow(np.stack(grey[:-1]), np.stack(grey[1:]))
    images = record.decode_flow(range(record.num_frames - 1))
    assert np.median(apart(to_pixels(images), expected)) < 0.5
