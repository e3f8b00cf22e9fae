"""Optical flow in records: one JPEG for each pair of neighbouring frames, in the range TSN stores, u and v in one."""

from collections.abc import Sequence

import cv2
import numpy as np

from vidjax.data.schema import JPEG_QUALITY

BOUND = 20.0
"""Pixels of motion that 8 bits cover in both directions: -20 is stored as 0, 20 as 255; faster motion is clipped."""

BATCH = 16
"""Pairs of frames solved at once."""


def grey_levels(frame: np.ndarray) -> np.ndarray:
  """`[H, W]` of an RGB frame `[H, W, 3]`, both uint8."""
  return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def encode_flow(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> list[bytes]:
  """JPEG bytes of the TV-L1 flow from each of the first grey frames, uint8 `[H, W]`, to the second one in its place.

  Red holds u, green v, blue 128; colours are stored in full, since JPEG would halve the resolution of flow otherwise.

  Args:
    first: N grey frames, uint8 `[H, W]`.
    second: the frame after each of them.
  """
  from vidjax.ops.tvl1 import tvl1_flow  # and JAX with it, which preparation does without otherwise

  options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
  options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
  jpegs = []
  for start in range(0, len(first), BATCH):
    some = [np.stack(frames[start : start + BATCH]) for frames in (first, second)]
    pairs = len(some[0])
    missing = ((0, BATCH - pairs), (0, 0), (0, 0))  # one compilation for films of one size
    flow = np.asarray(tvl1_flow(*[np.pad(frames, missing, "edge") for frames in some]))[:pairs]
    levels = np.rint((np.clip(flow / BOUND, -1, 1) + 1) * 127.5).astype(np.uint8)
    images = np.concatenate([np.full_like(levels[..., :1], 128), levels[..., ::-1]], -1)  # OpenCV's order: BGR
    jpegs += [cv2.imencode(".jpg", image, options)[1].tobytes() for image in images]
  return jpegs


def to_pixels(images: np.ndarray) -> np.ndarray:
  """Stored flow images, uint8 `[..., H, W, 3]` as `Record.decode_flow` gives them, to float32 `[..., H, W, 2]`."""
  return (images[..., :2].astype(np.float32) / 127.5 - 1) * BOUND
