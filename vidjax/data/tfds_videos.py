"""Records of TFDS's own data sets of videos, such as `ucf101`, completed to our schema.

They hold frames and a label alone. A video's name is then the digest of its record, and its rate UCF101's.
"""

import hashlib
import json
import pathlib
import shutil
from collections.abc import Iterable
from typing import Any

from google.protobuf.message import DecodeError

from vidjax.data.schema import DamagedRecord, example_message

FPS = 25.0
OURS = frozenset({"video_id", "num_frames", "fps"})
"""What TFDS's own data sets lack."""


_FEATURES = "tensorflow_datasets.core.features"


def describe_plainly(described: Any) -> Any:
  """The features of a data set in which a sequence of images stands for TFDS's Video, which requires TensorFlow.

  Args:
    described: what features.json holds.
  """
  if isinstance(described, list):
    return [describe_plainly(part) for part in described]
  if not isinstance(described, dict):
    return described
  if described.get("pythonClassName") != f"{_FEATURES}.video_feature.Video":
    return {key: describe_plainly(part) for key, part in described.items()}
  image = {"shape": {"dimensions": ["-1", "-1", "3"]}, "dtype": "uint8"}
  feature = {"pythonClassName": f"{_FEATURES}.image_feature.Image", "image": image}
  return {"pythonClassName": f"{_FEATURES}.sequence_feature.Sequence", "sequence": {"feature": feature, "length": "-1"}}


def copy_description(folder: pathlib.Path, target: pathlib.Path) -> None:
  """Copies what describes a data set, its features as `describe_plainly` has them.

  Args:
    folder: of the data set.
    target: another folder.
  """
  for path in folder.iterdir():
    if path.suffix in (".json", ".txt") and path.is_file():
      shutil.copy(path, target)
  described = json.loads((folder / "features.json").read_text(encoding="utf-8"))
  (target / "features.json").write_text(json.dumps(describe_plainly(described)), encoding="utf-8")


def recognised(keys: Iterable[str]) -> bool:
  """Whether a data set with these features is such a one."""
  return {"video", "label"} <= set(keys) and OURS.isdisjoint(keys)


def complete(raw: bytes) -> bytes:
  """A serialised record with what ours have; DamagedRecord where it cannot be parsed."""
  try:
    record = example_message().FromString(raw)
  except DecodeError:
    raise DamagedRecord(f"a record of {len(raw)} bytes cannot be parsed: prepare the data set again") from None
  features = record.features.feature
  features["num_frames"].int64_list.value.append(len(features["video"].bytes_list.value))
  features["fps"].float_list.value.append(FPS)
  features["video_id"].bytes_list.value.append(hashlib.sha256(raw).hexdigest()[:16].encode())
  return record.SerializeToString()
