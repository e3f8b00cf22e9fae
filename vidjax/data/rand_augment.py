"""RandAugment for clips: a few random photometric and geometric operations, the same on every frame.

Cubuk et al., "RandAugment: Practical automated data augmentation with a reduced search space", 2020.
"""

import dataclasses
from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import cv2
import numpy as np

from vidjax.bounds import NonNegative, Share, Whole, between
from vidjax.checks import check_fields
from vidjax.data.augment import Clip

GREY = (128, 128, 128)
LEVELS = np.arange(256.0)


@dataclasses.dataclass(frozen=True)
class RandAugment:
  """Applies `num_ops` operations drawn with replacement, at one strength and a random sign.

  timm's code counts magnitudes to 10: its "rand-m7-n4-mstd0.5-inc1" is `RandAugment(4, 21, 1.5, 0.5, "timm")`.

  Attributes:
    num_ops: operations per clip.
    magnitude: strength of each, from 0 (most do nothing) to 30.
    spread: standard deviation of the magnitude of each operation, which is drawn and kept within 0 to 30.
    probability: of an operation that was drawn to be applied.
    operations: those of the "paper", or of "timm", which also inverts, adds to dark values, and keeps fewer bits.
  """

  num_ops: Whole = 2
  magnitude: Annotated[float, between(0, 30)] = 9
  spread: NonNegative = 0.0
  probability: Share = 1.0
  operations: Literal["paper", "timm"] = "paper"

  needs: ClassVar[frozenset[str]] = frozenset({"pixels", "colour"})

  def __post_init__(self):
    check_fields(self)

  def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
    """Applies the drawn operations to the video; the label stays."""
    video = clip["video"]
    operations = list((OPERATIONS if self.operations == "paper" else TIMM).values())
    for choice in rng.integers(len(operations), size=self.num_ops):
      magnitude = self.magnitude
      if self.spread:
        magnitude = min(max(rng.normal(magnitude, self.spread), 0), 30)
      strength = magnitude / 30 * rng.choice((-1, 1))
      if self.probability == 1 or rng.random() < self.probability:
        video = operations[choice](video, float(strength))
    return {**clip, "video": video}


Operation = Callable[[np.ndarray, float], np.ndarray]
"""Maps a uint8 clip `[T, H, W, 3]` and a strength in [-1, 1] to such a clip."""


def rotate(video: np.ndarray, strength: float) -> np.ndarray:
  """Turns the frames by up to 30 degrees about their centre.

  Args:
    video: uint8 `[T, H, W, 3]`.
    strength: -1 to 1; counter-clockwise above 0.
  """
  return _warp(video, cv2.getRotationMatrix2D(_centre(video), 30 * strength, 1))


def shear_x(video: np.ndarray, strength: float) -> np.ndarray:
  """Moves rows sideways by up to .3 of their distance from the middle.

  Args:
    video: uint8 `[T, H, W, 3]`.
    strength: -1 to 1; above 0 the lower rows go right.
  """
  slope = 0.3 * strength
  return _warp(video, np.array([[1, slope, -slope * _centre(video)[1]], [0, 1, 0]]))


def shear_y(video: np.ndarray, strength: float) -> np.ndarray:
  """Moves columns up or down by up to .3 of their distance from the middle.

  Args:
    video: uint8 `[T, H, W, 3]`.
    strength: -1 to 1; above 0 the columns on the right go down.
  """
  slope = 0.3 * strength
  return _warp(video, np.array([[1, 0, 0], [slope, 1, -slope * _centre(video)[0]]]))


def translate_x(video: np.ndarray, strength: float) -> np.ndarray:
  """Moves the frames sideways by up to .45 of their width.

  Args:
    video: uint8 `[T, H, W, 3]`.
    strength: -1 to 1; to the right above 0.
  """
  return _warp(video, np.array([[1, 0, 0.45 * strength * video.shape[2]], [0, 1, 0]]))


def translate_y(video: np.ndarray, strength: float) -> np.ndarray:
  """Moves the frames up or down by up to .45 of their height.

  Args:
    video: uint8 `[T, H, W, 3]`.
    strength: -1 to 1; down above 0.
  """
  return _warp(video, np.array([[1, 0, 0], [0, 1, 0.45 * strength * video.shape[1]]]))


def posterize(video: np.ndarray, strength: float) -> np.ndarray:
  """Keeps the upper 8 to 4 bits of every value.

  Args:
    video: uint8 `[T, H, W, 3]`.
    strength: -1 to 1, of which the sign is ignored; 1 keeps 4 bits.
  """
  dropped = round(4 * abs(strength))
  return _look_up(video, np.floor(LEVELS / 2**dropped) * 2**dropped)


def solarize(video: np.ndarray, strength: float) -> np.ndarray:
  """Inverts values above a threshold, which falls from 256 to 0.

  Args:
    video: uint8 `[T, H, W, 3]`.
    strength: -1 to 1, of which the sign is ignored; 1 inverts all values.
  """
  return _look_up(video, np.where(256 * (1 - abs(strength)) <= LEVELS, 255 - LEVELS, LEVELS))


def brightness(video: np.ndarray, strength: float) -> np.ndarray:
  """Scales the values by .1 to 1.9.

  Args:
    video: uint8 `[T, H, W, 3]`.
    strength: -1 to 1; darker below 0.
  """
  return _look_up(video, LEVELS * (1 + 0.9 * strength))


def contrast(video: np.ndarray, strength: float) -> np.ndarray:
  """Scales the distance from the clip's mean grey by .1 to 1.9.

  Args:
    video: uint8 `[T, H, W, 3]`.
    strength: -1 to 1; less contrast below 0.
  """
  mean = float(np.mean([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).mean() for frame in video]))
  return _look_up(video, mean + (LEVELS - mean) * (1 + 0.9 * strength))


def color(video: np.ndarray, strength: float) -> np.ndarray:
  """Scales the distance from each pixel's grey by .1 to 1.9.

  Args:
    video: uint8 `[T, H, W, 3]`.
    strength: -1 to 1; paler below 0.
  """

  def grey(frame: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)

  return _blend(video, strength, grey)


def sharpness(video: np.ndarray, strength: float) -> np.ndarray:
  """Scales the distance from the smoothed frame by .1 to 1.9.

  Args:
    video: uint8 `[T, H, W, 3]`.
    strength: -1 to 1; smoother below 0.
  """
  kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
  return _blend(video, strength, lambda frame: cv2.filter2D(frame, -1, kernel))


def equalize(video: np.ndarray, strength: float) -> np.ndarray:
  """Spreads each channel's values evenly over the range, by the histogram of the whole clip.

  Args:
    video: uint8 `[T, H, W, 3]`.
    strength: ignored.
  """
  return _look_up(video, np.stack([_equalized(video[..., channel]) for channel in range(3)], -1))


def autocontrast(video: np.ndarray, strength: float) -> np.ndarray:
  """Stretches each channel of the clip to the full range.

  Args:
    video: uint8 `[T, H, W, 3]`.
    strength: ignored.
  """
  low, high = (bound((0, 1, 2)).astype(float) for bound in (video.min, video.max))
  return _look_up(video, (LEVELS[:, None] - low) * 255 / np.maximum(high - low, 1))


OPERATIONS: dict[str, Operation] = {
  operation.__name__: operation
  for operation in (
    rotate,
    shear_x,
    shear_y,
    translate_x,
    translate_y,
    posterize,
    solarize,
    brightness,
    contrast,
    color,
    sharpness,
    equalize,
    autocontrast,
  )
}


def invert(video: np.ndarray, strength: float) -> np.ndarray:
  """Inverts all values.

  Args:
    video: uint8 `[T, H, W, 3]`.
    strength: ignored.
  """
  return 255 - video


def solarize_add(video: np.ndarray, strength: float) -> np.ndarray:
  """Adds up to 110 to values below 128.

  Args:
    video: uint8 `[T, H, W, 3]`.
    strength: -1 to 1, of which the sign is ignored; 1 adds 110.
  """
  return _look_up(video, np.where(LEVELS < 128, LEVELS + int(110 * abs(strength)), LEVELS))


def posterize_more(video: np.ndarray, strength: float) -> np.ndarray:
  """Keeps the upper 4 to 0 bits of every value.

  Args:
    video: uint8 `[T, H, W, 3]`.
    strength: -1 to 1, of which the sign is ignored; 1 keeps none.
  """
  step = 2 ** (4 + int(4 * abs(strength)))
  return _look_up(video, np.floor(LEVELS / step) * step)


TIMM: dict[str, Operation] = {
  **OPERATIONS,
  "posterize": posterize_more,
  "invert": invert,
  "solarize_add": solarize_add,
}


def _centre(video: np.ndarray) -> tuple[float, float]:
  return (video.shape[2] - 1) / 2, (video.shape[1] - 1) / 2


def _warp(video: np.ndarray, matrix: np.ndarray) -> np.ndarray:
  """Bilinear affine warp; what comes from outside the frame is grey."""
  size = (video.shape[2], video.shape[1])
  return np.stack([cv2.warpAffine(frame, matrix, size, borderValue=GREY) for frame in video])


def _look_up(video: np.ndarray, table: np.ndarray) -> np.ndarray:
  """Maps every value by a table `[256]`, or `[256, 3]` with one column per channel."""
  rounded = np.clip(np.rint(table), 0, 255).astype(np.uint8)
  if rounded.ndim == 1:
    return cv2.LUT(video.reshape(len(video), -1), rounded).reshape(video.shape)
  return np.stack([cv2.LUT(frame, rounded[None]) for frame in video])


def _blend(video: np.ndarray, strength: float, degrade: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
  weight = 1 + 0.9 * strength
  return np.stack([cv2.addWeighted(frame, weight, degrade(frame), 1 - weight, 0) for frame in video])


def _equalized(values: np.ndarray) -> np.ndarray:
  """The table `[256]` that maps values to their rank, the lowest to 0 and the highest to 255."""
  below = np.cumsum(np.bincount(values.ravel(), minlength=256))
  first = below[values.min()]
  if first == values.size:
    return LEVELS
  return (below - first) * 255 / (values.size - first)
