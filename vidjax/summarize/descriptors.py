"""What a frame is described by: a histogram that sums to 1, so that two frames are 0 to 2 apart in L1.

`hue_histogram` is the one of VSUMM (de Avila 2011) and its evaluation protocol (rtsae 5.2). `colour_histogram` serves
films of any kind, grey ones included.
"""

import cv2
import numpy as np

BINS = 16
"""Of the hue."""
LEVELS = 8
"""Of the brightness of pixels without colour."""
SIDE = 120
"""Short side, in pixels, of the frames that `colour_histogram` sees."""
COLOURED = 0.25
"""Chroma, 0 to 1, from which a pixel counts by its hue alone."""
PLAIN = 8.0
"""Standard deviation of the grey levels below which a frame shows nothing: black, white or one colour."""
SIMILAR = 0.5
"""L1 distance below which VSUMM's protocol takes two hue histograms as those of similar frames."""
SIMILAR_COLOURS = 0.2
"""The same for `colour_histogram`: a street stays within .1 for a minute, wide and close shots of a hall differ."""


def hue_histogram(image: np.ndarray) -> np.ndarray:
  """float32 `[16]`, the share of the pixels in each of 16 ranges of hue, by OpenCV's 180 steps of hue.

  Pixels without colour have hue 0, so that all grey frames are alike.

  Args:
    image: uint8 RGB `[H, W, 3]`.
  """
  hue = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[..., 0].astype(np.int64)
  counts = np.bincount((hue * BINS // 180).reshape(-1), minlength=BINS)
  return (counts / counts.sum()).astype(np.float32)


def colour_histogram(image: np.ndarray) -> np.ndarray:
  """float32 `[24]`: 16 ranges of hue, in which pixels count by their chroma, and 8 levels of brightness for the rest.

  Brightness is shared between the two nearest levels, so that a frame that becomes slightly brighter stays alike.

  Args:
    image: uint8 RGB `[H, W, 3]`.
  """
  shrink = SIDE / min(image.shape[:2])
  if shrink < 1:
    image = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
  hue, saturation, value = np.moveaxis(cv2.cvtColor(image, cv2.COLOR_RGB2HSV).reshape(-1, 3).astype(np.float32), -1, 0)
  coloured = np.minimum(saturation * value / (255**2 * COLOURED), 1)
  hues = np.bincount((hue.astype(np.int64) * BINS // 180), coloured, BINS)
  place = value * ((LEVELS - 1) / 255)
  lower = np.minimum(place.astype(np.int64), LEVELS - 2)
  upper_share = place - lower
  levels = np.bincount(lower, (1 - coloured) * (1 - upper_share), LEVELS)
  levels += np.bincount(lower + 1, (1 - coloured) * upper_share, LEVELS)
  return (np.concatenate([hues, levels]) / len(hue)).astype(np.float32)


def shows_nothing(image: np.ndarray) -> bool:
  """Whether a frame is black, white or of one colour, as between scenes.

  Args:
    image: uint8 RGB `[H, W, 3]`.
  """
  return float(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).std()) < PLAIN


def distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """L1 distances `[M, N]` between descriptors.

  Args:
    first: `[M, D]`.
    second: `[N, D]`.
  """
  return np.abs(first[:, None] - second[None]).sum(axis=-1)


def changes(descriptors: np.ndarray) -> np.ndarray:
  """The L1 distance of each descriptor of `[N, D]` to the one before, `[N]`; 0 for the first."""
  steps = np.abs(np.diff(descriptors, axis=0)).sum(axis=-1)
  return np.concatenate([np.zeros(min(len(descriptors), 1)), steps])
