"""A video as a folder of frames, `img_00001.jpg` and so on, read in the order of their numbers.

Any prefix and any number of zeros will do. A JPEG of the wanted size is stored byte by byte; others are shrunk.
"""

import dataclasses
import functools
import itertools
import pathlib
import re
from collections.abc import Iterator

import cv2
import numpy as np
import simplejpeg

from vidjax.data import schema
from vidjax.errors import InputError

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_END = b"\xff\xd9"


@dataclasses.dataclass(frozen=True)
class Picture:
  """A frame as it is stored, decoded on request; stands where `video_file.Frame` does.

  Attributes:
    jpeg: its bytes.
    time: seconds at which it is shown.
    corrupt: always False: a damaged frame refuses the folder.
    interlaced: always False.
  """

  jpeg: bytes
  time: float
  corrupt: bool = False
  interlaced: bool = False

  @functools.cached_property
  def image(self) -> np.ndarray:
    """uint8 RGB `[H, W, 3]`."""
    return simplejpeg.decode_jpeg(self.jpeg)


def is_one(folder: pathlib.Path) -> bool:
  """Whether a folder holds frames: more pictures than other things."""
  paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
  return 2 * sum(path.suffix.lower() in PICTURES for path in paths) > len(paths)


def files(path: pathlib.Path) -> list[pathlib.Path]:
  """The files of a film: itself, or those of its folder."""
  return sorted(one for one in path.iterdir() if not one.name.startswith(".")) if path.is_dir() else [path]


def numbered(folder: pathlib.Path, name: str) -> dict[int, pathlib.Path]:
  """The frames of a folder by their numbers, in order.

  Args:
    folder: of the frames.
    name: what errors call it.

  Raises:
    InputError: a file that is no frame, frames of two kinds such as flow_x and flow_y, or two of one number.
  """
  found: dict[int, pathlib.Path] = {}
  kinds: dict[str, pathlib.Path] = {}
  for path in files(folder):
    match = re.fullmatch(r"(.*?)(\d+)", path.stem)
    if path.suffix.lower() not in PICTURES or not match or path.is_dir():
      raise InputError(f"{name} is a folder of frames and holds {path.name}, which is no numbered picture: move it out")
    kinds.setdefault(match[1], path)
    if len(kinds) > 1:
      one, other = (path.name for path in kinds.values())
      raise InputError(f"{name} holds frames of two kinds ({one}, {other}): keep those of one in a folder")
    if int(match[2]) in found:
      raise InputError(f"{name} holds frame {int(match[2])} twice ({found[int(match[2])].name}, {path.name})")
    found[int(match[2])] = path
  if not found:
    raise InputError(f"{name} is a folder without a frame")
  return dict(sorted(found.items()))


def gaps(numbers: list[int]) -> str:
  """The numbers that are missing between the first and the last, as "3, 7 to 9"; "" without any."""
  parts = []
  for here, there in itertools.pairwise(numbers):
    if there - here > 1:
      parts.append(f"{here + 1}" + f" to {there - 1}" * (there - here > 2))
  return ", ".join(parts[:5]) + (", ..." if len(parts) > 5 else "")


def read(frames: dict[int, pathlib.Path], short_side: int, fps: float, name: str) -> Iterator[Picture]:
  """The frames of a folder.

  JPEGs that are small enough are checked by their headers and ends, not decoded.

  Args:
    frames: from `numbered`.
    short_side: larger frames are shrunk to it.
    fps: frames a second; a frame that is missing leaves a gap in time.
    name: what errors call the folder.

  Raises:
    InputError: a frame that cannot be read, or is of another size than the first.
  """
  first = min(frames)
  size = None
  for number, path in frames.items():
    try:
      jpeg, shape = _stored(path.read_bytes(), short_side)
    except (ValueError, OSError, cv2.error) as error:
      reason = "it is no picture, or damaged" if isinstance(error, cv2.error) else error
      raise InputError(f"frame {path.name} of {name} cannot be read ({reason})") from error
    size = size or shape
    if shape != size:
      raise InputError(f"frame {path.name} of {name} has {shape[1]} x {shape[0]} pixels, others {size[1]} x {size[0]}")
    yield Picture(jpeg, (number - first) / fps)


def _stored(content: bytes, short_side: int) -> tuple[bytes, tuple[int, ...]]:
  """The JPEG that is stored of a picture, and its height and width."""
  if not content:
    raise ValueError("it is empty, 0 bytes")
  if content[:2] == b"\xff\xd8":
    if _END not in content[-64:]:  # some encoders pad the end
      raise ValueError("it ends early")
    *sides, colours, _ = simplejpeg.decode_jpeg_header(content)
    height, width = (int(side) for side in sides)
    if min(height, width) <= short_side and colours in ("YCbCr", "Gray"):
      return content, (height, width)
    image = simplejpeg.decode_jpeg(content) if colours in ("YCbCr", "Gray", "RGB") else None
  else:
    image = None
  if image is None:
    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if found is None:
      raise ValueError("it is no picture, or damaged")
    image = cv2.cvtColor(found, cv2.COLOR_BGR2RGB)
  scale = short_side / min(image.shape[:2])
  if scale < 1:
    height, width = (max(round(scale * side), 1) for side in image.shape[:2])
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
  return schema.encode_frames([image])[0], image.shape[:2]
