"""Decoding video files: sizes, orientation, colours, damage."""

import os
import pathlib
from fractions import Fraction
from unittest import mock

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition

from vidjax.data import video_file
from vidjax.errors import InputError


def levels(video) -> np.ndarray:
  return np.array([image[-4:, -4:].mean() for image in video])


@pytest.mark.parametrize(
  ("codec", "suffix"),
  [("libx264", "mp4"), ("ffv1", "mkv"), ("libvpx-vp9", "webm"), ("mpeg4", "avi"), ("mjpeg", "mov")],
)
def test_every_frame_comes_in_order_whatever_the_codec(tmp_path, make_video, codec, suffix):
  path = make_video(tmp_path / f"a.{suffix}", codec=codec, pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p")
  video = list(video_file.decode(path))
  assert {(image.shape, image.dtype) for image in video} == {((32, 48, 3), np.dtype(np.uint8))}
  np.testing.assert_allclose(levels(video), 8 * np.arange(8) + 20, atol=4)
  assert video_file.probe(path).fps == 8


def test_bytes_decode_like_the_file(tmp_path, make_video):
  path = make_video(tmp_path / "a.mp4")
  np.testing.assert_array_equal(list(video_file.decode(path)), list(video_file.decode(path.read_bytes())))


@pytest.mark.parametrize(
  ("short_side", "expected"), [(None, (32, 48)), (16, (16, 24)), (32, (32, 48)), (256, (32, 48)), (1, (1, 2))]
)
def test_the_short_side_shrinks_and_never_grows(tmp_path, make_video, short_side, expected):
  image = next(video_file.decode(make_video(tmp_path / "a.mp4"), short_side))
  assert image.shape == (*expected, 3)


def test_one_frame_of_odd_size(tmp_path, make_video):
  path = make_video(tmp_path / "a.mkv", count=1, height=17, width=33, codec="ffv1", pix_fmt="yuv444p")
  (image,) = video_file.decode(path)
  assert image.shape == (17, 33, 3)
  (image,) = video_file.decode(path, 9)
  assert image.shape == (9, 17, 3)


def test_names_are_no_addresses(tmp_path, make_video, monkeypatch):
  monkeypatch.chdir(tmp_path)
  for name in ("http:a.mp4", "12:30.mp4", "%03d.mp4", "-", " a|b'.mp4", "ü.mp4"):
    make_video(tmp_path / "good.mp4").rename(tmp_path / name)
    assert len(list(video_file.decode(name))) == 8


def test_names_that_are_no_text(tmp_path, make_video):
  path = make_video(tmp_path / "good.mp4").rename(tmp_path / os.fsdecode(b"b\xf6se.mp4"))
  assert len(list(video_file.decode(path))) == 8


def test_files_that_may_not_be_read(tmp_path, make_video):
  path = make_video(tmp_path / "good.mp4")
  for function in ("os.stat", "av.open"):
    with (
      mock.patch(function, side_effect=PermissionError),
      pytest.raises(InputError, match=r"good\.mp4 may not be read: permission denied"),
    ):
      list(video_file.decode(path))


def write_song(path: pathlib.Path) -> None:
  """Noise with a cover picture."""
  with av.open(str(path), "w") as container:
    stream = container.add_stream("mp3", rate=8000, layout="mono")
    cover = container.add_stream("png", rate=1)
    cover.width, cover.height, cover.pix_fmt, cover.disposition = 16, 16, "rgb24", Disposition.attached_pic
    container.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")))
    for part in range(8):
      sound = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.float32), "fltp", "mono")
      sound.sample_rate, sound.pts = 8000, 1152 * part
      container.mux(stream.encode(sound))
    container.mux(stream.encode(None))


@pytest.fixture
def bad_files(tmp_path, make_video):
  good = make_video(tmp_path / "good.avi", count=30, height=64, width=64, codec="mpeg4").read_bytes()
  (tmp_path / "empty.mp4").touch()
  (tmp_path / "text.mp4").write_text("no video at all\n" * 20)
  (tmp_path / "concat.mp4").write_text("ffconcat version 1.0\nfile 'good.avi'\n")
  (tmp_path / "hls.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\ngood.avi\n#EXT-X-ENDLIST\n")
  mpd = '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT5S"><Period>'
  mpd += '<AdaptationSet mimeType="video/mp4"><Representation id="1"><BaseURL>good.avi</BaseURL></Representation>'
  (tmp_path / "dash.mpd").write_text(f'<?xml version="1.0"?>{mpd}</AdaptationSet></Period></MPD>')
  sdp = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
  (tmp_path / "sdp.mp4").write_text(f"{sdp}a=rtpmap:96 H264/90000\n")
  (tmp_path / "truncated.avi").write_bytes(good[: len(good) * 3 // 4])
  (tmp_path / "headless.mp4").write_bytes(make_video(tmp_path / "good.mp4").read_bytes()[:900])
  (tmp_path / "folder.mp4").mkdir()
  (tmp_path / "link.mp4").symlink_to("nowhere.mp4")
  (tmp_path / "round.mp4").symlink_to("round.mp4")
  os.mkfifo(tmp_path / "pipe.mp4")
  for suffix in ("jpg", "png"):
    cv2.imwrite(str(tmp_path / f"picture.{suffix}"), np.zeros((16, 16, 3), np.uint8))
  (tmp_path / "picture.jpg").rename(tmp_path / "picture.mp4")
  write_song(tmp_path / "song.mp3")
  with av.open(str(tmp_path / "sound.mp4"), "w") as container:
    stream = container.add_stream("aac", rate=8000, layout="mono")
    sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
    sound.sample_rate = 8000
    container.mux(stream.encode(sound))
    container.mux(stream.encode(None))
  return tmp_path


@pytest.mark.parametrize(
  ("name", "message"),
  [
    ("missing.mp4", "does not exist"),
    ("empty.mp4", r"is empty \(0 bytes\)"),
    ("text.mp4", "is not a video but text, such as a list of other files"),
    ("concat.mp4", "is not a video but text, such as a list of other files"),
    ("hls.mp4", "is not a video but text, such as a list of other files"),
    ("dash.mpd", "is not a video but text, such as a list of other files"),
    ("sdp.mp4", "is not a video but text, such as a list of other files"),
    ("headless.mp4", "is truncated or damaged: it holds no stream"),
    ("folder.mp4", "is a folder"),
    ("link.mp4", "is a link to a file that does not exist"),
    ("round.mp4", "cannot be read .*symbolic links"),
    ("pipe.mp4", "is a device, not a video file"),
    ("picture.mp4", "is a picture, not a video file"),
    ("picture.png", "is a picture, not a video file"),
    (300 * "a", "cannot be read .*too long"),
    ("song.mp3", "holds no video, only audio"),
    ("sound.mp4", "holds no video, only audio"),
    ("truncated.avi", r"is truncated or damaged: (1\d|2\d) frames could be decoded"),
  ],
)
def test_bad_files_are_named_with_the_reason(bad_files, name, message, capfd):
  with pytest.raises(InputError, match=f"{name} {message}"):
    list(video_file.decode(bad_files / name))
  assert capfd.readouterr() == ("", "")


def test_empty_bytes_carry_the_name_given():
  with pytest.raises(InputError, match="clip 7 is empty"):
    list(video_file.decode(b"", name="clip 7"))


@pytest.mark.parametrize(
  ("name", "frames", "shape"),
  [
    ("bigbuckbunny.mp4", 132, (256, 455)),
    ("decord_unordered.mov", 4, (50, 50)),
    ("decord_video_90.mov", 3, (454, 256)),
    ("decord_video_270.mov", 3, (454, 256)),
    ("torchcodec_av1_video.mkv", 125, (256, 455)),
    ("torchcodec_bt709_full_range.mp4", 30, (256, 455)),
    ("torchcodec_h264_10bits.mp4", 30, (200, 200)),
    ("torchcodec_h265_video.mp4", 10, (128, 128)),
    ("torchcodec_nasa_13013.mp4", 390, (256, 455)),
    ("tree.avi", 68, (240, 320)),
  ],
)
def test_real_files(shared_videos, name, frames, shape, capfd):
  assert [image.shape[:2] for image in video_file.decode(shared_videos / name, 256)] == [shape] * frames
  assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("name", "turns"), [("decord_video_90.mov", -1), ("decord_video_270.mov", 1)])
def test_rotation_can_be_left_out(shared_videos, name, turns):
  upright, lying = (next(video_file.decode(shared_videos / name, rotate=rotate)) for rotate in (True, False))
  np.testing.assert_array_equal(upright, np.rot90(lying, turns))


def test_damage_in_the_middle_of_a_real_file(shared_videos):
  frames = video_file.decode(shared_videos / "decord_corrupted.mp4")
  with pytest.raises(InputError, match=r"decord_corrupted\.mp4 is damaged: 28 frames could be decoded"):
    list(frames)


ORIENTATIONS = {  # a, b, c, d of the display matrix -> how the stored frame is shown
  (1, 0, 0, 1): lambda image: image,
  (0, 1, -1, 0): lambda image: np.rot90(image, -1),
  (-1, 0, 0, -1): lambda image: np.rot90(image, 2),
  (0, -1, 1, 0): lambda image: np.rot90(image),
  (-1, 0, 0, 1): lambda image: image[:, ::-1],
  (1, 0, 0, -1): lambda image: image[::-1],
  (0, 1, 1, 0): lambda image: image.transpose(1, 0, 2),
  (0, -1, -1, 0): lambda image: np.rot90(image, 2).transpose(1, 0, 2),
}


def orient(path: pathlib.Path, orientation: tuple[int, ...]) -> None:
  """Writes a display matrix into the header of an MP4 file."""
  a, b, c, d = orientation
  data = bytearray(path.read_bytes())
  at = data.index(b"tkhd") + 44
  data[at : at + 36] = np.array([a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30], ">i4").tobytes()
  path.write_bytes(data)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_all_eight_orientations(orientation, tmp_path, make_video):
  path = make_video(tmp_path / "a.mp4", count=1)
  (lying,) = video_file.decode(path)
  orient(path, orientation)
  (image,) = video_file.decode(path)
  np.testing.assert_array_equal(image, ORIENTATIONS[orientation](lying))
  (stored,) = video_file.decode(path, rotate=False)
  np.testing.assert_array_equal(stored, lying)


def write_planes(path, frames, codec="libx264", rate=8, thumbnail=False, **settings) -> pathlib.Path:
  """A video of grey levels `[N, H, W]` as they are, without conversion."""
  with av.open(str(path), "w") as container:
    small = container.add_stream("libx264", rate=rate) if thumbnail else None
    stream = container.add_stream(codec, rate=rate)
    stream.height, stream.width, stream.pix_fmt = *frames.shape[1:], "yuv420p"
    stream.options = {"qp": "0", **settings.pop("options", {})}
    for key, value in settings.items():
      setattr(stream.codec_context, key, value)
    if small:
      small.disposition, stream.disposition = Disposition(0), Disposition.default
      small.height, small.width, small.pix_fmt = 16, 16, "yuv420p"
      black = av.VideoFrame.from_ndarray(np.zeros((24, 16), np.uint8), format="yuv420p")
      container.mux([*small.encode(black), *small.encode(None)])
    for image in frames:
      chroma = np.full((image.shape[0] // 2, image.shape[1]), 128, np.uint8)
      container.mux(stream.encode(av.VideoFrame.from_ndarray(np.concatenate([image, chroma]), format="yuv420p")))
    container.mux(stream.encode(None))
  return path


@pytest.mark.parametrize("short_side", [None, 32])
def test_colours_are_those_of_the_formula(tmp_path, short_side):
  luma = np.linspace(16, 235, 64).astype(np.uint8)
  path = write_planes(tmp_path / "a.mp4", np.broadcast_to(luma, (1, 64, 64)))
  (image,) = video_file.decode(path, short_side)
  expected = (luma - 16.0) * 255 / 219
  expected = expected.reshape(image.shape[1], -1).mean(1)
  assert abs((image - expected[:, None]).mean()) < 0.1
  np.testing.assert_allclose(image, np.broadcast_to(expected[:, None], image.shape), atol=1.1)


def test_the_best_stream_is_read_and_the_others_are_counted(tmp_path):
  path = write_planes(tmp_path / "a.mp4", np.full((4, 32, 48), 100, np.uint8), thumbnail=True)
  assert [image.shape for image in video_file.decode(path)] == [(32, 48, 3)] * 4
  assert video_file.probe(path).num_streams == 2


@pytest.mark.parametrize(("aspect", "shape"), [("2:1", (32, 96)), ("1:2", (32, 24)), ("1:90", (32, 48))])
def test_pixels_become_square(tmp_path, aspect, shape):
  ratio = Fraction(*map(int, aspect.split(":")))
  path = write_planes(tmp_path / "a.mkv", np.full((2, 32, 48), 100, np.uint8), sample_aspect_ratio=ratio)
  assert [image.shape[:2] for image in video_file.decode(path)] == [shape] * 2


def test_interlaced_frames_lose_their_combs(tmp_path):
  """A bar moves by 8 pixels a field: odd lines show it later."""
  levels = np.full((6, 64, 96), 40, np.uint8)
  for frame in range(6):
    for field in range(2):
      left = 16 * frame + 8 * field
      levels[frame, field::2, left : left + 8] = 200
  options = {"x264-params": "tff=1:qp=0"}
  path = write_planes(tmp_path / "a.mkv", levels, options=options)
  frames = list(video_file.read(path))
  assert [frame.interlaced for frame in frames] == [True] * 6
  np.testing.assert_allclose([frame.time for frame in frames], np.arange(6) / 8, atol=2e-3)
  combs = [np.abs(np.diff(frame.image[4:-4, :, 0].astype(int), axis=0)).mean() for frame in frames]
  woven = np.abs(np.diff(levels[:, 4:-4].astype(int), axis=1)).mean()
  assert max(combs) < 0.2 * woven


def flip_bytes(path: pathlib.Path) -> None:
  data, rng = bytearray(path.read_bytes()), np.random.default_rng(0)
  for place in rng.integers(int(0.4 * len(data)), int(0.6 * len(data)), 40):
    data[place] ^= 0xA5
  path.write_bytes(data)


def write_noise(path: pathlib.Path, **kwargs) -> pathlib.Path:
  levels = np.random.default_rng(0).integers(16, 235, (24, 64, 96), np.uint8)
  return write_planes(path, levels, **kwargs)


def test_damage_that_ffmpeg_conceals_is_refused(tmp_path):
  path = write_noise(tmp_path / "a.mp4", options={"qp": "30"})
  good = list(video_file.decode(path))
  flip_bytes(path)
  with pytest.raises(InputError, match=r"a\.mp4 is damaged: FFmpeg conceals errors in frame \d+"):
    list(video_file.read(path))
  frames = list(video_file.read(path, max_corrupt=10**6))
  assert sum(frame.corrupt for frame in frames)
  wrong = [np.abs(frame.image - image.astype(int)).mean() for frame, image in zip(frames, good, strict=False)]
  assert max(wrong) > 3


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_a_recording_that_begins_in_the_middle_is_good(tmp_path, codec):
  levels = np.random.default_rng(0).integers(16, 235, (40, 64, 96), np.uint8)
  path = write_planes(tmp_path / "a.ts", levels, codec, rate=25, options={"g": "10", "bf": "2", "qp": "20"})
  data = path.read_bytes()
  start = len(data) * 3 // 10 // 188 * 188
  path.write_bytes(data[start:])
  assert 20 <= len(list(video_file.decode(path))) <= 32


@pytest.mark.parametrize("size", [(2**14, 2**13), (65537, 16)])
def test_absurd_sizes_are_refused_before_decoding(tmp_path, make_video, size):
  path = make_video(tmp_path / "a.avi", codec="ffv1")
  data = bytearray(path.read_bytes())
  at = data.index(b"strf") + 12
  data[at : at + 8] = np.array(size, "<i4").tobytes()
  path.write_bytes(data)
  with pytest.raises(InputError, match=r"a\.avi states frames of \d+ x \d+ pixels: at most"):
    list(video_file.decode(path))


def test_a_codec_nobody_knows(tmp_path, make_video):
  path = make_video(tmp_path / "a.avi", codec="mpeg4")
  path.write_bytes(path.read_bytes().replace(b"FMP4", b"QQ9Z"))
  with pytest.raises(InputError, match=r"a\.avi holds video of a codec that FFmpeg does not know"):
    list(video_file.decode(path))


def test_titles_in_any_encoding(tmp_path, make_video):
  path = make_video(tmp_path / "a.avi", codec="mpeg4")
  data = path.read_bytes()
  assert b"Lavf" in data
  path.write_bytes(data.replace(b"Lavf", b"L\xe9vf"))
  assert len(list(video_file.decode(path))) == 8
