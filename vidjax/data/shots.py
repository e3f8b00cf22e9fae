"""The frames of a film on their way into records, and the clips that it is cut into."""

import collections
import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from vidjax.data import h264


class Shot(NamedTuple):
  """A frame to be stored.

  Attributes:
    jpeg: its JPEG; empty where the original file is stored; its image before H.264 makes a packet of it.
    time: its seconds in the film.
    flow: JPEG of the flow from it to the next frame, empty for the last one.
  """

  jpeg: bytes | np.ndarray
  time: float
  flow: bytes = b""


def packed(shots: Iterable[Shot], gop: int, crf: float) -> Iterator[Shot]:
  """The shots of a clip, each image replaced by its packet.

  Args:
    shots: whose `jpeg` is an image.
    gop: see `h264.encode`, as the next.
    crf: x264's rate factor.
  """
  waiting: collections.deque[Shot] = collections.deque()

  def images() -> Iterator[np.ndarray]:
    for shot in shots:
      waiting.append(shot)
      yield np.asarray(shot.jpeg)

  for packet in h264.encode(images(), gop, crf):
    yield waiting.popleft()._replace(jpeg=packet)


def cut(shots: Iterable[Shot], seconds: float, least: int = 1) -> Iterator[list[Shot]]:
  """Cuts a film into clips of that many seconds by the frames' own times.

  A rest shorter than half of that, or of fewer than `least` frames, joins the clip before it. Stretches without a frame
  give no clip. Holds two clips at a time.

  Args:
    shots: the frames of a film, in the order of their times.
    seconds: length of a clip.
    least: a rest of fewer frames is no clip of its own.
  """
  before: list[Shot] = []
  clip: list[Shot] = []
  first, number, count = None, 0, 0
  for shot in shots:
    first = shot.time if first is None else first
    count += 1
    place = math.floor((shot.time - first + 1e-3) / seconds)  # containers round times to milliseconds
    if clip and place != number:
      if before:
        yield before
      before, clip = clip, []
    number = place
    clip.append(shot)
  if first is None:
    return
  interval = (clip[-1].time - first) / max(count - 1, 1)
  rest = clip[-1].time + interval - first - number * seconds
  if before and (rest + 1e-3 < seconds / 2 or len(clip) < least):
    yield before + clip
    return
  if before:
    yield before
  yield clip
