"""Frames as H.264: what is read back is what was encoded, whichever frames are asked for."""

import dataclasses

import numpy as np
import pytest

from vidjax.data import h264, schema
from vidjax.data.dataset import open_dataset
from vidjax.data.read_film import Storage
from vidjax.data.schema import DamagedRecord, Record
from vidjax.data.write import serializer
from vidjax.errors import InputError
from vidjax.prepare.folder import prepare_folder
from vidjax.prepare.keyframes import encode_frames


def moving(count: int, height: int = 32, width: int = 48) -> np.ndarray:
  """A coloured pattern that moves: uint8 `[count, height, width, 3]`."""
  y, x, t = np.mgrid[:height, :width, :count].transpose(0, 3, 1, 2).astype(float)
  waves = [np.sin((x + 2 * t) / 5), np.sin((y + t) / 4), np.sin((x + y - t) / 7)]
  return np.stack([127 + 100 * wave for wave in waves], -1).astype(np.uint8)


@pytest.mark.parametrize("gop", [1, 4, 8])
def test_each_frame_is_decoded_as_all_of_them_are(gop):
  images = moving(19)
  packets = list(h264.encode(images, gop))
  assert len(packets) == 19
  whole = h264.decode(packets, range(19), gop)
  np.testing.assert_allclose(np.stack(whole).astype(int), images, atol=40)  # 4:2:0 blurs colours
  assert np.abs(np.stack(whole).astype(int) - images).mean() < 5.5
  grey = moving(3).mean(-1, keepdims=True).astype(np.uint8).repeat(3, -1)
  again = h264.decode(list(h264.encode(grey, gop, crf=1)), range(3), gop)
  assert abs(np.stack(again).astype(float).mean() - grey.mean()) < 0.5  # the scaler is no level too dark
  for wanted in ([0], [18], [7, 8], [3, 4, 5, 17], [2, 9, 16]):
    for number, image in zip(wanted, h264.decode(packets, wanted, gop), strict=True):
      np.testing.assert_array_equal(image, whole[number])
  assert packets == list(h264.encode(images, gop))
  assert sum(map(len, h264.encode(images, gop, crf=35))) < sum(map(len, packets))


def test_a_data_set_of_h264(tmp_path, make_video):
  """Odd sides lose a row or column; films may be cut, or lie as frames in a folder."""
  for label in ("run", "walk"):
    for number in range(2):
      path = tmp_path / "videos" / label / f"{number}.avi"
      make_video(path, 20 + number, 33, 49 + 2 * len(label), "ffv1", pix_fmt="bgr0")
  frames = tmp_path / "videos" / "walk" / "frames"
  frames.mkdir()
  for number, jpeg in enumerate(encode_frames(moving(9, 33, 35))):
    (frames / f"{number:05d}.jpg").write_bytes(jpeg)
  for name, encoding, more in (
    ("jpeg", "jpeg", {}),
    ("h264", "h264", {}),
    ("cut", "h264", {"clip_seconds": 0.7, "gop": 3}),
  ):
    prepare_folder(tmp_path / "videos", name, tmp_path, storage=Storage(encoding=encoding, **more))

  def records(name: str) -> dict[str, Record]:
    source = open_dataset(f"folder/{name}", str(tmp_path)).source("train")
    return {record.video_id: record for record in map(Record.parse, map(source.__getitem__, range(len(source))))}

  jpeg, whole, cut = map(records, ("jpeg", "h264", "cut"))
  assert jpeg.keys() == whole.keys() == {name.partition("#")[0] for name in cut}
  for name, record in whole.items():
    assert (record.num_frames, record.gop) == (jpeg[name].num_frames, 8)
    expected = np.stack([h264.even(image) for image in jpeg[name].decode([8, 3, 8])])
    error = np.abs(record.decode([8, 3, 8]).astype(int) - expected)
    assert (error.mean() < 5, error.shape) == (True, expected.shape)
    flow = encode_frames(moving(record.num_frames - 1))
    assert dataclasses.replace(record, flow=flow).of_flow().decode([0]).shape == (1, 32, 48, 3)
  name, clip = next((name, clip) for name, clip in cut.items() if name.endswith("avi#0001"))
  start = cut[name.replace("#0001", "#0000")].num_frames
  grey = clip.decode([clip.num_frames - 1])[0, -1, -1].mean()
  assert abs(grey - (8 * (start + clip.num_frames - 1) + 20)) < 4


def test_damage_and_what_cannot_be_encoded(tmp_path):
  packets = list(h264.encode(moving(8)))

  def record(packets: list[bytes], gop: int = 8) -> Record:
    example = schema.example("walk", "a", 8.0, 8, packets=packets, gop=gop)
    return Record.parse(serializer(schema.features(["walk"], (), "h264"))(example))

  good = record(packets)
  np.testing.assert_array_equal(good.decode([5]), [h264.decode(packets, [5], 8)[0]])
  for number, damaged in ((0, b""), (0, b"no packet"), (3, packets[3][: len(packets[3]) // 2]), (0, packets[1])):
    broken = record([*packets[:number], damaged, *packets[number + 1 :]])
    with pytest.raises(DamagedRecord, match=r"a: frame \d cannot be decoded.*prepare the data set again"):
      broken.decode([4])
  with pytest.raises(DamagedRecord, match="lacks the distance of its key frames"):
    record(packets, 0)
  with pytest.raises(InputError, match="frames of one pixel"):
    list(h264.encode([h264.even(np.zeros((1, 8, 3), np.uint8))]))
