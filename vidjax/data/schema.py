"""One record schema for every data set, written by TFDS without TensorFlow and read frame by frame.

A record holds the frames of one video as JPEG bytes (`video`), as H.264 packets, one a frame (`packets`, with their
`gop`), the bytes of the original file (`encoded`), or features of a backbone (`features`). With them come its `label`
or several `labels`, `video_id`, `num_frames` and `fps`. Reading parses the serialised record and decodes only the
frames that are asked for.
"""

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import simplejpeg
from google.protobuf.message import DecodeError

from vidjax.errors import InputError

if TYPE_CHECKING:
  import tensorflow_datasets as tfds

JPEG_QUALITY = 90
PNG = b"\x89PNG"
"""What a PNG begins with; TFDS's own data sets hold such."""
DIGESTS = "digests.json"
"""The file of a data set with the SHA-256 of what every split holds, by which a run knows its data again."""
DESCRIBED = "/files"
"""There, beside the splits: the SHA-256 of the files that describe the data set."""
KINDS = {"video_id": bytes, "label": int, "num_frames": int, "fps": float, "video": bytes, "encoded": bytes}
KINDS |= {"short_side": int, "flow": bytes, "key_frames": int, "frame_labels": int, "times": float}
KINDS |= {"labels": int, "features": float, "packets": bytes, "gop": int}
"""What the values of a record are."""


NO_LABEL = -1
"""The label of a video of a test split whose labels are not known, and of one that has `labels`."""


class DamagedRecord(InputError):
  """A record that cannot be read back: the message names the video."""


def features(
  class_names: Sequence[str], optional: Iterable[str] = (), encoding: str = "jpeg", width: int = 0
) -> "tfds.features.FeaturesDict":
  """The TFDS features of a data set.

  Args:
    class_names: names of the labels, in their order.
    optional: any of "flow" (one JPEG for each frame but the last, see `vidjax.data.flow`), "key_frames" (the frame
      numbers of the key moment), "frame_labels" (one integer per frame), "times" (seconds of every frame from the
      first) and "labels" (the classes of a video, any number of them, in place of its `label`).
    encoding: "jpeg" stores frames; "h264" their packets, see `vidjax.data.h264`; "video" stores the file as it is, and
      the short side that frames are decoded to; "features" stores float32 features.
    width: numbers of each feature.
  """
  import tensorflow_datasets as tfds

  jpegs = tfds.features.Sequence(tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"))
  integers = tfds.features.Sequence(np.int64)
  seconds = tfds.features.Sequence(np.float32)
  classes = tfds.features.ClassLabel(names=list(class_names))
  extras = {"flow": jpegs, "key_frames": integers, "frame_labels": integers, "times": seconds}
  extras["labels"] = tfds.features.Sequence(classes)
  integer = tfds.features.Scalar(np.int64)
  pixels = {
    "jpeg": {"video": jpegs},
    "video": {"encoded": tfds.features.Tensor(shape=(), dtype=np.object_), "short_side": integer},
    "h264": {"packets": tfds.features.Sequence(tfds.features.Tensor(shape=(), dtype=np.object_)), "gop": integer},
    "features": {"features": tfds.features.Tensor(shape=(None, width), dtype=np.float32)},
  }
  optional = list(optional)
  return tfds.features.FeaturesDict(
    {
      **pixels[encoding],
      **({} if "labels" in optional else {"label": classes}),
      "video_id": tfds.features.Text(),
      "num_frames": integer,
      "fps": tfds.features.Scalar(np.float32),
      **{name: extras[name] for name in optional},
    }
  )


def encode_frames(frames: Iterable[np.ndarray]) -> list[bytes]:
  """JPEG bytes (quality 90) of uint8 RGB frames `[H, W, 3]`."""
  quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
  return [cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), quality)[1].tobytes() for frame in frames]


@dataclasses.dataclass(frozen=True)
class Record:
  """One parsed record; no frame is decoded before `decode`.

  Attributes:
    label: index into the class names, or `NO_LABEL`.
    labels: int64, indices into the class names of a video that may have several, or None.
    video_id: unique within the data set.
    num_frames: frames of the video.
    fps: frames per second.
    frames: JPEG bytes of every frame, or its H.264 packet; empty where `encoded` holds the original file, or
      `features` stand for them.
    gop: frames from one key frame of H.264 to the next, None where `frames` are JPEGs.
    encoded: bytes of the original file, or None.
    short_side: length the short side of frames decoded from `encoded` has at most, or None.
    flow: the JPEG bytes of every optical flow image, or None.
    key_frames: int64 `[K]` frame numbers of the key moment, or None.
    frame_labels: int64 `[num_frames]`, or None.
    times: float64 `[num_frames]`, seconds of every frame from the first, or None.
    features: float32 `[num_frames, F]`, or None.
  """

  label: int
  video_id: str
  num_frames: int
  fps: float
  frames: Sequence[bytes]
  encoded: bytes | None = None
  short_side: int | None = None
  flow: Sequence[bytes] | None = None
  key_frames: np.ndarray | None = None
  frame_labels: np.ndarray | None = None
  times: np.ndarray | None = None
  labels: np.ndarray | None = None
  features: np.ndarray | None = None
  gop: int | None = None

  @classmethod
  def parse(cls, raw: bytes) -> "Record":
    """Reads a serialised record.

    Raises:
      DamagedRecord: it is not a record of this schema, or it is incomplete.
    """
    try:
      values = example_message().FromString(raw).features.feature
    except DecodeError:
      raise DamagedRecord(f"a record of {len(raw)} bytes cannot be parsed: prepare the data set again") from None
    found = {name: getattr(value, value.WhichOneof("kind") or "bytes_list").value for name, value in values.items()}
    video_id = found["video_id"][0] if found.get("video_id") else b"(no video_id)"
    video_id = video_id.decode(errors="replace") if isinstance(video_id, bytes) else str(video_id)
    wrong = [name for name, kind in KINDS.items() if found.get(name) and not isinstance(found[name][0], kind)]
    if wrong:
      raise DamagedRecord(
        f"the record of {video_id} holds another kind of {', '.join(wrong)}: prepare the data set again"
      )
    missing = [] if found.get("label") or "labels" in found else ["label"]
    missing += [name for name in ("video_id", "num_frames", "fps") if not found.get(name)]
    missing += [] if any(found.get(name) for name in ("video", "encoded", "features", "packets")) else ["video"]
    if missing:
      raise DamagedRecord(f"the record of {video_id} lacks {', '.join(missing)}: prepare the data set again")
    record = cls(
      label=found["label"][0] if "labels" not in found else NO_LABEL,
      video_id=video_id,
      num_frames=found["num_frames"][0],
      fps=found["fps"][0],
      frames=found.get("video", ()) or found.get("packets", ()),
      encoded=found["encoded"][0] if found.get("encoded") else None,
      short_side=found["short_side"][0] if found.get("short_side") else None,
      flow=found.get("flow"),
      key_frames=_integers(found, "key_frames"),
      frame_labels=_integers(found, "frame_labels"),
      times=np.array(found["times"], np.float64) if found.get("times") else None,
      labels=_integers(found, "labels"),
      features=_features(found),
      gop=found["gop"][0] if found.get("packets") and found.get("gop") else None,
    )
    if found.get("packets") and (record.gop or 0) < 1:
      raise DamagedRecord(f"the record of {video_id} lacks the distance of its key frames: prepare the data set again")
    if record.num_frames < 1:
      raise DamagedRecord(f"the record of {video_id} is of {record.num_frames} frames: prepare the data set again")
    if record.times is not None and len(record.times) != record.num_frames:
      raise DamagedRecord(f"the record of {video_id} holds {len(record.times)} of {record.num_frames} times")
    if record.features is not None and len(record.features) == record.num_frames:
      return record
    if record.encoded is None and len(record.frames) != record.num_frames:
      raise DamagedRecord(f"the record of {video_id} holds {len(record.frames)} of {record.num_frames} frames")
    return record

  def plain(self) -> "Record":
    """This record without its flow, for keeping: it holds its frames' memory."""
    return dataclasses.replace(self, frames=tuple(self.frames), flow=None)

  def of_flow(self) -> "Record":
    """This record with its flow images in place of its frames, one fewer of them, and their times.

    Raises:
      DamagedRecord: it holds no flow, or not that of every frame but the last.
    """
    images = self.flow or ()
    if self.num_frames < 2:
      raise DamagedRecord(f"{self.video_id} has {self.num_frames} frame, and flow takes two")
    if len(images) != self.num_frames - 1:
      raise DamagedRecord(f"the record of {self.video_id} holds {len(images)} of {self.num_frames - 1} flow images")
    times, own = (None if values is None else values[:-1] for values in (self.times, self.frame_labels))
    changed = {"num_frames": len(images), "frames": images, "times": times, "frame_labels": own}
    return dataclasses.replace(self, **changed, encoded=None, short_side=None, flow=None, gop=None)

  def decode(self, frame_indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """Decodes the frames of these 0-based numbers, each distinct one once.

    Original files are decoded from their start up to the last frame asked for: seeking is wrong on real files.

    Returns:
      uint8 RGB `[len(frame_indices), H, W, 3]`.

    Raises:
      DamagedRecord: a frame that is asked for cannot be decoded.
      IndexError: a number outside `[0, num_frames)`.
    """
    numbers = np.asarray(frame_indices, np.int64).tolist()
    wanted = sorted(set(numbers))
    if not wanted or wanted[0] < 0 or wanted[-1] >= self.num_frames:
      raise IndexError(f"{self.video_id} has frames 0 to {self.num_frames - 1}, asked for {numbers}")
    if self.encoded is not None:
      frames = self._from_file(wanted)
    else:
      frames = self._from_jpegs(self.frames, wanted) if self.gop is None else self._from_packets(wanted, self.gop)
    return frames if wanted == numbers else frames[np.searchsorted(wanted, numbers)]

  def decode_flow(self, flow_indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """Decodes flow images: uint8 `[len(flow_indices), H, W, 3]`, as they were stored.

    Raises:
      DamagedRecord: the record holds no flow, or an image that is asked for cannot be decoded.
    """
    if self.flow is None:
      raise DamagedRecord(f"the record of {self.video_id} holds no flow")
    return self._from_jpegs(self.flow, flow_indices)

  def _from_jpegs(self, jpegs: Sequence[bytes], indices: Sequence[int] | np.ndarray) -> np.ndarray:
    index, *others = indices
    try:
      if jpegs[index].startswith(PNG):
        return np.stack([_png(jpegs[number]) for number in indices])
      first = simplejpeg.decode_jpeg(jpegs[index])
      images = np.empty((len(indices), *first.shape), np.uint8)
      images[0] = first
      for image, index in zip(images[1:], others, strict=True):
        shape = simplejpeg.decode_jpeg(jpegs[index], buffer=image).shape
        if shape != image.shape:
          raise ValueError(
            f"it has {shape[0]} x {shape[1]} pixels, frame {indices[0]} {image.shape[0]} x {image.shape[1]}"
          )
    except (ValueError, MemoryError) as error:
      reason = f"frame {index} of {self.video_id} cannot be decoded ({error})"
      raise DamagedRecord(f"{reason}: prepare the data set again") from None
    return images

  def _from_packets(self, wanted: Sequence[int], gop: int) -> np.ndarray:
    from vidjax.data import h264

    try:
      return np.stack(h264.decode(self.frames, wanted, gop))
    except (InputError, ValueError) as error:
      raise DamagedRecord(f"{self.video_id}: {error}: prepare the data set again") from error

  def _from_file(self, wanted: Sequence[int]) -> np.ndarray:
    from vidjax.data import video_file

    images = []
    try:
      images_of = video_file.decode(
        self.encoded or b"", self.short_side, name=self.video_id, first_stream=self.times is None
      )
      for number, image in enumerate(images_of):
        if number == wanted[len(images)]:
          images.append(image)
        if len(images) == len(wanted):
          return np.stack(images)
    except InputError as error:
      raise DamagedRecord(str(error)) from error
    raise DamagedRecord(f"frame {wanted[len(images)]} of {self.video_id} cannot be decoded: prepare the data set again")


def example(
  label: int | str | Sequence[int | str], video_id: str, fps: float, num_frames: int, **rest: Any
) -> dict[str, Any]:
  """An example as TFDS writes it.

  Args:
    label: index or name of the class; "" becomes `NO_LABEL`; a list of several becomes `labels`.
    video_id: unique within the data set.
    fps: frames per second.
    num_frames: frames of the video.
    **rest: `video` (JPEG bytes of every frame), or `packets` and `gop`, or `encoded` and `short_side`, or `features`;
      and the optional features.
  """
  own = {"label": NO_LABEL if label == "" else label} if isinstance(label, (int, str)) else {"labels": list(label)}
  return {**own, "video_id": video_id, "num_frames": num_frames, "fps": fps, **rest}


def _png(data: bytes) -> np.ndarray:
  image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
  if image is None:
    raise ValueError("it is no PNG")
  return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


@functools.cache
def example_message() -> Any:
  """The protobuf class of a serialised record."""
  from tensorflow_datasets.proto import tf_example_pb2  # which imports all of TFDS

  messages: Any = tf_example_pb2
  return messages.Example


def _features(found: Mapping[str, Any]) -> np.ndarray | None:
  count = found["num_frames"][0]
  values = np.array(found.get("features", ()), np.float32)
  if not len(values):
    return None
  if count < 1 or len(values) % count:
    raise DamagedRecord(f"a record holds {len(values)} numbers for {count} features: prepare the data set again")
  return values.reshape(count, -1)


def _integers(found: Mapping[str, Any], name: str) -> np.ndarray | None:
  return np.array(found[name], np.int64) if name in found else None
