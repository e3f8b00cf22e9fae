"""The record schema: what is written is read back, only the wanted frames are decoded, damage is named."""

import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st

from vidjax.data import schema, write
from vidjax.data.dataset import open_dataset
from vidjax.data.schema import DamagedRecord, Record

VIDEO = np.broadcast_to((8 * np.arange(12, dtype=np.uint8) + 20)[:, None, None, None], (12, 24, 40, 3))


def store(tmp_path, *examples, **options) -> list[bytes]:
  """Raw records after a trip through TFDS and array_record."""
  folder = tmp_path / "mine" / write.VERSION
  folder.mkdir(parents=True)
  write.write_records(folder, "mine", ["train"], (("train", one) for one in examples), ["walk", "run"], **options)
  source = open_dataset("mine", str(tmp_path)).source("train")
  return [source[i] for i in range(len(source))]


def jpeg_example(**rest):
  return schema.example("run", "a/b.avi", 12.5, len(VIDEO), video=schema.encode_frames(VIDEO), **rest)


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> bytes:
  return store(tmp_path_factory.mktemp("data"), jpeg_example())[0]


def test_a_record_reads_back(tmp_path):
  extra = {"key_frames": [3, 4], "frame_labels": list(range(12)), "flow": schema.encode_frames(VIDEO[1:])}
  (raw,) = store(tmp_path, jpeg_example(**extra), optional=tuple(extra))
  record = Record.parse(raw)
  assert (record.label, record.video_id, record.num_frames, record.fps) == (1, "a/b.avi", 12, 12.5)
  np.testing.assert_array_equal(record.key_frames, [3, 4])
  np.testing.assert_array_equal(record.frame_labels, np.arange(12))
  np.testing.assert_allclose(record.decode(range(12)).astype(int), VIDEO, atol=12)
  np.testing.assert_allclose(record.decode_flow([0, 10]).astype(int), VIDEO[[1, 11]], atol=12)


def test_absent_optional_features_are_none_and_empty_ones_empty(tmp_path, raw):
  record = Record.parse(raw)
  assert record.key_frames is record.frame_labels is record.flow is record.encoded is None
  (raw,) = store(tmp_path, jpeg_example(key_frames=[]), optional=("key_frames",))
  assert Record.parse(raw).key_frames.shape == (0,)


@given(st.lists(st.integers(0, 11), min_size=1, max_size=20))
def test_frames_come_as_asked_each_decoded_once(raw, indices):
  record = Record.parse(raw)
  decoded = []

  def count(jpeg, buffer=None, original=simplejpeg.decode_jpeg):
    decoded.append(jpeg)
    return original(jpeg, buffer=buffer)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(simplejpeg, "decode_jpeg", count)
    clip = record.decode(indices)
  assert (clip.shape, clip.dtype) == ((len(indices), 24, 40, 3), np.uint8)
  np.testing.assert_allclose(clip[:, -1, -1].mean(-1), VIDEO[indices, -1, -1, 0], atol=4)
  assert len(decoded) == len(set(indices))


def test_colours_stay_rgb(tmp_path):
  red = np.zeros((2, 16, 16, 3), np.uint8)
  red[..., 0] = 200
  (raw,) = store(tmp_path, schema.example(0, "red", 1.0, 2, video=schema.encode_frames(red)))
  np.testing.assert_allclose(Record.parse(raw).decode([0])[0].mean((0, 1)), [200, 0, 0], atol=4)


@pytest.mark.parametrize("indices", [[-1], [12], []])
def test_frames_outside_the_video_are_an_index_error(raw, indices):
  with pytest.raises(IndexError, match=r"a/b\.avi has frames 0 to 11"):
    Record.parse(raw).decode(indices)


def test_original_files_read_like_jpeg_frames(tmp_path, make_video):
  path = make_video(tmp_path / "a.mp4", count=12)
  example = schema.example(0, "a.mp4", 8.0, 12, encoded=path.read_bytes(), short_side=16)
  record = Record.parse(store(tmp_path, example, encoding="video")[0])
  clip = record.decode([9, 2, 9])
  assert clip.shape == (3, 16, 24, 3)
  np.testing.assert_allclose(clip[:, -1, -1].mean(-1), [92, 36, 92], atol=4)
  assert record.encoded == path.read_bytes()


def test_damage_is_named(tmp_path, make_video, raw):
  with pytest.raises(DamagedRecord, match="cannot be parsed"):
    Record.parse(raw[: len(raw) // 2])
  with pytest.raises(DamagedRecord, match="lacks label, video_id, num_frames, fps, video"):
    Record.parse(b"")
  jpegs = schema.encode_frames(VIDEO)
  jpegs[3], jpegs[4], jpegs[5] = jpegs[3][: len(jpegs[3]) // 2], b"", b"\xff\xd8" + bytes(99) + b"\xff\xd9"
  jpegs[6] = jpegs[6][:-60] + jpegs[6][-20:]  # OpenCV paints what is missing, silently
  record = Record(0, "a/b.avi", 12, 25.0, jpegs)
  for index in (3, 4, 5, 6):
    with pytest.raises(DamagedRecord, match=rf"frame {index} of a/b\.avi cannot be decoded"):
      record.decode([index, 0])
  for size, reason in ((2, "it has 2 x 2 pixels, frame 0 24 x 40"), (99, "too small to decode .99, 99, 3. image")):
    (jpegs[1],) = schema.encode_frames([np.zeros((size, size, 3), np.uint8)])
    with pytest.raises(DamagedRecord, match=rf"frame 1 of a/b\.avi cannot be decoded .*{reason}"):
      record.decode([1, 0])
  jpegs[1] = jpegs[0]
  assert len(record.decode([0, 1, 2])) == 3
  file = make_video(tmp_path / "a.avi", count=30, height=64, width=64, codec="mpeg4").read_bytes()
  cut = Record(0, "c.avi", 30, 8.0, (), encoded=file[: len(file) * 3 // 4], short_side=64)
  with pytest.raises(DamagedRecord, match=r"c\.avi is truncated or damaged"):
    cut.decode([29])
  short = Record(0, "c.avi", 31, 8.0, (), encoded=file, short_side=64)
  with pytest.raises(DamagedRecord, match=r"frame 30 of c\.avi cannot be decoded"):
    short.decode([0, 30])


@pytest.mark.parametrize(
  ("name", "values"), [("label", b"x"), ("video", 1), ("fps", b"x"), ("num_frames", 1.0), ("video_id", 1)]
)
def test_values_of_another_kind_are_damage(raw, name, values):
  message = schema.example_message().FromString(raw)
  feature = message.features.feature[name]
  kind = {bytes: "bytes_list", int: "int64_list", float: "float_list"}[type(values)]
  feature.Clear()
  getattr(feature, kind).value.append(values)
  with pytest.raises(DamagedRecord, match=f"another kind of {name}"):
    Record.parse(message.SerializeToString())


def test_an_id_that_is_no_text_and_a_picture_too_large_for_memory(raw):
  message = schema.example_message().FromString(raw)
  message.features.feature["video_id"].bytes_list.value[:] = [b"\xff\xfe"]
  assert Record.parse(message.SerializeToString()).num_frames == 12
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(np, "empty", lambda *_: (_ for _ in ()).throw(MemoryError("21 GiB")))
    with pytest.raises(DamagedRecord, match=r"cannot be decoded \(21 GiB\)"):
      Record.parse(raw).decode([0])


def test_a_record_short_of_frames_is_damaged(tmp_path):
  example = {**jpeg_example(), "num_frames": 13}
  with pytest.raises(DamagedRecord, match=r"a/b\.avi holds 12 of 13 frames"):
    Record.parse(store(tmp_path, example)[0])
