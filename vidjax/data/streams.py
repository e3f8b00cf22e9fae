"""What a clip is made of: frames, stored optical flow, both, or stored features.

A stream shows a record as a film of `num_frames` places, from which the sampler of a config chooses. A new one is a
class with the same members (`vidjax.types.Stream`); `config.stream.make` names it.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vidjax.bounds import Count
from vidjax.checks import check_fields
from vidjax.errors import InputError
from vidjax.types import Film

if TYPE_CHECKING:
  from vidjax.data.schema import Record

Choose = Callable[[int, np.ndarray], np.ndarray]
"""(number of frames, their seconds from the first) -> the numbers of those to read."""


@dataclasses.dataclass(frozen=True)
class Frames:
  """RGB frames: clips uint8 `[T, H, W, 3]`."""

  gives = frozenset({"pixels", "colour"})
  signed = ()
  dtype = np.uint8

  def clip_shape(self, frames: int, size: int) -> tuple[int, ...]:
    """`[T, H, W, 3]`."""
    return frames, size, size, 3

  def check(self, name: str, holds: Mapping[str, Any]) -> None:
    """Raises an InputError where there are no frames."""
    _check_frames(self, name, holds)

  def of(self, record: "Record") -> Film:
    """The record as it is."""
    return record

  def read_file(self, file: str, choose: Choose, short_side: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Numbers `[..., T]` and frames uint8 `[..., T, H, W, 3]` of a video file."""
    from vidjax.data.sample_film import sample_file

    return sample_file(file, choose, short_side)


@dataclasses.dataclass(frozen=True)
class Flow:
  """Stored optical flow, one image fewer than frames: clips uint8 `[T, H, W, 3]` for `vidjax.inputs.stored_flow`.

  Red is u, green is v, and 0 to 255 are -20 to 20 pixels; blue is empty.
  """

  gives = frozenset({"pixels"})
  signed = (0,)
  dtype = np.uint8

  def clip_shape(self, frames: int, size: int) -> tuple[int, ...]:
    """`[T, H, W, 3]`."""
    return frames, size, size, 3

  def check(self, name: str, holds: Mapping[str, Any]) -> None:
    """Raises an InputError where there is no flow."""
    _check_flow(self, name, holds)

  def of(self, record: "Record") -> Film:
    """Its flow images in place of its frames."""
    return record.of_flow()

  def read_file(self, file: str, choose: Choose, short_side: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Numbers `[..., T]` and flow images uint8 `[..., T, H, W, 3]`, computed and encoded as in preparation."""
    from vidjax.data.sample_film import sample_flow

    return sample_flow(file, choose, short_side)


@dataclasses.dataclass(frozen=True)
class FramesAndFlow:
  """Frames and the flow from each to the next: clips uint8 `[T, H, W, 5]`, red, green, blue, u and v.

  For networks of two streams that train together; `vidjax.inputs.channels.Channels` gives each its own.
  """

  gives = frozenset({"pixels"})
  signed = (3,)
  dtype = np.uint8

  def clip_shape(self, frames: int, size: int) -> tuple[int, ...]:
    """`[T, H, W, 5]`."""
    return frames, size, size, 5

  def check(self, name: str, holds: Mapping[str, Any]) -> None:
    """Raises an InputError where there are no frames or no flow."""
    _check_frames(self, name, holds)
    _check_flow(self, name, holds)

  def of(self, record: "Record") -> Film:
    """Both, of every frame but the last."""
    return _Both(record, record.of_flow())

  def read_file(self, file: str, choose: Choose, short_side: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Numbers `[..., T]` and both, uint8 `[..., T, H, W, 5]`."""
    from vidjax.data.sample_film import sample_file, sample_flow

    numbers, flow = sample_flow(file, choose, short_side)
    _, frames = sample_file(file, lambda *_: numbers, short_side)
    return numbers, np.concatenate([frames, flow[..., :2]], axis=-1)


@dataclasses.dataclass(frozen=True)
class Features:
  """Stored features of a backbone: clips float32 `[T, F]`, see `python -m vidjax.prepare features`.

  Attributes:
    width: F, as the data set has it.
  """

  width: Count

  gives = frozenset()
  signed = ()
  dtype = np.float32

  def __post_init__(self):
    check_fields(self)

  def clip_shape(self, frames: int, size: int) -> tuple[int, ...]:
    """`[T, F]`; `size` means nothing here."""
    return frames, self.width

  def check(self, name: str, holds: Mapping[str, Any]) -> None:
    """Raises an InputError where there are no features, or of another width."""
    if "features" not in holds:
      raise InputError(
        f"stream.make=Features: {name} holds no features, which python -m vidjax.prepare features stores"
      )
    found = holds["features"][-1]
    if found != self.width:
      raise InputError(
        f"stream.width={self.width}: the features of {name} have {found} numbers: set it to that, or give a trained run"
        " features of its own backbone"
      )

  def of(self, record: "Record") -> Film:
    """Its features in place of frames."""
    return _Features(record)

  def read_file(self, file: str, choose: Choose, short_side: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Numbers `[..., T]` and features `[..., T, F]` of a file of NumPy's, .npy, that holds those of one video."""
    try:
      found = np.load(file)
    except (OSError, ValueError, EOFError) as error:
      there = "" if pathlib.Path(file).exists() else " does not exist;"
      raise InputError(
        f"{file}:{there} this network reads features, not films: give those of a video as a .npy file [N,"
        f" {self.width}]; python -m vidjax.prepare features stores those of a data set, and python -m vidjax.evaluate"
        " --data=NAME scores them"
      ) from error
    return self.read(found, choose, file)

  def read(self, features: object, choose: Choose, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Numbers `[..., T]` and features `[..., T, F]` of those of one video.

    Args:
      features: float `[N, F]`.
      choose: (N, no times) -> numbers.
      name: what an error calls them.
    """
    found: Any = features if isinstance(features, np.ndarray) else np.zeros(0)
    nothing: Any = None
    if found.ndim != 2 or found.shape[1] != self.width or not len(found) or found.dtype.kind != "f":
      raise InputError(f"{name} {list(found.shape)} of {found.dtype}: give float features [N, {self.width}]")
    if not np.isfinite(found).all():
      raise InputError(f"{name} {list(found.shape)} holds numbers that are not finite: compute its features again")
    numbers = choose(len(found), nothing)
    return numbers, found[numbers].astype(np.float32)


@dataclasses.dataclass(frozen=True)
class _Both:
  """Frames with the flow from each to the next."""

  frames: Any
  flow: Any

  @property
  def num_frames(self) -> int:
    return self.flow.num_frames

  @property
  def times(self) -> np.ndarray | None:
    return self.flow.times

  def decode(self, numbers: np.ndarray, /) -> np.ndarray:
    frames, flow = self.frames.decode(numbers), self.flow.decode(numbers)
    if frames.shape[1:3] != flow.shape[1:3]:
      from vidjax.data.schema import DamagedRecord

      raise DamagedRecord(
        f"{self.frames.video_id} has frames of {frames.shape[1:3]} pixels and flow of {flow.shape[1:3]}: prepare the"
        " data set again"
      )
    return np.concatenate([frames, flow[..., :2]], axis=-1)


@dataclasses.dataclass(frozen=True)
class _Features:
  """The stored features of a record."""

  record: Any

  @property
  def num_frames(self) -> int:
    return self.record.num_frames

  @property
  def times(self) -> np.ndarray | None:
    return self.record.times

  def decode(self, numbers: np.ndarray, /) -> np.ndarray:
    return self.record.features[numbers]


def _check_frames(stream: object, name: str, holds: Mapping[str, Any]) -> None:
  if not {"video", "encoded", "packets"} & set(holds):
    width = f", --config.stream.width={holds['features'][-1]}" if "features" in holds else ""
    raise InputError(
      f"stream.make={type(stream).__name__}: {name} holds no frames but {', '.join(sorted(holds))}: set"
      f" --config.stream.make=vidjax.data.streams.Features{width}, as configs/probe.py does"
    )


def _check_flow(stream: object, name: str, holds: Mapping[str, Any]) -> None:
  if "flow" not in holds:
    raise InputError(
      f"stream.make={type(stream).__name__}: {name} holds no flow, which python -m vidjax.prepare folder --flow stores"
    )
