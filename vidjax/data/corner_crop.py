"""Crops at the corners and the centre of the frame (rtsae 5.1.1 B, after Wang et al., 2015)."""

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from vidjax.bounds import Bound, Count
from vidjax.checks import check_fields
from vidjax.data.augment import PIXELS, Clip, crop_and_resize, scale_short_side
from vidjax.errors import ConfigError

Regions = Annotated[int, Bound("an int from 1 to 5", lambda n: 1 <= n <= 5)]


@dataclasses.dataclass(frozen=True)
class CornerCrop:
  """A square at one of a few places of a frame whose short side is resized first.

  Attributes:
    size: side of the result; the paper's is 224.
    short_side: short side of the resized frame; the text gives none, 256 is that of the work it cites.
    regions: how many places there are to draw from: 1 the centre, then the corners, 5 all (the amount of rtsae
      Fig. 9a).
  """

  size: Count = 224
  short_side: Count = 256
  regions: Regions = 5

  needs: ClassVar[frozenset[str]] = PIXELS

  def __post_init__(self):
    check_fields(self)
    if self.short_side < self.size:
      raise ConfigError(f"CornerCrop: short_side={self.short_side} is smaller than size={self.size}: give a larger one")

  def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
    """Crops a clip, all its frames at one place."""
    video = scale_short_side(clip["video"], self.short_side)
    places = self.places(*video.shape[1:3])
    box = (*places[rng.integers(len(places))], self.size, self.size)
    return {**clip, "video": crop_and_resize(video, box, self.size)}

  def places(self, height: int, width: int) -> list[tuple[int, int]]:
    """The (top, left) of each place in a frame.

    Args:
      height: of the frame, in pixels.
      width: of the frame.
    """
    down, right = height - self.size, width - self.size
    corners = [(0, 0), (0, right), (down, 0), (down, right)]
    return [(down // 2, right // 2), *corners][: self.regions]
