"""Spatial transforms of uint8 clips on the host: all frames of a clip share the parameters.

A transform maps `{"video": uint8 [T, H, W, C], "label": int or bool [K]}` and a random generator to such a clip. Its
`needs` name what it relies on: "pixels", "colour" (RGB) or "label". A stream that does not give that is refused.

As in released code, MultiScaleCrop and RandomResizedCrop cut first, so that only what is seen is resized; the others
resize the short side first, small frames too, so that their crop is an exact cut. Resizing is bilinear, or averages
over areas where a side shrinks to half or less (five times slower).
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import cv2
import numpy as np

from vidjax.bounds import Bound, Count, Fraction, Range, Share, Whole
from vidjax.checks import check_fields
from vidjax.errors import ConfigError

Clip = dict[str, Any]
PIXELS: frozenset[str] = frozenset({"pixels"})


def crop_and_resize(video: np.ndarray, box: tuple[int, int, int, int], size: int) -> np.ndarray:
  """Cuts a box out of every frame and resizes it to a square: uint8 `[T, size, size, C]`.

  Args:
    video: uint8 `[T, H, W, C]`.
    box: (top, left, height, width) in pixels, inside the frame.
    size: side of the result, which is a view of `video` where nothing is resized.
  """
  top, left, height, width = box
  crops = video[:, top : top + height, left : left + width]
  if height == width == size:
    return crops
  return _resize(crops, size, size)


def scale_short_side(video: np.ndarray, short_side: int) -> np.ndarray:
  """Resizes frames by their short side, the longer one rounded down (torchvision's Resize, TSM's GroupScale).

  Args:
    video: uint8 `[T, H, W, C]`, returned as it is where nothing is resized.
    short_side: of the result, in pixels; smaller frames are enlarged.
  """
  height, width = video.shape[1:3]
  short = min(height, width)
  if short == short_side:
    return video
  return _resize(video, short_side * height // short, short_side * width // short)


def random_box(
  height: int, width: int, crop_height: int, crop_width: int, rng: np.random.Generator
) -> tuple[int, int, int, int]:
  """A box of this size anywhere in the frame, as (top, left, height, width).

  Args:
    height: of the frame, in pixels.
    width: of the frame.
    crop_height: of the box, at most the frame's.
    crop_width: of the box, at most the frame's.
    rng: draws the place, uniformly.
  """
  top, left = rng.integers((height - crop_height + 1, width - crop_width + 1)).tolist()
  return top, left, crop_height, crop_width


def flip_frames(video: np.ndarray, signed: Sequence[int] = ()) -> np.ndarray:
  """Mirrors a clip uint8 `[T, H, W, C]` left to right.

  Args:
    video: the clip.
    signed: channels that hold a motion to the right, 0 to 255, which becomes one to the left (`types.Stream`).
  """
  mirrored = np.empty_like(video)
  for image, out in zip(video, mirrored, strict=True):
    cv2.flip(image, 1, out)
  for channel in signed:
    mirrored[..., channel] = 255 - mirrored[..., channel]
  return mirrored


@dataclasses.dataclass(frozen=True)
class MultiScaleCrop:
  """Crops whose sides are drawn from a few fractions of the short side, resized to a square (TSN's training crop).

  Attributes:
    size: side of the result.
    scales: fractions of the short side of the image.
    max_distort: how many scales the width and the height of a crop may lie apart.
    fixed_offsets: draw the place from the corners, the centre and the points half-way (13 in all), else anywhere.
  """

  size: Count
  scales: Annotated[tuple[Fraction, ...], Bound("a tuple of one or more fractions", len)] = (1, 0.875, 0.75, 0.66)
  max_distort: Whole = 1
  fixed_offsets: bool = True

  needs: ClassVar[frozenset[str]] = PIXELS

  def __post_init__(self):
    check_fields(self)

  def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
    """Crops a clip."""
    height, width = clip["video"].shape[1:3]
    sizes = self.crop_sizes(height, width)
    crop_height, crop_width = sizes[rng.integers(len(sizes))]
    if self.fixed_offsets:
      offsets = self.offsets(height - crop_height, width - crop_width)
      box = (*offsets[rng.integers(len(offsets))], crop_height, crop_width)
    else:
      box = random_box(height, width, crop_height, crop_width, rng)
    return {**clip, "video": crop_and_resize(clip["video"], box, self.size)}

  def crop_sizes(self, height: int, width: int) -> list[tuple[int, int]]:
    """Every (height, width) a crop may have; a side within 2 pixels of `size` becomes `size` and needs no resizing.

    Args:
      height: of the frame, in pixels.
      width: of the frame.
    """
    sides = [max(int(min(height, width) * scale), 1) for scale in self.scales]
    rows, columns = (
      [min(self.size, limit) if abs(side - self.size) < 3 else side for side in sides] for limit in (height, width)
    )
    return [(h, w) for i, h in enumerate(rows) for j, w in enumerate(columns) if abs(i - j) <= self.max_distort]

  def offsets(self, spare_height: int, spare_width: int) -> list[tuple[int, int]]:
    """The 13 fixed (top, left) of a crop: on a grid of quarters, every other point.

    Args:
      spare_height: pixels of the frame's height that the crop leaves.
      spare_width: the same of its width.
    """
    grid = [(row, column) for row in range(5) for column in range(5) if (row + column) % 2 == 0]
    return [(row * (spare_height // 4), column * (spare_width // 4)) for row, column in grid]


@dataclasses.dataclass(frozen=True)
class RandomResizedCrop:
  """A crop of random area and aspect ratio, resized to a square (Inception's training crop).

  Attributes:
    size: side of the result.
    area: range of the crop's share of the image.
    aspect: range of the crop's width over its height, drawn uniformly in the logarithm.
  """

  size: Count
  area: Annotated[Range, Bound("of at most 1", lambda r: r[1] <= 1)] = (0.08, 1.0)
  aspect: Range = (3 / 4, 4 / 3)

  needs: ClassVar[frozenset[str]] = PIXELS

  def __post_init__(self):
    check_fields(self)

  def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
    """Crops a clip."""
    height, width = clip["video"].shape[1:3]
    for _ in range(10):
      area = height * width * rng.uniform(*self.area)
      aspect = math.exp(rng.uniform(*np.log(self.aspect)))
      crop_height, crop_width = max(round(math.sqrt(area / aspect)), 1), max(round(math.sqrt(area * aspect)), 1)
      if crop_height <= height and crop_width <= width:
        break
    else:  # the largest crop of an allowed aspect ratio
      aspect = min(max(width / height, self.aspect[0]), self.aspect[1])
      crop_height = max(min(height, round(width / aspect)), 1)
      crop_width = max(min(width, round(height * aspect)), 1)
    box = random_box(height, width, crop_height, crop_width, rng)
    return {**clip, "video": crop_and_resize(clip["video"], box, self.size)}


@dataclasses.dataclass(frozen=True)
class ScaleJitterCrop:
  """A square crop of a frame whose short side is drawn at random (VGG's scale jitter, thesis 3.6.1).

  Attributes:
    size: side of the result.
    short_sides: smallest and largest short side that the frame is resized to before the crop.
  """

  size: Count
  short_sides: tuple[int, int] = (256, 320)

  needs: ClassVar[frozenset[str]] = PIXELS

  def __post_init__(self):
    check_fields(self)
    if not self.size <= self.short_sides[0] <= self.short_sides[1]:
      raise ConfigError(
        f"ScaleJitterCrop: short_sides={self.short_sides} must be two that ascend from at least size={self.size}"
      )

  def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
    """Crops a clip."""
    video = scale_short_side(clip["video"], int(rng.integers(*self.short_sides, endpoint=True)))
    height, width = video.shape[1:3]
    box = random_box(height, width, self.size, self.size, rng)
    return {**clip, "video": crop_and_resize(video, box, self.size)}


@dataclasses.dataclass(frozen=True)
class CenterCrop:
  """The central square of a frame whose short side is resized first, at the pixel where torchvision's CenterCrop cuts.

  Attributes:
    size: side of the result.
    short_side: short side of the resized frame (default: `size`).
  """

  size: Count
  short_side: Count | None = None

  needs: ClassVar[frozenset[str]] = PIXELS

  def __post_init__(self):
    check_fields(self)
    _check_short_side(self)

  def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
    """Crops a clip; nothing is drawn."""
    video = scale_short_side(clip["video"], self.short_side or self.size)
    height, width = video.shape[1:3]
    box = (*_centre(height, width, self.size), self.size, self.size)
    return {**clip, "video": crop_and_resize(video, box, self.size)}


@dataclasses.dataclass(frozen=True)
class Resize:
  """Resizes whole frames to a square; the aspect ratio is not kept.

  Attributes:
    size: side of the result.
  """

  size: Count

  needs: ClassVar[frozenset[str]] = PIXELS

  def __post_init__(self):
    check_fields(self)

  def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
    """Resizes a clip; nothing is drawn."""
    height, width = clip["video"].shape[1:3]
    if height == width == self.size:
      return clip
    return {**clip, "video": crop_and_resize(clip["video"], (0, 0, height, width), self.size)}


@dataclasses.dataclass(frozen=True)
class Flip:
  """Mirrors a clip left to right, with the labels that mean the mirrored action exchanged.

  Attributes:
    probability: of a flip.
    swap: pairs of class names such as ("left to right", "right to left"), or of labels; for Something-Something V1
      ((86, 87), (93, 94), (166, 167)). A run turns names into labels.
    whatever_names: flip although class names tell left from right (`vidjax.data.class_words`) and `swap` lacks them.
      By default a run leaves the flip out there.
    signed: as in `flip_frames`; a run sets it as its stream says.
  """

  probability: Share = 0.5
  swap: tuple[tuple[int | str, int | str], ...] = ()
  whatever_names: bool = False
  signed: tuple[int, ...] = ()

  needs: ClassVar[frozenset[str]] = PIXELS

  def __post_init__(self):
    check_fields(self)

  def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
    """Flips a clip, or not."""
    if rng.random() >= self.probability:
      return clip
    mirrored = dict(self.swap) | {b: a for a, b in self.swap}
    video, label = flip_frames(clip["video"], self.signed), clip["label"]
    if isinstance(label, np.ndarray):  # of several classes
      label = label[np.array([mirrored.get(k, k) for k in range(len(label))])]
    else:
      label = mirrored.get(label, label)
    return {**clip, "video": video, "label": label}


@dataclasses.dataclass(frozen=True)
class TestCrops:
  """Square views of frames for tests: `[..., T, H, W, C]` -> uint8 `[views, T, size, size, C]`.

  Leading axes are clips; views go clip by clip and within a clip crop by crop. Several crops stand at whole quarters of
  the spare pixels, so that the last one ends up to 3 pixels before the edge, as in TSM's code (GroupOverSample).

  Attributes:
    size: side of a view.
    short_side: short side that frames are resized to before (default: `size`, so that a view spans it).
    crops: 1 the centre; 3 start, middle and end of the longer side (TSM's code: of the width); 5 the corners and the
      centre; 10 those and their mirror images, which are refused where left and right tell classes apart.
    signed: as in `Flip`.
  """

  __test__ = False

  size: Count
  short_side: Count | None = None
  crops: Literal[1, 3, 5, 10] = 1
  signed: tuple[int, ...] = ()

  needs: ClassVar[frozenset[str]] = PIXELS

  def __post_init__(self):
    check_fields(self)
    _check_short_side(self)

  def __call__(self, video: np.ndarray) -> np.ndarray:
    """Cuts the views."""
    frames = scale_short_side(video.reshape(-1, *video.shape[-3:]), self.short_side or self.size)
    height, width = frames.shape[1:3]
    down, right = (height - self.size) // 4, (width - self.size) // 4
    if self.crops == 1:
      places = [_centre(height, width, self.size)]
    elif self.crops == 3:
      places = [(2 * down, i * right) if width >= height else (i * down, 2 * right) for i in (0, 2, 4)]
    else:
      places = [(i * down, j * right) for i, j in ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2))]
    views = []
    for clip in frames.reshape(-1, video.shape[-4], *frames.shape[1:]):
      cut = [crop_and_resize(clip, (top, left, self.size, self.size), self.size) for top, left in places]
      views += cut + ([flip_frames(view, self.signed) for view in cut] if self.crops == 10 else [])
    return np.stack(views)


@dataclasses.dataclass(frozen=True)
class WholeClip:
  """One view for tests, the clip as it is: `[..., T, F]` -> `[views, T, F]`, for streams without pixels.

  Attributes:
    crops: views of a clip, always 1.
  """

  crops: Literal[1] = 1
  size: ClassVar[int] = 1
  short_side: ClassVar[None] = None
  needs: ClassVar[frozenset[str]] = frozenset()

  def __post_init__(self):
    check_fields(self)

  def __call__(self, video: np.ndarray) -> np.ndarray:
    """Joins the leading axes."""
    return video.reshape(-1, *video.shape[-2:])


def _check_short_side(transform: Any) -> None:
  if transform.short_side is not None and transform.short_side < transform.size:
    name = type(transform).__name__
    raise ConfigError(
      f"{name}: short_side={transform.short_side} is smaller than size={transform.size}: the crop would be larger than "
      f"the frame; choose a short_side of {transform.size} or more"
    )


def _centre(height: int, width: int, side: int) -> tuple[int, int]:
  """(top, left) of the central square; a half is rounded to the even number, as torchvision does."""
  return round((height - side) / 2), round((width - side) / 2)


def _resize(frames: np.ndarray, height: int, width: int) -> np.ndarray:
  """Frames `[T, H, W, C]` at another size, uint8 `[T, height, width, C]`."""
  interpolation = cv2.INTER_AREA if 2 * min(height, width) <= min(frames.shape[1:3]) else cv2.INTER_LINEAR
  if frames.shape[-1] > 4 and interpolation == cv2.INTER_AREA:  # OpenCV averages no more than 4 channels
    return np.concatenate([_resize(part, height, width) for part in (frames[..., :3], frames[..., 3:])], axis=-1)
  resized = np.empty((len(frames), height, width, frames.shape[-1]), np.uint8)
  for frame, out in zip(frames, resized, strict=True):
    cv2.resize(frame, (width, height), out, interpolation=interpolation)
  return resized
